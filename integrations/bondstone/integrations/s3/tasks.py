"""S3 tasks: picklable callables that hold the name of an `S3Bucket` block."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from bondstone.blocks import Handle, InvalidName, NotFound, S3Bucket, live
from bondstone.integrations.aws import LiveKeys
from bondstone.integrations.extras import need
from bondstone.integrations.receipts import ObjectReceipt
from bondstone.integrations.s3 import clients
from bondstone.integrations.s3.errors import refusals, translated
from bondstone.integrations.s3.place import Place

if TYPE_CHECKING:
    from obstore.store import S3Store

_ONE_PUT = 16 * 1024 * 1024  # bytes; larger sources go up in parts, read from disk as they go


@dataclass(frozen=True)
class S3Upload:
    """Put one object under `key` in a bucket, replacing what is there."""

    bucket: str  # the name of an S3Bucket block
    ttl: float | None = None

    def __call__(self, source: bytes | str | os.PathLike[str] | IO[bytes], /, *, key: str) -> ObjectReceipt:
        """Upload bytes, a file by its path, or an open binary file from where it stands.

        Raises `AccessDenied`, `NotFound` (no such bucket or file), `ServiceUnavailable`, `InvalidName` for a key that
        S3 clients would change.
        """
        return _put(self, source, _checked(key))


@dataclass(frozen=True)
class S3Download:
    """Get one object."""

    bucket: str  # the name of an S3Bucket block
    ttl: float | None = None

    def __call__(self, key: str, /, *, to: str | os.PathLike[str] | None = None) -> bytes | ObjectReceipt:
        """The object's bytes or, with `to`, a receipt of the file that was written whole or not at all. Raises as `S3Upload`."""
        return _get(self, _checked(key), None if to is None else Path(to))


def _checked(key: str) -> str:
    if any(part in ("", ".", "..") for part in key.split("/")):
        raise InvalidName("a key is not empty, neither begins nor ends with '/', and has no empty, '.' or '..' segment")
    return key


def _put(task: S3Upload, source: Any, key: str) -> ObjectReceipt:
    data, size = _opened(source)
    options = {"use_multipart": size is None or size > _ONE_PUT}
    start = data.tell() if hasattr(data, "tell") else 0

    def put(store: "S3Store") -> Any:
        if hasattr(data, "seek"):
            data.seek(start)
        return need("obstore", "aws").put(store, key, data, **options)

    try:
        block, result = _with_store(task, put)
    finally:
        if data is not source and hasattr(data, "close"):
            data.close()
    written = size if size is not None else data.tell() - start
    return _receipt(block, key, result["e_tag"], written)


def _opened(source: Any) -> tuple[Any, int | None]:
    """What obstore can read, and its size in bytes where that is known."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), len(source)
    if not isinstance(source, str | os.PathLike):
        return source, None
    try:
        file = Path(source).open("rb")  # noqa: SIM115 -- closed by the caller, after the upload
    except FileNotFoundError:
        raise NotFound(
            f"there is no file {os.fspath(source)!r} to upload (text is uploaded as text.encode())"
        ) from None
    return file, os.fstat(file.fileno()).st_size


def _get(task: S3Download, key: str, to: Path | None) -> bytes | ObjectReceipt:
    obstore = need("obstore", "aws")
    if to is None:
        return _with_store(task, lambda store: bytes(obstore.get(store, key).bytes()))[1]

    def stream(store: "S3Store") -> tuple[str | None, int]:
        file.seek(0)
        file.truncate()
        found = obstore.get(store, key)
        return found.meta["e_tag"], sum(file.write(chunk) for chunk in found.stream())

    draft = to.with_name(f".{to.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with draft.open("wb") as file:
            block, (etag, size) = _with_store(task, stream)
        draft.replace(to)
    finally:
        draft.unlink(missing_ok=True)
    return _receipt(block, key, etag, size)


def _receipt(block: S3Bucket, key: str, etag: str | None, size: int) -> ObjectReceipt:
    return ObjectReceipt(Place.of(block).uri(key), str(block.reference), block.version or 0, etag, size)


def _with_store[T](task: S3Upload | S3Download, call: Callable[["S3Store"], T]) -> tuple[S3Bucket, T]:
    """`call` with a store of the task's bucket. A refusal is answered once by a new store, with the keys as they are by then."""
    handle = live(S3Bucket, task.bucket, ttl=task.ttl)
    block = handle.get()
    if not block.anonymous:
        LiveKeys(handle).keys()  # obstore hides why its provider fails
    with translated(block):
        try:
            return block, call(_kept(handle, Place.of(block)))
        except refusals():
            pass
        block = handle.refresh()
        return block, call(_renewed(handle, Place.of(block)))


_stores: dict[tuple[str, str, float, Place, int], "S3Store"] = {}


def _kept(handle: Handle[S3Bucket], place: Place) -> "S3Store":
    """One store per bucket and process: it keeps connections open, and its keys are live."""
    key = (*handle.source, handle.ttl, place, os.getpid())
    return _stores.get(key) or _renewed(handle, place)


def _renewed(handle: Handle[S3Bucket], place: Place) -> "S3Store":
    key = (*handle.source, handle.ttl, place, os.getpid())
    _stores[key] = store = clients.store(handle)
    return store
