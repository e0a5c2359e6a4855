"""How many chunks go with versions that expire: those that they wrote, and that a later version had overwritten or removed.

Icechunk tells that of garbage only, when it is too late. A version shows what it changed, by the diff to the one before.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bondstone.integrations.icechunk.chunks import Chunk, every_chunk, sizes, updated
from bondstone.integrations.icechunk.versions import Versions
from bondstone.integrations.receipts import Freed

if TYPE_CHECKING:
    import icechunk


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
    sessions = ((repository.readonly_session(snapshot_id=name), chunks) for name, chunks in lost.items())
    gone = [size for session, chunks in sessions for size in sizes(session, chunks)]
    snapshots = garbage.snapshots + len(expired)
    return Freed(snapshots, 0, garbage.chunks + len(gone), garbage.bytes + sum(gone))


def _needed(items: "dict[str, icechunk.SnapshotInfo]", expired: Collection[str]) -> Iterable[str]:
    """The versions that stay, next to one that goes."""
    return (name for name, item in items.items() if item.parent_id in set(expired) and name not in expired)


def _written(
    repository: "icechunk.Repository", item: "icechunk.SnapshotInfo", items: "dict[str, icechunk.SnapshotInfo]"
) -> _Written:
    parent = items.get(item.parent_id or "")
    if parent is None or parent.parent_id is None:  # the oldest that is left: all that is in it came with it, or before
        return _Written(every_chunk(repository.readonly_session(snapshot_id=item.id)))
    diff = repository.diff(from_snapshot_id=parent.id, to_snapshot_id=item.id)
    return _Written(updated(diff), diff.new_arrays | diff.deleted_arrays)
