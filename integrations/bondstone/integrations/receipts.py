"""What a task did, fit for a log: names, places and sizes, never a value."""

from dataclasses import dataclass, field
from datetime import datetime

from bondstone.blocks import SecretStr


@dataclass(frozen=True)
class Receipt:
    """What every task returns. `block` and `version` say which credential block was used, in which version."""

    uri: str
    block: str
    version: int


@dataclass(frozen=True)
class ObjectReceipt(Receipt):
    """One object written or read, as it is stored: `size` in bytes, `checksum` as ``crc32:1c291ca3``; `etag` is the server's."""

    etag: str | None
    size: int
    checksum: str | None = None
    seconds: float = field(default=0.0, compare=False)  # two runs of the same work are equal


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
class CheckoutReceipt(Receipt):
    """One repository's files in a folder: `commit` is their id, `path` the folder, or the block's `subpath` in it."""

    commit: str
    path: str


@dataclass(frozen=True)
class FolderReceipt(ObjectReceipt):
    """Many objects below one prefix: `size` is their sum and `etag` None. `objects` has each, and stays out of logs."""

    count: int = 0
    objects: tuple[ObjectReceipt, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class SyncReceipt(Receipt):
    """What a sync did, or would do: keys relative to the prefix, in order. `size` is what was transferred, in bytes."""

    transferred: tuple[str, ...]
    deleted: tuple[str, ...]
    same: int
    size: int
    dry_run: bool
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class DeleteReceipt(Receipt):
    """How many keys were asked to be gone; S3 does not tell which of them were there."""

    count: int


@dataclass(frozen=True)
class SignedUrl(Receipt):
    """A URL that lets whoever has it do one thing with one object until `expires_at`. It is a secret: it hides, and does not pickle."""

    method: str
    expires_at: datetime
    url: SecretStr


@dataclass(frozen=True)
class ZarrReceipt(Receipt):
    """One whole dataset. `previous` is the snapshot that was current before it; `size` is stored bytes; `already` as for commits."""

    path: str
    snapshot: str
    previous: str | None
    key: str | None
    already: bool
    size: int


@dataclass(frozen=True)
class IngestReceipt(CommitReceipt):
    """One ingest of virtual data: the URLs that were added, and those that had been before. `already` says that all had been."""

    ingested: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fault:
    """A chunk, manifest or source that a reader would not get. `what` is one of: missing, changed, gone, refused."""

    where: str
    what: str


@dataclass(frozen=True)
class VerifyReceipt(Receipt):
    """What was found of a snapshot: `checked` of its `chunks` and all its `sources` were asked for, unless time was up: `complete`."""

    snapshot: str
    arrays: int
    manifests: int
    chunks: int
    checked: int
    sources: int
    complete: bool
    missing: tuple[Fault, ...]  # of the repository's own
    stale: tuple[Fault, ...]  # what virtual data refer to

    @property
    def ok(self) -> bool:
        """All that was asked for is there, and as it was."""
        return self.complete and not self.missing and not self.stale


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
class MessageReceipt(Receipt):
    """One message that was taken, by the `status` of the answer. `uri` is the host alone: the rest of a webhook's URL is secret."""

    status: int
    tries: int


@dataclass(frozen=True)
class TableReceipt(Receipt):
    """`rows` that are in `table` since one transaction."""

    table: str
    rows: int
