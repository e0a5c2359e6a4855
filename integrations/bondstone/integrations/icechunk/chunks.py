"""Which chunks a session shows, and how large they are."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.markers import FOLDER

if TYPE_CHECKING:
    import icechunk

type Chunk = tuple[str, tuple[int, ...]]  # array, place in the chunk grid


def every_chunk(session: "icechunk.Session") -> set[Chunk]:
    """Of all arrays."""
    root = need("zarr", "icechunk").open_group(session.store, mode="r")
    arrays = [f"/{name}" for name, node in root.members(max_depth=None) if hasattr(node, "shape")]
    return chunks_of(session, arrays)


def chunks_of(session: "icechunk.Session", arrays: Iterable[str]) -> set[Chunk]:
    """Of some arrays, which must be there."""

    async def chunks() -> set[Chunk]:
        return {(path, tuple(place)) for path in arrays async for place in session.chunk_coordinates(path)}

    found: set[Chunk] = need("zarr.core.sync", "icechunk").sync(chunks())
    return found


def updated(diff: "icechunk.Diff") -> set[Chunk]:
    """Those that a session has written, or a version."""
    items = diff.updated_chunks.items()
    return {(path, tuple(place)) for path, places in items for place in places if not path.startswith(f"/{FOLDER}/")}


def sizes(session: "icechunk.Session", chunks: Iterable[Chunk], *, inline: bool = False) -> list[int]:
    """In bytes, of those that are objects of their own, and with `inline` of the small ones in manifests; virtual ones lie elsewhere."""
    kind = need("icechunk", "icechunk").ChunkType
    counted = [kind.native, kind.inline] if inline else [kind.native]

    async def lengths() -> list[int]:
        return [
            await session.store.getsize("/".join((path.strip("/"), "c", *map(str, place))))
            for path, place in chunks
            if await session.chunk_type_async(path, place) in counted
        ]

    found: list[int] = need("zarr.core.sync", "icechunk").sync(lengths())
    return found
