"""Upload one object, or a folder of them."""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from bondstone.integrations.extras import need
from bondstone.integrations.progress import progress
from bondstone.integrations.receipts import FolderReceipt, ObjectReceipt
from bondstone.integrations.s3 import folders
from bondstone.integrations.s3.access import Access
from bondstone.integrations.s3.checksum import NAME, Tally, part_size
from bondstone.integrations.s3.compression import Compression, compressed
from bondstone.integrations.s3.create import created, taken
from bondstone.integrations.s3.keys import checked
from bondstone.integrations.s3.settings import Settings, attributes
from bondstone.integrations.s3.sources import ONE_PUT, Source, source_of

if TYPE_CHECKING:
    import pandas
    from obstore.store import S3Store

_PARTS_IN_FLIGHT = 64 * 1024 * 1024  # bytes
_MARK = "bondstone-put"


@dataclass(frozen=True)
class S3Upload:
    """Put an object under `key` in a bucket, replacing what is there, or a folder's files below it."""

    bucket: str  # the name of an S3Bucket block
    compression: Compression | None = None
    content_type: str | None = None
    metadata: Mapping[str, str] | None = field(default=None, hash=False)
    storage_class: str | None = None
    if_absent: bool = False
    ttl: float | None = None

    def __call__(
        self, source: "bytes | str | os.PathLike[str] | IO[bytes] | pandas.DataFrame", /, *, key: str
    ) -> ObjectReceipt:
        """See `upload`."""
        return upload(self, source, key)


def upload(task: S3Upload, source: Any, key: str) -> ObjectReceipt:
    """Upload bytes, a file by its path, an open binary file from where it stands, a DataFrame, or the folder of a path.

    A folder gives a `FolderReceipt`. Raises `AccessDenied`, `NotFound` (no such bucket or file), `ServiceUnavailable`, `InvalidName` for
    a key that S3 clients would change or a link that leads out of the folder, and with `if_absent` `Conflict`.
    """
    if isinstance(source, str | os.PathLike) and os.path.isdir(source):  # noqa: PTH112 -- half the cost of Path.is_dir
        return _folder(task, os.fspath(source), key)
    access = Access.of(task)
    what = source_of(source, checked(key))
    with progress(key, what.size) as moved:
        return put(access, what, key, task, moved)


def _folder(task: S3Upload, path: str, key: str) -> FolderReceipt:
    start, access = time.perf_counter(), Access.of(task)
    files = folders.files(path, key)
    receipts = folders.uploaded(access, files, task, path, put)
    return folders.receipt(access, key, receipts, start)


class _Sent(NamedTuple):
    etag: str | None
    tally: Tally


def put(access: Access, source: Source, key: str, settings: Settings, moved: Any = None) -> ObjectReceipt:
    """One object, in one request or in parts."""
    start = time.perf_counter()
    about = attributes(settings, key)

    def send(store: "S3Store") -> _Sent:
        tally = Tally(moved or (lambda count: None))
        pieces = tally.over(compressed(source.chunks(), settings.compression))
        head, more = _head(pieces)
        if more is None:
            return _Sent(_one(store, key, b"".join(head), about | {NAME: tally.checksum}, settings), tally)
        everything = chain(head, more)
        if settings.if_absent:
            return _Sent(created(access, key, everything, about, part_size(source.size)), tally)
        return _Sent(_parts(store, key, everything, about, source.size), tally)

    sent = access.store(send, again=source.again)
    return receipt(access, key, sent.etag, sent.tally, start)


def _head(pieces: Iterator[bytes]) -> tuple[list[bytes], Iterator[bytes] | None]:
    """What fits into one request, and what follows if it is more than that."""
    head, length = [], 0
    for piece in pieces:
        head.append(piece)
        length += len(piece)
        if length > ONE_PUT:
            return head, pieces
    return head, None


def _one(store: "S3Store", key: str, data: bytes, about: dict[str, str], settings: Settings) -> str | None:
    obstore: Any = need("obstore", "aws")
    options: dict[str, Any] = {"use_multipart": False, "attributes": about}
    if settings.if_absent:  # whose object it is that is there after a lost answer: ours has this mark
        options |= {"mode": "create", "attributes": about | {_MARK: uuid4().hex}}
    try:
        return obstore.put(store, key, data, **options)["e_tag"]  # type: ignore[no-any-return]
    except need("obstore.exceptions", "aws").AlreadyExistsError:
        pass
    found = obstore.get(store, key, options={"head": True})
    if found.attributes.get(_MARK) != options["attributes"].get(_MARK):
        raise taken(key)
    return found.meta["e_tag"]  # type: ignore[no-any-return]


def _parts(store: "S3Store", key: str, pieces: Iterator[bytes], about: dict[str, str], size: int | None) -> str | None:
    part = part_size(size)
    most = max(1, _PARTS_IN_FLIGHT // part)
    options = {"use_multipart": True, "chunk_size": part, "max_concurrency": most}
    return need("obstore", "aws").put(store, key, pieces, attributes=about, **options)["e_tag"]  # type: ignore[no-any-return]


def receipt(access: Access, key: str, etag: str | None, tally: Tally, start: float) -> ObjectReceipt:
    """What is written down of one object."""
    block, seconds = access.block, time.perf_counter() - start
    uri, reference = access.place.uri(key), str(block.reference)
    return ObjectReceipt(uri, reference, block.version or 0, etag, tally.size, tally.checksum, seconds)
