"""What `S3Upload` says about an object beside its bytes."""

import mimetypes
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

from bondstone.blocks import InvalidName
from bondstone.integrations.s3.compression import Compression

_OWN_NAMES = {
    "content-type",
    "content-encoding",
    "content-language",
    "content-disposition",
    "cache-control",
    "storage-class",
}


class Settings(Protocol):
    """The fields of `S3Upload`."""

    @property
    def compression(self) -> Compression | None: ...
    @property
    def content_type(self) -> str | None: ...
    @property
    def metadata(self) -> Mapping[str, str] | None: ...
    @property
    def storage_class(self) -> str | None: ...
    @property
    def if_absent(self) -> bool: ...


def attributes(settings: Settings, key: str) -> dict[str, str]:
    """In obstore's words. The type is guessed from the key's suffix where it is not said."""
    if settings.compression not in (None, "gzip", "zstd"):
        raise InvalidName("compression is 'gzip', 'zstd' or None")
    said = {
        "Content-Type": settings.content_type or _type_of(os.path.splitext(key)[1]),  # noqa: PTH122 -- a tenth of the cost
        "Content-Encoding": settings.compression,
        "Storage-Class": settings.storage_class,
    }
    return {name: text for name, text in said.items() if text} | _metadata(settings.metadata or {})


@lru_cache(maxsize=256)
def _type_of(suffix: str) -> str:
    return mimetypes.guess_type(f"a{suffix}")[0] or "application/octet-stream"


def _metadata(given: Mapping[str, str]) -> dict[str, str]:
    """Names and texts that are headers. S3 gives the names back in lower case, so they come so."""
    for name, text in given.items():
        plain = f"{name}{text}"
        if not plain.isascii() or not plain.isprintable() or not name.replace("-", "").replace("_", "").isalnum():
            raise InvalidName(f"metadata {name!a}: a name has letters, digits, '-' and '_', a text is printable ASCII")
        if name != name.lower() or name in _OWN_NAMES:
            raise InvalidName(f"metadata {name!r}: names are in lower case, and none is a header of its own")
    return dict(given)
