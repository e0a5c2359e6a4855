"""The checksum of an object, and the etag that S3 gives to content.

CRC-32 is what S3 itself offers for whole objects, and costs a tenth of the transfer; SHA-256 would cost as much as the transfer again.
It tells a flipped bit, not a forger: on the wire obstore sends SHA-256 of each request, which the server checks.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator

from bondstone.integrations.s3.sources import ONE_PUT, Source

NAME = "bondstone-checksum"  # of the metadata of an object that went up in one piece
MOST_PARTS = 10_000  # S3 User Guide, "Multipart upload limits"
_LEAST_PART = 8 * 1024 * 1024


class Tally:
    """Counts and checks what passes."""

    def __init__(self, moved: Callable[[int], None] = lambda moved: None) -> None:
        self._crc, self.size, self._moved = 0, 0, moved

    def over(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._crc = zlib.crc32(chunk, self._crc)
            self.size += len(chunk)
            self._moved(len(chunk))
            yield chunk

    @property
    def checksum(self) -> str:
        return f"crc32:{self._crc:08x}"


def part_size(size: int | None) -> int:
    """Bytes of each part of an object: the same for the same size, since the etag depends on it."""
    if size is None:
        return 2 * _LEAST_PART  # 156 GiB in 10,000 parts
    mebibytes = -(-size // MOST_PARTS) // 2**20 + 1
    return max(_LEAST_PART, mebibytes * 2**20 if size > MOST_PARTS * _LEAST_PART else 0)


def etag_of(source: Source) -> str:
    """The etag that an upload of `source` has where S3 does not encrypt by KMS or a customer's key: MD5, or MD5 of the parts' MD5s."""
    size = source.size or 0
    if size <= ONE_PUT:
        whole = hashlib.md5(usedforsecurity=False)
        for chunk in source.chunks():
            whole.update(chunk)
        return f'"{whole.hexdigest()}"'
    parts = [_md5(part) for part in split(source.chunks(), part_size(size))]
    return f'"{_md5(b"".join(parts)).hex()}-{len(parts)}"'


def split(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in parts of `size`, the last one with what is left."""
    kept: list[bytes] = []
    length = 0
    for chunk in chunks:
        kept.append(chunk)
        length += len(chunk)
        while length >= size:
            joined = b"".join(kept)
            yield joined[:size]
            kept, length = [joined[size:]], length - size
    if length:
        yield b"".join(kept)


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()
