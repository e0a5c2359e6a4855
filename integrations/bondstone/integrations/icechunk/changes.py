"""What a session is about to change, in numbers."""

from typing import TYPE_CHECKING

from bondstone.integrations.icechunk.markers import FOLDER
from bondstone.integrations.receipts import Changes

if TYPE_CHECKING:
    import icechunk


def changes(session: "icechunk.Session") -> Changes:
    """Nodes and chunks, without the markers of keys."""
    return counted(session.status())


def counted(diff: "icechunk.Diff") -> Changes:
    """The same of any two versions."""
    added = _ours(diff.new_groups) + _ours(diff.new_arrays)
    deleted = _ours(diff.deleted_groups) + _ours(diff.deleted_arrays)
    updated = _ours(diff.updated_groups) + _ours(diff.updated_arrays)
    return Changes(added, deleted, updated, sum(map(len, diff.updated_chunks.values())))


def _ours(paths: set[str]) -> int:
    return sum(not f"{path}/".startswith(f"/{FOLDER}/") for path in paths)
