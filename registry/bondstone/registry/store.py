"""What a store keeps, and what every store promises. It sees ciphertext and numbers only, and is not trusted."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from bondstone.registry.audit_chain import AuditRow, ChainedRow, Sign
from bondstone.registry.head import Head
from bondstone.registry.keyring import WrappedKeyring

__all__ = ["Adopted", "AuditRow", "ChainedRow", "Resealed", "Retagged", "Sealed", "SealedSettings", "Sign", "Store"]
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


class Store(Protocol):
    """Keeps sealed records. Every method raises `RegistryUnavailable` if the store does not answer."""

    url: str  # without a password

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
        self, head: Head, tag: bytes, sealed: Sealed | None, audit: AuditRow, sign: Sign, *, over: bytes | None = None
    ) -> None:
        """Add a version, move its name from the generation before to `head`, and record it: all or nothing.

        `Conflict`, and no change, if the name has moved on. With `over`, the tag of a head whose numbers cannot be trusted, that head
        is the one to move from.
        """
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

    def reseal(self, versions: Sequence[Resealed], heads: Sequence[Retagged]) -> int:
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
