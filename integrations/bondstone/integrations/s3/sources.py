"""What can be uploaded, as chunks of bytes that can be had again from the beginning."""

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from bondstone.blocks import InvalidName, MissingExtra, NotFound
from bondstone.integrations.s3.in_flight import apart

ONE_PUT = 16 * 1024 * 1024  # bytes; larger sources go up in parts, read from disk as they go
CHUNK = 1024 * 1024  # bytes; what fits into the processor's cache is hashed in half the time


@dataclass(frozen=True)
class Source:
    """Something to upload. `size` is in bytes, None if it is not known before the end."""

    chunks: Callable[[], Iterator[bytes]]
    size: int | None
    again: bool = True  # whether `chunks` can begin anew


def source_of(given: Any, key: str) -> Source:
    """Bytes, a path (also as text), an open binary file from where it stands, or a pandas DataFrame in the format of the key's suffix."""
    if isinstance(given, bytes | bytearray | memoryview):
        return of_bytes(bytes(given))
    if isinstance(given, str | os.PathLike):
        return of_path(os.fspath(given))
    if hasattr(given, "to_parquet"):
        return of_bytes(_table(given, key))
    if isinstance(given, io.TextIOBase) or not hasattr(given, "read"):
        raise TypeError(
            f"bytes, a path, a file opened in binary mode, or a DataFrame is uploaded, not {type(given).__name__}"
        )
    return _of_file(given)


def of_bytes(data: bytes) -> Source:
    def chunks() -> Iterator[bytes]:
        if len(data) <= ONE_PUT:
            yield data
            return
        view = memoryview(data)
        for start in range(0, len(data), CHUNK):
            yield bytes(view[start : start + CHUNK])

    return Source(chunks, len(data))


def of_path(path: str) -> Source:
    """The file is opened when its chunks are asked for, and closed at their end. Raises `NotFound`."""
    try:
        size = os.stat(path).st_size  # noqa: PTH116 -- a third of the cost of Path.stat, for each of a thousand files
    except FileNotFoundError:
        raise NotFound(f"there is no file {path!r} to upload (text is uploaded as text.encode())") from None

    def chunks() -> Iterator[bytes]:
        step = size + 1 if size <= ONE_PUT else CHUNK  # what goes up in one request is read in one, and not joined
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while data := os.read(descriptor, step):
                yield data
        finally:
            os.close(descriptor)

    return Source(chunks, size)


def _of_file(file: IO[bytes]) -> Source:
    seekable = getattr(file, "seekable", lambda: False)()
    start = file.tell() if seekable else 0

    def chunks() -> Iterator[bytes]:
        if seekable:
            file.seek(start)
        return apart(iter(partial(file.read, CHUNK), b""))  # it may be a reader of obstore's

    return Source(chunks, file.seek(0, os.SEEK_END) - start if seekable else None, again=seekable)


def _table(frame: Any, key: str) -> bytes:
    """A DataFrame as a file. The index goes along if it is more than the numbers of the rows."""
    suffix, buffer = Path(key).suffix.lower(), io.BytesIO()
    if suffix == ".csv":
        numbers = type(frame.index).__name__ == "RangeIndex" and frame.index.name is None
        frame.to_csv(buffer, index=not numbers)
    elif suffix == ".parquet":
        try:
            frame.to_parquet(buffer)
        except ImportError:
            raise MissingExtra("Parquet needs pyarrow, which is not installed: pip install pyarrow") from None
    else:
        raise InvalidName("a DataFrame is stored as CSV or Parquet: let its key end with .csv or .parquet")
    return buffer.getvalue()
