"""What a task did, fit for a log: names, places and sizes, never a value."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Receipt:
    """What every task returns. `block` and `version` say which credential block was used, in which version."""

    uri: str
    block: str
    version: int


@dataclass(frozen=True)
class ObjectReceipt(Receipt):
    """One object written or read. `size` is in bytes; `etag` is the server's."""

    etag: str | None
    size: int


@dataclass(frozen=True)
class Changes:
    """How many groups and arrays a commit added, deleted and updated, and how many chunks it wrote."""

    added: int = 0
    deleted: int = 0
    updated: int = 0
    chunks: int = 0


@dataclass(frozen=True)
class CommitReceipt(Receipt):
    """One commit. `already` says that the same key had been committed before, by `snapshot`, and nothing was written now."""

    snapshot: str
    parent: str | None
    branch: str
    group: str | None
    key: str | None
    already: bool
    changes: Changes = Changes()

    @property
    def changed(self) -> bool:
        """False if there was nothing to write: `snapshot` is the one that was there."""
        return self.changes != Changes()


@dataclass(frozen=True)
class PublishReceipt(CommitReceipt):
    """One commit that was audited first. Where `published` is False, readers have not seen it: `snapshot` has the tag `held`."""

    published: bool = True
    held: str | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class TagReceipt(Receipt):
    """One tag. `already` says that it was there, on the same snapshot."""

    tag: str
    snapshot: str
    already: bool


@dataclass(frozen=True)
class RollbackReceipt(Receipt):
    """A branch that shows `snapshot` now. `undo` is what it showed before: a rollback to that restores it, until garbage is collected."""

    snapshot: str
    undo: str
    branch: str

    @property
    def changed(self) -> bool:
        """False if the branch showed that snapshot already."""
        return self.snapshot != self.undo


@dataclass(frozen=True)
class Freed:
    """What no version needs any more: objects, and their bytes in all. `failed` objects are still there: the next run takes them."""

    snapshots: int = 0
    manifests: int = 0
    chunks: int = 0
    bytes: int = 0
    failed: int = 0


@dataclass(frozen=True)
class GarbageReceipt(Receipt):
    """What went, or with `dry_run` would go, of all that was written before `cutoff`."""

    cutoff: datetime
    dry_run: bool
    freed: Freed


@dataclass(frozen=True)
class RetentionReceipt(GarbageReceipt):
    """Which versions went, or with `dry_run` would go; `tagged` are those kept for their day or month, `untagged` those no longer kept.

    With `dry_run`, `freed` counts no manifests, and of the versions that would go only their chunks.
    """

    expired: tuple[str, ...]
    tagged: tuple[str, ...]
    untagged: tuple[str, ...]


@dataclass(frozen=True)
class CheckoutReceipt(Receipt):
    """One repository's files in a folder: `commit` is their id, `path` the folder, or the block's `subpath` in it."""

    commit: str
    path: str
