"""Whether the chunks of a version can be read: one byte is asked for of each that is in the sample."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any

from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.errors import refused
from bondstone.integrations.receipts import Fault

if TYPE_CHECKING:
    import icechunk

AT_ONCE = 16  # requests
FAULTS = 100  # of each kind that are told
_STALE = {
    "virtual-chunk-modified": "changed",
    "no-container-for-virtual-chunk": "refused",  # nobody lets the repository refer to it, any more
    "unauthorized-virtual-chunk-container": "refused",
}
type Progress = Callable[[int, int], object]
type Chunk = tuple[int, ...]


@dataclass
class Looked:
    """What was found: of `chunks` that are referred to, `wanted` are in the sample, `checked` were asked for."""

    chunks: int = 0
    wanted: int = 0
    checked: int = 0
    missing: list[Fault] = field(default_factory=list)
    stale: list[Fault] = field(default_factory=list)


@dataclass(frozen=True)
class Looker:
    """Looks at a session's arrays, as `Repository.inspect_snapshot` tells them, until it is `late`."""

    session: "icechunk.Session"
    sample: float
    late: Callable[[], bool]
    progress: Progress | None
    found: Looked = field(default_factory=Looked)

    def look(self, arrays: list[dict[str, Any]]) -> Looked:
        """Raises the vendor's errors, but those that say that something is not there."""
        need("zarr.core.sync", "icechunk").sync(self._arrays(arrays))
        return self.found

    async def _arrays(self, arrays: list[dict[str, Any]]) -> None:
        keys = [key for array in arrays async for key in self._sampled(array)]
        self.found.wanted = len(keys)
        for start in range(0, len(keys), AT_ONCE):
            if self.late():
                return
            await asyncio.gather(*map(self._chunk, keys[start : start + AT_ONCE]))
            if self.progress:
                self.progress(self.found.checked, self.found.wanted)

    async def _sampled(self, array: dict[str, Any]) -> AsyncIterator[str]:
        """Keys of the chunks to ask for, at least one of each manifest."""
        path, vendor = array["path"], need("icechunk", "icechunk")
        try:
            chunks = [chunk async for chunk in self.session.chunk_coordinates(path)]
        except vendor.StorageError as error:
            if error.kind != "object-not-found":
                raise
            self._tell(self.found.missing, f"{path} (manifest)", "missing")
            return
        self.found.chunks += len(chunks)
        for within in _by_manifest(chunks, [ref["extents"] for ref in array["manifest_refs"]]):
            for chunk in random.sample(within, ceil(self.sample * len(within))):
                yield "/".join([path.strip("/"), "c", *map(str, chunk)])

    async def _chunk(self, key: str) -> None:
        vendor, of = need("icechunk", "icechunk"), need("zarr.core.buffer", "icechunk").default_buffer_prototype()
        one_byte = need("zarr.abc.store", "icechunk").RangeByteRequest(0, 1)
        self.found.checked += 1
        try:
            await self.session.store.get(key, of, one_byte)
        except vendor.IcechunkError as error:
            if error.kind == "object-not-found":
                self._tell(self.found.missing, key, "missing")
            elif error.kind in _STALE:
                self._tell(self.found.stale, key, _STALE[error.kind])
            elif error.kind == "virtual-chunk-fetch":
                self._tell(self.found.stale, key, "refused" if refused(error) else "gone")
            else:
                raise

    def _tell(self, faults: list[Fault], where: str, what: str) -> None:
        if len(faults) < FAULTS:
            faults.append(Fault(where, what))


def _by_manifest(chunks: list[Chunk], extents: list[list[list[int]]]) -> list[list[Chunk]]:
    """Chunks in the parts that manifests hold. Icechunk tells them manifest by manifest, so the last one that matched is tried first."""
    parts: list[list[Chunk]] = [[] for _ in extents]
    last = 0
    for chunk in chunks:
        if not _inside(chunk, extents[last]):
            last = next(number for number, extent in enumerate(extents) if _inside(chunk, extent))
        parts[last].append(chunk)
    return [part for part in parts if part]


def _inside(chunk: Chunk, extent: list[list[int]]) -> bool:
    return all(start <= index < end for index, (start, end) in zip(chunk, extent, strict=True))
