"""What a store keeps, and what every store promises. It sees ciphertext and numbers only, and is not trusted."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from bondstone.registry.audit_chain import AuditRow, ChainedRow, Sign
from bondstone.registry.errors import Conflict
from bondstone.registry.head import Head
from bondstone.registry.keyring import WrappedKeyring

__all__ = [
    "Adopted",
    "AuditRow",
    "ChainedRow",
    "JournalLine",
    "Lease",
    "Overtaken",
    "Relined",
    "Resealed",
    "Retagged",
    "Sealed",
    "SealedSettings",
    "Sign",
    "Store",
]
EVERYTHING = 2**62  # as a limit
START = ("", "", 0)  # before the first record


class Sealed(NamedTuple):
    """One version as it is stored."""

    version: int
    saved_at: int
    envelope: bytes


class Adopted(NamedTuple):
    """A whole name, from another registry."""

    head: Head
    tag: bytes
    versions: Sequence[Sealed]
    line: "JournalLine | None" = None


class SealedSettings(NamedTuple):
    """The registry's own row."""

    registry_id: str
    created_at: int
    generation: int
    changed_at: int
    envelope: bytes


class Resealed(NamedTuple):
    """A version under another root key: `new` takes the place of `old`, if that is still there."""

    kind: str
    name: str
    version: int
    old: bytes
    new: bytes


class Retagged(NamedTuple):
    """A head under another root key."""

    head: Head
    old: bytes
    new: bytes


class JournalLine(NamedTuple):
    """Where the rotation of a name stands, sealed."""

    kind: str
    name: str
    number: int  # one more with each step
    at: int
    sealed: bytes


class Overtaken(Conflict):
    """Another process took over the rotation: this one must stop at once."""


def overtaken(kind: str, name: str) -> Overtaken:
    return Overtaken(f"another process took over the rotation of {kind}/{name}: see 'bondstone rotations'")


class Relined(NamedTuple):
    """A line of the journal under another root key."""

    line: JournalLine
    new: bytes


class Lease(NamedTuple):
    """Somebody uses a version until then. Times are in microseconds since 1970. Nothing proves it: the threat model says what follows."""

    id: str
    kind: str
    name: str
    version: int
    holder: str
    taken_at: int
    until: int


