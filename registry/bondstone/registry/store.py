"""The store of an SQL registry: rows in, rows out. It sees ciphertext and numbers only, and is not trusted."""

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from bondstone.registry.envelope import unreadable
from bondstone.registry.errors import Conflict
from bondstone.registry.head import Head
from bondstone.registry.keyring import WrappedKeyring
from bondstone.registry.sqlite import Connection, SqliteDatabase

EVERYTHING = 2**62  # as a limit


class Sealed(NamedTuple):
    """One version as it is stored."""

    version: int
    saved_at: int
    envelope: bytes


class SealedSettings(NamedTuple):
    """The registry's own row."""

    registry_id: str
    created_at: int
    generation: int
    changed_at: int
    envelope: bytes


class AuditRow(NamedTuple):
    """Who did what to which version, and how it ended. Never a value."""

    at: int
    actor: str
    action: str
    kind: str
    name: str
    version: int
    outcome: str


class SqlStore:
    """Keeps sealed records in SQL."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.database = database
        self.url = database.url

    def settings(self) -> SealedSettings:
        """The registry's own row. Raises `Unreadable` if it is gone."""
        with self.database.errors():
            rows = self.database.connection().rows("registry", {})
        if len(rows) != 1:
            raise unreadable("the settings of this registry")
        return SealedSettings(*rows[0])

    def keyrings(self) -> list[WrappedKeyring]:
        """The rows that hold the root keys, one per provider that can open them."""
        with self.database.errors():
            return [WrappedKeyring(*row) for row in self.database.connection().rows("keyrings", {})]

    def create(self, settings: SealedSettings, keyring: WrappedKeyring) -> bool:
        """Make the registry, whole or not at all; False if there is one already."""

        def fill(database: SqliteDatabase) -> None:
            connection = database.connection()
            with connection.transaction():
                row = settings._asdict()
                connection.change("add_registry", {**row, "id": 1, "settings": row.pop("envelope")})
                connection.change("add_keyring", keyring._asdict())

        return self.database.create(fill)

    def set_settings(self, settings: SealedSettings) -> None:
        """Replace the settings of the generation before. `Conflict` if another writer was first."""
        values = {"generation": settings.generation, "changed_at": settings.changed_at, "settings": settings.envelope}
        with self.database.errors():
            changed = self.database.connection().change("set_settings", {**values, "expected": settings.generation - 1})
        if not changed:
            raise Conflict("another process changed the settings of this registry first: try again")

    def state(self, connection: Connection) -> object:
        """The same object as long as nobody commits, as far as this connection was told."""
        try:
            return connection.state()
        except sqlite3.Error as error:
            raise self.database.error(error) from None

    def load(self, connection: Connection, kind: str, name: str) -> tuple[Head, bytes, Sealed | None] | None:
        """A name's head with its tag, and its current version, in one read; None if the name was never used."""
        try:  # not `errors()`: a context manager costs a tenth of a load
            rows = connection.rows("load", {"kind": kind, "name": name})
        except sqlite3.Error as error:
            raise self.database.error(error) from None
        if not rows:
            return None
        *head, tag, saved_at, envelope = rows[0]
        found = Head(*head)
        return found, tag, None if envelope is None else Sealed(found.current, saved_at, envelope)

    def head(self, kind: str, name: str) -> tuple[Head, bytes] | None:
        """A name's head and its tag; None if the name was never used."""
        with self.database.errors():
            rows = self.database.connection().rows("head", {"kind": kind, "name": name})
        return (Head(*rows[0][:-1]), rows[0][-1]) if rows else None

    def heads(self, kind: str, limit: int, offset: int) -> list[tuple[Head, bytes]]:
        """The heads that are not deleted, of one kind or of all (an empty `kind`), by kind, then name."""
        with self.database.errors():
            rows = self.database.connection().rows("heads", {"kind": kind, "limit": limit, "offset": offset})
        return [(Head(*row[:-1]), row[-1]) for row in rows]

    def version(self, kind: str, name: str, version: int) -> Sealed | None:
        """One version, or None."""
        with self.database.errors():
            rows = self.database.connection().rows("version", {"kind": kind, "name": name, "version": version})
        return Sealed(version, *rows[0]) if rows else None

    def history(self, kind: str, name: str) -> list[Sealed]:
        """Every version, oldest first."""
        with self.database.errors():
            rows = self.database.connection().rows("history", {"kind": kind, "name": name})
        return [Sealed(*row) for row in rows]

    def commit(
        self, head: Head, tag: bytes, sealed: Sealed | None, audit: AuditRow, *, over: bytes | None = None
    ) -> None:
        """Add a version, move its name from the generation before to `head`, and record it: all or nothing.

        `Conflict`, and no change, if the name has moved on. With `over`, the tag of a head whose numbers cannot be trusted, that head
        is the one to move from.
        """
        connection = self.database.connection()
        row = {**head._asdict(), "tag": tag, "expected": head.generation - 1 if over is None else over}
        move = "add_head" if head.generation == 1 else "move_head"
        with self.database.errors(), connection.transaction():
            try:
                moved = connection.change(move if over is None else "replace_head", row)
                if moved and sealed:
                    values = {"version": sealed.version, "saved_at": sealed.saved_at, "sealed": sealed.envelope}
                    connection.change("add_version", {"kind": head.kind, "name": head.name, **values})
            except sqlite3.IntegrityError:
                moved = 0
            if not moved:
                raise Conflict(f"another writer changed {head.kind}/{head.name} first: load it again and retry")
            connection.change("add_audit", audit._asdict())

    def record(self, rows: Iterable[AuditRow]) -> None:
        """Append to the audit log."""
        connection = self.database.connection()
        with self.database.errors(), connection.transaction():
            for row in rows:
                connection.change("add_audit", row._asdict())

    def audit(self, limit: int, offset: int) -> list[AuditRow]:
        """The audit log, newest first."""
        with self.database.errors():
            rows = self.database.connection().rows("audit", {"limit": limit, "offset": offset})
        return [AuditRow(*row[1:]) for row in rows]
