"""Download one object, or all below a prefix."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from bondstone.blocks import ServiceUnavailable
from bondstone.integrations.extras import need
from bondstone.integrations.progress import progress
from bondstone.integrations.receipts import ObjectReceipt
from bondstone.integrations.s3 import folders
from bondstone.integrations.s3.access import Access
from bondstone.integrations.s3.checksum import NAME, Tally
from bondstone.integrations.s3.compression import decompressed
from bondstone.integrations.s3.in_flight import in_flight
from bondstone.integrations.s3.keys import checked, folder, made_below, targets
from bondstone.integrations.s3.listing import Item, items
from bondstone.integrations.s3.upload import receipt

if TYPE_CHECKING:
    from obstore.store import S3Store

_CHUNK = 4 * 1024 * 1024  # bytes


@dataclass(frozen=True)
class S3Download:
    """Get one object, or with a key that ends with a slash all that is below it."""

    bucket: str  # the name of an S3Bucket block
    as_stored: bool = False  # leave a content encoding (gzip, zstd) as it is
    ttl: float | None = None

    def __call__(
        self, key: str, /, *, to: str | os.PathLike[str] | None = None, checksum: str | None = None
    ) -> bytes | ObjectReceipt:
        """See `download`."""
        return download(self, key, None if to is None else Path(to), checksum)


def download(task: S3Download, key: str, to: Path | None, checksum: str | None) -> bytes | ObjectReceipt:
    """The object's bytes or, with `to`, a receipt of the file that was written whole or not at all.

    What has a checksum, or is given one (that of the upload's receipt), is held against it. A key that ends with a slash needs `to`, the
    folder that is filled. Raises as `S3Upload`; `ServiceUnavailable` for what does not have its checksum.
    """
    if key.endswith("/") and to is not None:
        return _folder(task, key, to)
    access, checked_key = Access.of(task), checked(key)
    if to is not None:
        with progress(key, None) as moved:
            return _file(access, task, checked_key, to, moved, checksum)
    with progress(key, None) as moved:
        return access.store(lambda store: b"".join(_Got(store, checked_key, moved, checksum).content(task.as_stored)))


def _folder(task: S3Download, prefix: str, to: Path) -> ObjectReceipt:
    start, access = time.perf_counter(), Access.of(task)
    found = {item.key.removeprefix(folder(prefix)): item for item in items(access, folder(prefix))}
    paths = targets(list(found), to)
    receipts = fetched(access, task, [(found[name], path) for name, path in paths.items()], to)
    return folders.receipt(access, prefix, receipts, start)


def fetched(access: Access, task: S3Download, these: list[tuple[Item, Path]], root: Path) -> list[ObjectReceipt]:
    """Sixteen at a time, each streamed to its file."""
    root.mkdir(parents=True, exist_ok=True)
    with progress(root.name, sum(item.size for item, _ in these)) as moved:

        def one(pair: tuple[Item, Path]) -> ObjectReceipt:
            item, path = pair
            made_below(path, root)
            return _file(access, task, item.key, path, moved, None)

        return in_flight(one, these)


def _file(
    access: Access, task: S3Download, key: str, to: Path, moved: Callable[[int], None], checksum: str | None
) -> ObjectReceipt:
    start = time.perf_counter()

    def stream(store: "S3Store") -> _Got:
        file.seek(0)
        file.truncate()
        got = _Got(store, key, moved, checksum)
        for chunk in got.content(task.as_stored):
            _write(file, chunk, to)
        return got

    with _draft(to) as file:
        got = access.store(stream)
    return receipt(access, key, got.etag, got.tally, start)


class _Got:
    """An object that is being read. The stream is resumed by obstore after a cut, three times, at the byte where it was."""

    def __init__(self, store: "S3Store", key: str, moved: Callable[[int], None], checksum: str | None) -> None:
        self._answer: Any = need("obstore", "aws").get(store, key)
        about = self._answer.attributes
        self._wanted = checksum or about.get(NAME)
        self._encoding = about.get("Content-Encoding")
        self.etag: str | None = self._answer.meta["e_tag"]
        self.tally = Tally(moved)

    def content(self, as_stored: bool) -> Iterator[bytes]:
        """Chunks, whose end is an error if they are not what was stored."""
        chunks = self.tally.over(self._answer.stream(_CHUNK))
        yield from chunks if as_stored else decompressed(chunks, self._encoding)
        if self._wanted not in (None, self.tally.checksum):
            raise ServiceUnavailable(
                f"what arrived has the checksum {self.tally.checksum}, not {self._wanted}: try again"
            )


@contextmanager
def _draft(to: Path) -> Iterator[IO[bytes]]:
    """A file beside `to` that takes its place when all is written, and is gone when it is not."""
    draft = to.with_name(f".{os.getpid()}.{threading.get_ident()}.part")
    try:
        with draft.open("wb", buffering=0) as file:
            yield file
        draft.replace(to)
    finally:
        draft.unlink(missing_ok=True)


def _write(file: IO[bytes], data: bytes, to: Path) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[file.write(view) :]
    except OSError as error:  # the disk is full, or a limit reached
        raise OSError(error.errno, f"{error.strerror}; nothing of the object is left on the disk", str(to)) from None
