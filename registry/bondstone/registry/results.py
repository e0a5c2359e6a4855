"""What the registry hands out."""

import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

from bondstone.registry.head import Head
from bondstone.registry.names import Reference

UNREADABLE = "unreadable"


def microseconds() -> int:
    """Now, in microseconds since 1970."""
    return time.time_ns() // 1000


def when(time_: int) -> datetime:
    """A stored time as a datetime in UTC."""
    return datetime.fromtimestamp(time_ / 1_000_000, UTC)


def clock(time_: int) -> str:
    """A stored time for a person. One that is out of range was planted, or comes from a broken clock."""
    try:
        return f"{when(time_):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return "no end"


class Document(NamedTuple):
    """One version, opened. A tuple: one is made for every load."""

    version: int
    saved_at: int  # microseconds since 1970
    content: bytes
    made: dict[Any, Any]  # what the caller made of the content, if it likes to find that again; empty at first

    def __repr__(self) -> str:
        return f"Document(version={self.version})"


class Version(NamedTuple):
    """One line of a name's history."""

    version: int
    saved_at: datetime
    deleted: bool
    state: str  # "current", "previous", "pending", "" or, with a time of 1970, "unreadable"


class Listed(NamedTuple):
    """One line of a listing. Of an unreadable one only kind and name are known, and those are not proved."""

    kind: str
    name: str
    version: int
    changed_at: datetime
    readable: bool

    @property
    def reference(self) -> Reference:
        return Reference(self.kind, self.name)


class Plain(NamedTuple):
    """A version on its way from one registry to another."""

    version: int
    saved_at: int
    content: bytes

    def __repr__(self) -> str:
        return f"Plain(version={self.version})"


class WholeName(NamedTuple):
    """A name with all that is there of it, deleted versions too."""

    head: Head
    versions: list[Plain]
    rotation: bytes = b""  # JSON; of one whose old credential is to be retired, else empty


class SetBack(NamedTuple):
    """A name whose head is older than one that was seen here."""

    kind: str
    name: str
    seen: int  # generation
    found: int  # generation; 0: the name is gone
