"""What a task did, fit for a log: names, places and sizes, never a value."""

from dataclasses import dataclass


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
class CheckoutReceipt(Receipt):
    """One repository's files in a folder: `commit` is their id, `path` the folder, or the block's `subpath` in it."""

    commit: str
    path: str
