"""What happened to a repository: its versions, and what differs between two of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from bondstone.blocks import NotFound
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.asking import asked, found
from bondstone.integrations.icechunk.markers import FOLDER
from bondstone.integrations.icechunk.repo import Repo, repo

if TYPE_CHECKING:
    import icechunk


@dataclass(frozen=True)
class LogEntry:
    """One version. `metadata` says where it came from, of commits by bondstone; `tags` are the names that it has."""

    snapshot: str
    parent: str | None
    at: datetime
    message: str
    tags: tuple[str, ...]
    metadata: dict[str, Any]


@dataclass(frozen=True)
class NodeChange:
    """A group or array that was `added`, `deleted` or `changed`, and how many of its chunks were written."""

    path: str
    change: str
    chunks: int


def log(name: str, *, limit: int | None = None, ttl: float | None = None) -> list[LogEntry]:
    """The versions of the branch of a repository's block, newest first. Raises `AccessDenied`, `NotFound`, `ServiceUnavailable`."""
    target = repo(name, ttl=ttl)
    return asked(target, lambda repository: _log(target, repository, limit))


def diff(name: str, old: str, new: str | None = None, *, ttl: float | None = None) -> list[NodeChange]:
    """What changed from one snapshot or tag to a later one, or to what the branch shows; by path.

    Raises `NotFound` if one is not there, or if the older is not in the history of the newer.
    """
    target = repo(name, ttl=ttl)
    return asked(target, lambda repository: _diff(target, repository, old, new))


def _log(target: Repo, repository: "icechunk.Repository", limit: int | None) -> list[LogEntry]:
    tags: dict[str, tuple[str, ...]] = {}
    for tag in sorted(repository.list_tags()):
        snapshot = repository.lookup_tag(tag)
        tags[snapshot] = (*tags.get(snapshot, ()), tag)
    history = repository.ancestry(branch=target.handle.get().branch)
    return [
        LogEntry(item.id, item.parent_id, item.written_at, item.message, tags.get(item.id, ()), dict(item.metadata))
        for item in islice(history, limit)
    ]


def _diff(target: Repo, repository: "icechunk.Repository", old: str, new: str | None) -> list[NodeChange]:
    first = found(repository, old)
    last = found(repository, new) if new else repository.lookup_branch(target.handle.get().branch)
    if first == last:
        return []
    try:
        return _nodes(repository.diff(from_snapshot_id=first, to_snapshot_id=last))
    except need("icechunk", "icechunk").InvalidInputError:
        pass
    raise NotFound(f"{first} is not in the history of {last}: give the older version first; see 'bondstone log'")


def _nodes(found: "icechunk.Diff") -> list[NodeChange]:
    chunks = {path: len(places) for path, places in found.updated_chunks.items()}
    kinds: dict[str, Iterable[str]] = {
        "changed": {*found.updated_groups, *found.updated_arrays, *chunks},
        "deleted": {*found.deleted_groups, *found.deleted_arrays},
        "added": {*found.new_groups, *found.new_arrays},
    }
    changes = {path: change for change, paths in kinds.items() for path in paths}  # made anew is changed, by its chunks
    for path in {*found.deleted_arrays} & {*found.new_arrays}:
        changes[path] = "changed"
    ours = (path for path in changes if not f"{path}/".startswith(f"/{FOLDER}/"))
    return [NodeChange(path, changes[path], chunks.get(path, 0)) for path in sorted(ours)]