class Store(Protocol):
    """Keeps sealed records. Every method raises `RegistryUnavailable` if the store does not answer."""

    url: str  # without a password
    tells_changes: bool  # whether `state` is cheap, and the same as long as nothing changed

    def exists(self) -> bool:
        """Whether there is a registry here."""
        ...

    def check_schema(self) -> None:
        """Make ready for use. `UnsupportedFormat` if it was written by a newer bondstone."""
        ...

    def create(self, settings: SealedSettings, keyring: WrappedKeyring) -> bool:
        """Make the registry, whole or not at all; False, and no change, if there is one already."""
        ...

    def settings(self) -> SealedSettings:
        """The registry's own row. `Unreadable` if it is gone."""
        ...

    def set_settings(self, settings: SealedSettings, audit: AuditRow, sign: Sign) -> None:
        """Replace the settings of the generation before. `Conflict` if another writer was first."""
        ...

    def keyrings(self) -> list[WrappedKeyring]:
        """The rows that hold the root keys, one per provider that can open them, by slot."""
        ...

    def set_keyrings(
        self, old: Sequence[WrappedKeyring], new: Sequence[WrappedKeyring], audit: AuditRow, sign: Sign
    ) -> None:
        """Replace all rows, if they are still `old`; else `Conflict`, and no change."""
        ...

    def session(self) -> Any:
        """What this thread reads through: given to `state` and `load`."""
        ...

    def state(self, session: Any) -> object:
        """The same object as long as nobody commits, as far as this session was told; a new one each time where that is not known."""
        ...

    def hint(self) -> object:
        """Another object after somebody moved a head, as far as the store gets to know: late, or never."""
        ...

    def load(self, session: Any, kind: str, name: str) -> tuple[Head, bytes, Sealed | None] | None:
        """A name's head with its tag, and its current version, in one read; None if the name was never used."""
        ...

    def head(self, kind: str, name: str) -> tuple[Head, bytes] | None:
        """A name's head and its tag; None if the name was never used."""
        ...

    def heads(self, kind: str, limit: int, offset: int) -> list[tuple[Head, bytes]]:
        """The heads that are not deleted, of one kind or of all (an empty `kind`), by kind, then name."""
        ...

    def all_heads(self, after: tuple[str, str], limit: int) -> list[tuple[Head, bytes]]:
        """A page of all heads, deleted ones too, by kind, then name."""
        ...

    def version(self, kind: str, name: str, version: int) -> Sealed | None:
        """One version, or None."""
        ...

    def history(self, kind: str, name: str) -> list[Sealed]:
        """Every version that is there, oldest first."""
        ...

    def commit(
        self,
        head: Head,
        tag: bytes,
        sealed: Sealed | None,
        audit: AuditRow,
        sign: Sign,
        *,
        over: bytes | None = None,
        line: JournalLine | None = None,
    ) -> None:
        """Add a version, move its name from the generation before to `head`, write `line`, and record it: all or nothing.

        `Conflict`, and no change, if the name or its journal has moved on. With `over`, the tag of a head whose numbers cannot be
        trusted, that head is the one to move from.
        """
        ...

    def journal(self, kind: str, name: str) -> JournalLine | None:
        """A name's line in the journal."""
        ...

    def journals(self, after: tuple[str, str], limit: int) -> list[JournalLine]:
        """A page of all lines, by kind, then name."""
        ...

    def write_journal(self, line: JournalLine, audit: AuditRow, sign: Sign) -> None:
        """Replace the line of the number before, and record it. `Conflict`, and no change, if another writer was first."""
        ...

    def take_lease(self, lease: Lease, audit: AuditRow, sign: Sign) -> None:
        """Add a lease, and record it."""
        ...

    def extend_lease(self, lease_id: str, until: int) -> bool:
        """Let a lease end later, or earlier; whether it was there."""
        ...

    def release_lease(self, lease_id: str) -> None:
        """Remove a lease, if it is there."""
        ...

    def leases(self) -> list[Lease]:
        """Every lease, those that have ended too, by kind, name and end."""
        ...

    def now(self) -> int:
        """Microseconds since 1970 by the one clock that all who use this store share, as far as there is one."""
        ...

    def adopt(self, names: Sequence[Adopted], audit: AuditRow, sign: Sign) -> None:
        """Add names with all their versions, and record it: all or nothing. `Conflict`, and no change, if one of them is there."""
        ...

    def purge(self, kind: str, name: str, through: int, audit: AuditRow, sign: Sign) -> int:
        """Erase the ciphertext of the versions up to `through`; how many there were."""
        ...

    def discard(self, head: Head, audit: AuditRow, sign: Sign) -> int:
        """Erase the versions above the highest number of `head`, if the name is still at its generation (0: never used); how many."""
        ...

    def versions_of_other_keys(
        self, key_id: int, after: tuple[str, str, int], limit: int
    ) -> list[tuple[str, str, Sealed]]:
        """A page of the versions that another root key than `key_id` sealed, in the order of kind, name, version."""
        ...

    def heads_of_other_keys(self, key_id: int, after: tuple[str, str], limit: int) -> list[tuple[Head, bytes]]:
        """A page of the heads that another root key than `key_id` authenticates."""
        ...

    def count_of_other_keys(self, key_id: int) -> tuple[int, int]:
        """How many versions and heads another root key than `key_id` sealed; all of them for 0, which is no root key's."""
        ...

    def reseal(self, versions: Sequence[Resealed], heads: Sequence[Retagged], lines: Sequence[Relined] = ()) -> int:
        """Replace what is still as it was, in one transaction; how many were."""
        ...

    def record(self, rows: Sequence[AuditRow], sign: Sign) -> None:
        """Append to the audit log."""
        ...

    def audit(
        self, *, since: int = 0, kind: str = "", name: str = "", limit: int = EVERYTHING, offset: int = 0
    ) -> list[ChainedRow]:
        """The audit log, newest first."""
        ...

    def audit_from(self, after: int, limit: int) -> list[ChainedRow]:
        """A page of the audit log, oldest first, behind number `after`."""
        ...

    def close(self) -> None:
        """Close what this thread holds open."""
        ...
