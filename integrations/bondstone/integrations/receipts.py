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
class CommitReceipt(Receipt):
    """One commit. `already` says that the same key had been committed before, by `snapshot`, and nothing was written now."""

    snapshot: str
    parent: str | None
    branch: str
    group: str | None
    key: str | None
    already: bool


@dataclass(frozen=True)
class CheckoutReceipt(Receipt):
    """One repository's files in a folder: `commit` is their id, `path` the folder, or the block's `subpath` in it."""

    commit: str
    path: str


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
