"""How many chunks go with versions that expire: those that they wrote, and that a later version had overwritten or removed.

Icechunk tells that of garbage only, when it is too late. A version shows what it changed, by the diff to the one before.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.versions import Versions
from bondstone.integrations.receipts import Freed

if TYPE_CHECKING:
    import icechunk

type Chunk = tuple[str, tuple[int, ...]]  # array, place in the chunk grid


@dataclass(frozen=True)
class _Written:
    """What one version wrote."""

    chunks: set[Chunk]
    replaced: set[str] = field(
        default_factory=set
    )  # arrays that it made or removed: older chunks of that name are another array's

    def __or__(self, older: "_Written") -> "_Written":
        return _Written(self.chunks | older.chunks, self.replaced | older.replaced)

    def hides(self, chunk: Chunk) -> bool:
        return chunk[0] in self.replaced or chunk in self.chunks


def freed_by_expiry(
    repository: "icechunk.Repository", versions: Versions, expired: Collection[str], garbage: Freed
) -> Freed:
    """With what is garbage already."""
    items = versions.all()
    written = {name: _written(repository, items[name], items) for name in {*expired, *_needed(items, expired)}}
    lost = {name: set(written[name].chunks) for name in expired}
    for name in items.keys() - set(expired):
        later, parent = written.get(name), items[name].parent_id
        while later is not None and parent in lost:
            lost[parent] -= {chunk for chunk in written[parent].chunks if not later.hides(chunk)}
            later, parent = later | written[parent], items[parent].parent_id
    sizes = [size for name, chunks in lost.items() for size in _sizes(repository, name, chunks)]
    snapshots = garbage.snapshots + len(expired)
    return Freed(snapshots, 0, garbage.chunks + len(sizes), garbage.bytes + sum(sizes))


def _needed(items: "dict[str, icechunk.SnapshotInfo]", expired: Collection[str]) -> Iterable[str]:
    """The versions that stay, next to one that goes."""
    return (name for name, item in items.items() if item.parent_id in set(expired) and name not in expired)


def _written(
    repository: "icechunk.Repository", item: "icechunk.SnapshotInfo", items: "dict[str, icechunk.SnapshotInfo]"
) -> _Written:
    parent = items.get(item.parent_id or "")
    if parent is None or parent.parent_id is None:  # the oldest that is left: all that is in it came with it, or before
        return _Written(_everything(repository, item.id))
    diff = repository.diff(from_snapshot_id=parent.id, to_snapshot_id=item.id)
    chunks = {(path, tuple(place)) for path, places in diff.updated_chunks.items() for place in places}
    return _Written(chunks, diff.new_arrays | diff.deleted_arrays)


def _everything(repository: "icechunk.Repository", snapshot: str) -> set[Chunk]:
    session = repository.readonly_session(snapshot_id=snapshot)
    root = need("zarr", "icechunk").open_group(session.store, mode="r")
    arrays = [f"/{name}" for name, node in root.members(max_depth=None) if hasattr(node, "shape")]

    async def all_chunks() -> set[Chunk]:
        return {(path, tuple(place)) for path in arrays async for place in session.chunk_coordinates(path)}

    chunks: set[Chunk] = need("zarr.core.sync", "icechunk").sync(all_chunks())
    return chunks


def _sizes(repository: "icechunk.Repository", snapshot: str, chunks: Iterable[Chunk]) -> list[int]:
    """In bytes, of those that are objects of their own: small ones lie in the manifests, and virtual ones elsewhere."""
    session = repository.readonly_session(snapshot_id=snapshot)
    native = need("icechunk", "icechunk").ChunkType.native

    async def sizes() -> list[int]:
        return [
            await session.store.getsize("/".join((path.strip("/"), "c", *map(str, place))))
            for path, place in chunks
            if await session.chunk_type_async(path, place) == native
        ]

    found: list[int] = need("zarr.core.sync", "icechunk").sync(sizes())
    return found
