"""The versions of a repository that its branches and tags lead to."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import icechunk


@dataclass(frozen=True)
class Versions:
    """Everything that is reachable, as one look showed it."""

    branches: "dict[str, list[icechunk.SnapshotInfo]]"  # the history of each, newest first
    tags: "dict[str, list[icechunk.SnapshotInfo]]"

    @classmethod
    def of(cls, repository: "icechunk.Repository") -> "Versions":
        """One look at each branch and tag."""
        branches = {name: list(repository.ancestry(branch=name)) for name in repository.list_branches()}
        tags = {name: list(repository.ancestry(tag=name)) for name in repository.list_tags()}
        return cls(branches, tags)

    def all(self) -> "dict[str, icechunk.SnapshotInfo]":
        """By id."""
        return {item.id: item for history in (*self.branches.values(), *self.tags.values()) for item in history}

    def needed_since(self, moment: datetime) -> datetime:
        """When the oldest version was written that a session may have begun with at `moment` or later: what is older was not the newest."""
        return min(self._bases(moment), default=moment)

    def _bases(self, moment: datetime) -> Iterator[datetime]:
        for tip, *before in self.branches.values():
            if tip.written_at > moment:
                yield max((item.written_at for item in before if item.written_at <= moment), default=tip.written_at)
