"""Compression on the way: chunks in, chunks out."""

import importlib
import io
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from bondstone.blocks import MissingExtra, ServiceUnavailable

Compression = Literal["gzip", "zstd"]


def compressed(chunks: Iterator[bytes], how: Compression | None) -> Iterator[bytes]:
    """The same bytes give the same result, so that what is sent again is what was sent."""
    if how is None:
        return chunks
    return _gzip(chunks) if how == "gzip" else _zstd(chunks)


def decompressed(chunks: Iterable[bytes], encoding: str | None) -> Iterator[bytes]:
    """Undoes a content encoding. Others than gzip and zstd are left as they are. Raises `ServiceUnavailable` for what is no such data."""
    if encoding not in ("gzip", "zstd"):
        yield from chunks
        return
    try:
        yield from _gunzip(chunks) if encoding == "gzip" else _unzstd(chunks)
    except (zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk or the network
            raise
        broken = True
    else:
        broken = False
    if broken:
        raise ServiceUnavailable(f"the object says it is {encoding} and is not: download it with as_stored=True")


def _gzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(6, wbits=31)  # 31: with the header of gzip, and no time in it
    for chunk in chunks:
        yield packer.compress(chunk)
    yield packer.flush()


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(wbits=31)
    for chunk in chunks:
        data = chunk
        while data:  # a gzip file may be several, one after the other
            if unpacker.eof:
                unpacker = zlib.decompressobj(wbits=31)
            yield unpacker.decompress(data)
            data = unpacker.unused_data
    if not unpacker.eof:
        raise zlib.error("it ends early")


class _Sink(io.RawIOBase):
    """A file that keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._kept.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken, self._kept = b"".join(self._kept), []
        return taken


class _Chunks(io.RawIOBase):
    """Chunks as a file to read from."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self._rest = iter(chunks), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            following = next(self._chunks, None)
            if following is None:
                return 0
            self._rest = following
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def _zstd(chunks: Iterator[bytes]) -> Iterator[bytes]:
    arrow, sink = _pyarrow(), _Sink()
    packer = arrow.CompressedOutputStream(arrow.PythonFile(sink, "w"), "zstd")
    for chunk in chunks:
        packer.write(chunk)
        yield sink.take()
    packer.close()
    yield sink.take()


def _unzstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    arrow = _pyarrow()
    unpacker = arrow.CompressedInputStream(arrow.PythonFile(_Chunks(chunks), "r"), "zstd")
    while data := unpacker.read(1024 * 1024):
        yield data


def _pyarrow() -> Any:
    try:
        return importlib.import_module("pyarrow")
    except ModuleNotFoundError:
        raise MissingExtra("zstd needs pyarrow, which is not installed: pip install pyarrow") from None
