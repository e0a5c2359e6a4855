"""Commit a dataset as a new version: exactly once for each key, whatever is retried, raced or killed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bondstone.blocks import InvalidName
from bondstone.integrations.encoding import with_default_codecs
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk import nodes
from bondstone.integrations.icechunk.committing import KEEP_KEYS, Change, Work, commit
from bondstone.integrations.icechunk.markers import FOLDER
from bondstone.integrations.icechunk.repo import repo
from bondstone.integrations.icechunk.same import refuse_other
from bondstone.integrations.receipts import CommitReceipt

if TYPE_CHECKING:
    import icechunk
    import xarray

type Writer = Callable[[icechunk.Session], object]


@dataclass(frozen=True)
class IcechunkCommit:
    """Write a dataset into a group, replacing what was there, and commit that as the new version of a repository."""

    repo: str  # the name of an IcechunkRepo block, or arraylake-repo/name
    ttl: float | None = None
    keep_keys: int = KEEP_KEYS  # at least as many keys are remembered, the newest

    def __call__(
        self, content: "xarray.Dataset | Writer", /, *, message: str, group: str | None = None, key: str | None = None
    ) -> CommitReceipt:
        """Commit a dataset, or what a function writes into the session that it is given (it is called anew after each conflict).

        With `key`, a second call of the same key writes nothing and returns the first one's snapshot. Other groups, also inside `group`,
        stay as they are. When nothing is written there is no commit: `changed` of the receipt says so. Raises `AccessDenied`, `NotFound`,
        `ServiceUnavailable`, `InvalidName`, and `Conflict` if the key has committed another dataset, or if other writers kept winning for
        20 tries.
        """
        path, target = checked(group), repo(self.repo, ttl=self.ttl)
        return commit(Work(target, change_of(content, path), message, path, key, self.keep_keys))


def change_of(content: "xarray.Dataset | Writer", group: str | None) -> Change:
    """A dataset that replaces what is in a group, or what a function writes."""
    return _Written(content) if callable(content) else _Replaced(content, group)


def checked(group: str | None) -> str | None:
    """The path of a group; None for the root. Raises `InvalidName`."""
    path = (group or "").strip("/")
    if any(part in ("", ".", "..", FOLDER) for part in path.split("/") if path):
        raise InvalidName(f"a group is a path such as 'xarray/means', without '.', '..' or '{FOLDER}'")
    return path or None


class Rebased:
    """A change that goes together with others', as long as they wrote elsewhere; icechunk looks at groups, arrays and chunks."""

    def rebase(self, session: "icechunk.Session", _: "icechunk.Repository", /) -> bool:
        """Raises the vendor's `RebaseFailedError` where it does not: then it is written anew."""
        session.rebase(need("icechunk", "icechunk").ConflictDetector())
        return True


@dataclass(frozen=True)
class _Replaced(Rebased):
    dataset: Any
    group: str | None

    def write(self, session: "icechunk.Session") -> dict[str, Any]:
        need("xarray", "icechunk")
        write = need("icechunk.xarray", "icechunk").to_icechunk
        clear(session, self.group)
        write(with_default_codecs(self.dataset), session, group=self.group, mode="a")
        return {"group": self.group}

    def compare(self, session: "icechunk.Session | None", facts: dict[str, Any]) -> None:
        refuse_other(self.dataset, self.group, session, facts)


@dataclass(frozen=True)
class _Written(Rebased):
    writer: "Writer"

    def write(self, session: "icechunk.Session") -> dict[str, Any]:
        self.writer(session)
        return {}

    def compare(self, session: "icechunk.Session | None", facts: dict[str, Any]) -> None:
        """What a function would write is not known without calling it: its key alone counts."""


def clear(session: "icechunk.Session", group: str | None) -> None:
    """Remove the arrays and attributes of a group, not the groups inside it: `mode="w"` would take those, and our markers, along."""
    nodes.wait(_cleared(session.store, group or ""))


async def _cleared(store: "icechunk.IcechunkStore", path: str) -> None:
    here = await nodes.node(store, path)
    if here is None or here["node_type"] != "group":  # of an array whoever writes the group is told
        return
    for name in await nodes.children(store, path):
        below = f"{path}/{name}" if path else name
        if (inner := await nodes.node(store, below)) and inner["node_type"] == "array":
            await store.delete_dir(below)
    if here.get("attributes"):
        await nodes.put(store, path, {})
