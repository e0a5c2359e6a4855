"""Whether what somebody relied on is still what it was. No solver of icechunk asks: two who each read what the other writes both pass."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bondstone.blocks import Conflict, NotFound
from bondstone.integrations.extras import need

if TYPE_CHECKING:
    import icechunk

type Region = Mapping[str, slice]
type Reads = Iterable[str] | Mapping[str, Region | None]  # names of variables, or paths; and of which part
type Part = tuple[str, Region | None]  # an absolute path, and the part; None is all of it


def paths(reads: Reads, group: str | None) -> list[Part]:
    """Reads by absolute paths: a name is of `group`, a path begins with '/'."""
    names = [reads] if isinstance(reads, str) else reads
    parts: Mapping[str, Region | None] = names if isinstance(names, Mapping) else dict.fromkeys(names)
    return [(path(name, group), part) for name, part in parts.items()]


def path(name: str, group: str | None) -> str:
    """Of an array or a group, as icechunk's differences have it."""
    return "/" + (name if name.startswith("/") else f"{group or ''}/{name}").strip("/")


def check_there(session: "icechunk.Session", reads: Iterable[Part]) -> None:
    """Raise `NotFound` for a path that leads nowhere: what is misspelt never changes."""
    for path, _ in reads:
        try:
            need("zarr", "icechunk").open(session.store, path=path.strip("/"), mode="r")
        except FileNotFoundError:
            raise NotFound(f"there is no {path!r} to have been read: correct reads=") from None


def changed(
    repository: "icechunk.Repository", session: "icechunk.Session", since: str, reads: Iterable[Part]
) -> str | None:
    """The path of something read that is another in the version of `session` than it was in the version `since`; None if nothing is.

    Raises `Conflict` if `since` is no version that came before.
    """
    vendor = need("icechunk", "icechunk")
    if since == session.snapshot_id:
        return None
    try:
        diff = repository.diff(from_snapshot_id=since, to_snapshot_id=session.snapshot_id)
    except (vendor.InvalidInputError, vendor.SnapshotNotFoundError):
        raise Conflict(f"{since!r} is no version in the history of this branch, or has expired: read again") from None
    since_then = _Since(diff, repository.readonly_session(snapshot_id=since), session)
    return next((path for path, part in reads if since_then.touched(path, part)), None)


@dataclass(frozen=True)
class _Since:
    """What differs between two versions."""

    diff: "icechunk.Diff"
    before: "icechunk.Session"
    after: "icechunk.Session"

    def touched(self, path: str, part: Region | None) -> bool:
        """Whether a group or array differs, in that part. Another length alone is no difference to who has read a part."""
        for node in self._nodes():
            if _within(node, path) and (part is None or not self._longer(node)):
                return True
        return any(
            _within(array, path) and (part is None or self._meets(array, chunks, part))
            for array, chunks in self.diff.updated_chunks.items()
        )

    def _nodes(self) -> set[str]:
        diff = self.diff
        moved = {place for move in diff.moved_nodes for place in move}
        made = diff.new_groups | diff.new_arrays | diff.deleted_groups | diff.deleted_arrays
        return made | diff.updated_groups | diff.updated_arrays | moved

    def _longer(self, node: str) -> bool:
        if node not in self.diff.updated_arrays - self.diff.new_arrays:
            return False
        before, after = (_array(session, node).metadata.to_dict() for session in (self.before, self.after))
        return {**before, "shape": None} == {**after, "shape": None}

    def _meets(self, array: str, chunks: list[list[int]], part: Region) -> bool:
        """Whether one of the chunks is in that part of the array."""
        found = _array(self.after, array)
        bounds: list[tuple[int, int]] = []
        for name, length, size in zip(found.metadata.dimension_names or (), found.shape, found.chunks, strict=True):
            start, stop, _ = part.get(str(name), slice(None)).indices(length)
            bounds.append((start // size, -(-stop // size)))
        return any(all(low <= at < high for at, (low, high) in zip(chunk, bounds, strict=True)) for chunk in chunks)


def _array(session: "icechunk.Session", node: str) -> Any:
    return need("zarr", "icechunk").open_array(session.store, path=node.strip("/"), mode="r")


def _within(node: str, path: str) -> bool:
    return node == path or node.startswith(f"{path.rstrip('/')}/")
