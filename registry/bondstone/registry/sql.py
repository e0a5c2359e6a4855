"""The store of an SQL registry. One code path: what differs between databases is in `sqlite.py` and `postgresql.py`."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from bondstone.registry.envelope import unreadable
from bondstone.registry.errors import BondstoneError, Conflict, RegistryUnavailable
from bondstone.registry.head import Head
from bondstone.registry.keyring import WrappedKeyring
from bondstone.registry.store import (
    EVERYTHING,
    Adopted,
    AuditRow,
    ChainedRow,
    JournalLine,
    Lease,
    Relined,
    Resealed,
    Retagged,
    Sealed,
    SealedSettings,
    Sign,
    overtaken,
)

Row = tuple[Any, ...]
_ATTEMPTS = 5  # of a write whose connection is lost


class Connection(Protocol):
    """One thread's connection. Statements go by their name in `statements.py`."""

    memo: dict[tuple[str, str], Any]  # what the registry made of what it read through here
    epoch: object  # what `state` gave last

    def remember(self, key: tuple[str, str], value: Any) -> None:
        """Put into the memo, which is emptied before it grows large."""
        ...

    def rows(self, statement: str, parameters: dict[str, Any]) -> list[Row]: ...

    def change(self, statement: str, parameters: dict[str, Any]) -> int:
        """How many rows it changed."""
        ...

    def changes(self, statement: str, rows: Iterable[dict[str, Any]]) -> int:
        """The same for many at once: how many rows they changed together."""
        ...

    def state(self) -> object:
        """The same object as long as nobody commits; a new one each time where that cannot be told cheaply."""
        ...

    def tell(self) -> None:
        """Hint to others, when the transaction ends, that a head moved."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing, and durable when it ends. Writers wait for each other here, so that the audit log is one chain."""
        ...


class Database(Protocol):
    """Gives connections, and says what the driver's errors mean."""

    url: str
    tells_changes: bool  # whether a connection's `state` is cheap, and the same as long as nothing changed
    failures: tuple[type[Exception], ...]  # the driver's errors
    duplicates: type[Exception]  # its error for a key that is there already; one of `failures`

    def connection(self) -> Connection: ...

    def error(self, error: Exception) -> BondstoneError:
        """A failure as ours, without its parameters."""
        ...

    def lost(self, error: Exception) -> bool:
        """Whether the connection is gone, so that nothing tells how the transaction ended; the next `connection()` is a new one."""
        ...

    def exists(self) -> bool: ...

    def check_schema(self) -> None: ...

    def create(self, settings: dict[str, Any], keyring: dict[str, Any]) -> bool:
        """Make the tables with their first two rows, whole or not at all; False if they are there."""
        ...

    def hint(self) -> object:
        """Another object after somebody moved a head, as far as the database tells: late, or never."""
        ...

    def now(self) -> int:
        """Microseconds since 1970, by the server's clock where there is a server."""
        ...

    def close(self) -> None: ...


class SqlStore:
    """Keeps sealed records in SQL."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.url, self.tells_changes = database.url, database.tells_changes

    def __repr__(self) -> str:
        return f"SqlStore({self.url!r})"

    def exists(self) -> bool:
        return self.database.exists()

    def check_schema(self) -> None:
        self.database.check_schema()

    def close(self) -> None:
        self.database.close()

    def create(self, settings: SealedSettings, keyring: WrappedKeyring) -> bool:
        row = settings._asdict()
        return self.database.create({"id": 1, "settings": row.pop("envelope"), **row}, keyring._asdict())

    def settings(self) -> SealedSettings:
        rows = self._rows("registry", {})
        if len(rows) != 1:
            raise unreadable("the settings of this registry")
        return SealedSettings(*rows[0])

    def set_settings(self, settings: SealedSettings, audit: AuditRow, sign: Sign) -> None:
        values = {"generation": settings.generation, "changed_at": settings.changed_at, "settings": settings.envelope}

        def replace(connection: Connection) -> None:
            if not connection.change("set_settings", {**values, "expected": settings.generation - 1}):
                raise Conflict("another process changed the settings of this registry first: try again")

        self._write(replace, [audit], sign)

    def keyrings(self) -> list[WrappedKeyring]:
        return [WrappedKeyring(*row) for row in self._rows("keyrings", {})]

    def set_keyrings(
        self, old: Sequence[WrappedKeyring], new: Sequence[WrappedKeyring], audit: AuditRow, sign: Sign
    ) -> None:
        def replace(connection: Connection) -> None:
            if [WrappedKeyring(*row) for row in connection.rows("keyrings", {})] != list(old):
                raise Conflict("another process changed the keyring of this registry first: try again")
            connection.change("remove_keyrings", {})
            for row in new:
                connection.change("add_keyring", row._asdict())

        self._write(replace, [audit], sign)

    def session(self) -> Connection:
        return self.database.connection()

    def hint(self) -> object:
        return self.database.hint()

    def state(self, session: Connection) -> object:
        try:
            return session.state()
        except self.database.failures as error:
            raise self.database.error(error) from None

    def load(self, session: Connection, kind: str, name: str) -> tuple[Head, bytes, Sealed | None] | None:
        try:
            rows = session.rows("load", {"kind": kind, "name": name})
        except self.database.failures as error:
            raise self.database.error(error) from None
        if not rows:
            return None
        *numbers, tag, saved_at, envelope = rows[0]
        head = Head(kind, name, *numbers)
        return head, tag, None if envelope is None else Sealed(head.current, saved_at, envelope)

    def head(self, kind: str, name: str) -> tuple[Head, bytes] | None:
        rows = self._rows("head", {"kind": kind, "name": name})
        return _head((kind, name, *rows[0])) if rows else None

    def heads(self, kind: str, limit: int, offset: int) -> list[tuple[Head, bytes]]:
        return [_head(row) for row in self._rows("heads", {"kind": kind, "limit": limit, "offset": offset})]

    def all_heads(self, after: tuple[str, str], limit: int) -> list[tuple[Head, bytes]]:
        return [_head(row) for row in self._rows("all_heads", {**_after(after), "limit": limit})]

    def version(self, kind: str, name: str, version: int) -> Sealed | None:
        rows = self._rows("version", {"kind": kind, "name": name, "version": version})
        return Sealed(version, *rows[0]) if rows else None

    def history(self, kind: str, name: str) -> list[Sealed]:
        return [Sealed(*row) for row in self._rows("history", {"kind": kind, "name": name})]

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
        row = {**head._asdict(), "tag": tag, "expected": head.generation - 1 if over is None else over}
        move = "replace_head" if over is not None else "add_head" if head.generation == 1 else "move_head"

        def add(connection: Connection) -> None:
            if not connection.change(move, row):
                raise _moved_on(head)
            if sealed:
                connection.change("add_version", _version(head, sealed))
            if line:
                _put(connection, line)
            connection.tell()

        self._write(add, [audit], sign, duplicate=_moved_on(head))

    def journal(self, kind: str, name: str) -> JournalLine | None:
        rows = self._rows("journal", {"kind": kind, "name": name})
        return JournalLine(*rows[0]) if rows else None

    def journals(self, after: tuple[str, str], limit: int) -> list[JournalLine]:
        return [JournalLine(*row) for row in self._rows("journals", {**_after(after), "limit": limit})]

    def write_journal(self, line: JournalLine, audit: AuditRow, sign: Sign) -> None:
        self._write(lambda connection: _put(connection, line), [audit], sign)

    def take_lease(self, lease: Lease, audit: AuditRow, sign: Sign) -> None:
        taken = Conflict(f"there is a lease {lease.id} already")
        self._write(lambda connection: connection.change("add_lease", lease._asdict()), [audit], sign, duplicate=taken)

    def extend_lease(self, lease_id: str, until: int) -> bool:
        asked = {"lease_id": lease_id, "until": until}
        return bool(self._write(lambda connection: connection.change("extend_lease", asked)))

    def release_lease(self, lease_id: str) -> None:
        self._write(lambda connection: connection.change("release_lease", {"lease_id": lease_id}))

    def leases(self) -> list[Lease]:
        return [Lease(*row) for row in self._rows("leases", {})]

    def now(self) -> int:
        try:
            return self.database.now()
        except self.database.failures as error:
            raise self.database.error(error) from None

    def adopt(self, names: Sequence[Adopted], audit: AuditRow, sign: Sign) -> None:
        def add(connection: Connection) -> None:
            connection.changes("add_head", ({**name.head._asdict(), "tag": name.tag} for name in names))
            connection.changes("add_version", (_version(name.head, row) for name in names for row in name.versions))
            for line in (name.line for name in names if name.line):
                _put(connection, line)

        self._write(add, [audit], sign, duplicate=Conflict("a name that was to be added is there already"))

    def purge(self, kind: str, name: str, through: int, audit: AuditRow, sign: Sign) -> int:
        asked = {"kind": kind, "name": name, "through": through}
        return self._write(lambda connection: connection.change("purge", asked), [audit], sign)

    def discard(self, head: Head, audit: AuditRow, sign: Sign) -> int:
        asked = {"kind": head.kind, "name": head.name, "through": head.highest, "expected": head.generation}
        return self._write(lambda connection: connection.change("discard", asked), [audit], sign)

    def versions_of_other_keys(
        self, key_id: int, after: tuple[str, str, int], limit: int
    ) -> list[tuple[str, str, Sealed]]:
        rows = self._rows("versions_of_other_keys", {**_after(after), "key_id": key_id.to_bytes(4), "limit": limit})
        return [(row[0], row[1], Sealed(*row[2:])) for row in rows]

    def heads_of_other_keys(self, key_id: int, after: tuple[str, str], limit: int) -> list[tuple[Head, bytes]]:
        rows = self._rows("heads_of_other_keys", {**_after(after), "key_id": key_id.to_bytes(4), "limit": limit})
        return [_head(row) for row in rows]

    def count_of_other_keys(self, key_id: int) -> tuple[int, int]:
        versions, heads = self._rows("count_of_other_keys", {"key_id": key_id.to_bytes(4)})[0]
        return versions, heads

    def reseal(self, versions: Sequence[Resealed], heads: Sequence[Retagged], lines: Sequence[Relined] = ()) -> int:
        def swap(connection: Connection) -> int:
            changed = connection.changes("reseal_version", map(_resealing, versions))
            changed += connection.changes("reseal_journal", map(_relining, lines))
            return changed + connection.changes("retag_head", map(_retagging, heads))

        return self._write(swap)

    def record(self, rows: Sequence[AuditRow], sign: Sign) -> None:
        self._write(lambda _: None, rows, sign)

    def audit(
        self, *, since: int = 0, kind: str = "", name: str = "", limit: int = EVERYTHING, offset: int = 0
    ) -> list[ChainedRow]:
        asked = {"since": since, "kind": kind, "name": name, "limit": limit, "offset": offset}
        return [_chained(row) for row in self._rows("audit", asked)]

    def audit_from(self, after: int, limit: int) -> list[ChainedRow]:
        return [_chained(row) for row in self._rows("audit_from", {"after": after, "limit": limit})]

    def _rows(self, statement: str, parameters: dict[str, Any]) -> list[Row]:
        try:
            return self.database.connection().rows(statement, parameters)
        except self.database.failures as error:
            raise self.database.error(error) from None

    def _write[T](
        self,
        work: Callable[[Connection], T],
        rows: Sequence[AuditRow] = (),
        sign: Sign | None = None,
        *,
        duplicate: BondstoneError | None = None,
    ) -> T:
        """Do `work` and record it in one transaction: once, also where the connection is lost on the way."""
        write = _Write(work, rows, sign)
        fault: BondstoneError = RegistryUnavailable(f"registry {self.url} is unavailable: try again")
        for _ in range(_ATTEMPTS):
            try:
                return write.run(self.database.connection())
            except self.database.duplicates as error:
                fault = duplicate or self.database.error(error)
                break
            except self.database.failures as error:
                fault = self.database.error(error)
                if not self.database.lost(error):
                    break
                write.unsure = write.done or write.unsure
            except RegistryUnavailable as error:  # no new connection
                fault = error
                break
        raise _unknown(self.url, fault) if write.unsure else fault from None


class _Done[T](NamedTuple):
    """What a transaction gave, and the end of the audit log that it wrote."""

    result: T
    last: tuple[int, bytes] | None


class _Write[T]:
    """A transaction that can be tried again, and knows whether it happened already."""

    def __init__(self, work: Callable[[Connection], T], rows: Sequence[AuditRow], sign: Sign | None) -> None:
        self._work, self._rows, self._sign = work, rows, sign
        self.done: _Done[T] | None = None  # by the last attempt, if only its COMMIT was left
        self.unsure: _Done[T] | None = None  # by an attempt whose COMMIT was not answered

    def run(self, connection: Connection) -> T:
        self.done = None
        with connection.transaction():
            # Writers take turns, so an attempt of ours that is still unsure has ended by now, in one way or the other.
            if self.unsure and _is_there(connection, self.unsure.last):
                return self.unsure.result
            self.unsure = None
            done = _Done(self._work(connection), _append(connection, self._rows, self._sign))
            self.done = done
        return done.result


def _append(connection: Connection, rows: Sequence[AuditRow], sign: Sign | None) -> tuple[int, bytes] | None:
    """Chain rows to the end of the audit log, inside a transaction; the number and MAC of the last."""
    if not rows or sign is None:
        return None
    last = connection.rows("last_audit", {})
    seq, mac = last[0] if last else (0, b"")
    mac = mac if isinstance(mac, bytes) else b""  # planted; the chain tells, and goes on
    if seq + len(rows) >= EVERYTHING:  # planted too, and no number is left behind it
        raise unreadable("the end of the audit log")
    for row in rows:
        seq += 1
        mac = sign(seq, mac, row)
        connection.change("add_audit", {"seq": seq, **row._asdict(), "mac": mac})
    return seq, mac


def _is_there(connection: Connection, last: tuple[int, bytes] | None) -> bool:
    """Whether the audit log has this row; what wrote none may be done twice."""
    rows = connection.rows("audit_from", {"after": last[0] - 1, "limit": 1}) if last else []
    return bool(rows) and (rows[0][0], rows[0][-1]) == last


def _unknown(url: str, why: BondstoneError) -> RegistryUnavailable:
    return RegistryUnavailable(
        f"the connection to {url} was lost during a change, and it is unknown whether that was made: see 'bondstone history' ({why})"
    )


def _moved_on(head: Head) -> Conflict:
    return Conflict(f"another writer changed {head.kind}/{head.name} first: load it again and retry")


def _put(connection: Connection, line: JournalLine) -> None:
    """Write a line of the journal in place of the one before."""
    row = {**line._asdict(), "expected": line.number - 1}
    there = line.number == 1 and connection.rows("journal", {"kind": line.kind, "name": line.name})
    if there or not connection.change("add_journal" if line.number == 1 else "move_journal", row):
        raise overtaken(line.kind, line.name)


def _head(row: Row) -> tuple[Head, bytes]:
    return Head(*row[:-1]), row[-1]


def _chained(row: Row) -> ChainedRow:
    return ChainedRow(row[0], AuditRow(*row[1:-1]), row[-1])


def _after(key: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(("after_kind", "after_name", "after_version"), key, strict=False))


def _version(head: Head, sealed: Sealed) -> dict[str, Any]:
    values = {"version": sealed.version, "saved_at": sealed.saved_at, "sealed": sealed.envelope}
    return {"kind": head.kind, "name": head.name, **values}


def _resealing(item: Resealed) -> dict[str, Any]:
    return {"kind": item.kind, "name": item.name, "number": item.version, "old": item.old, "new": item.new}


def _retagging(item: Retagged) -> dict[str, Any]:
    head = item.head
    return {"kind": head.kind, "name": head.name, "expected": head.generation, "old": item.old, "new": item.new}


def _relining(item: Relined) -> dict[str, Any]:
    return {"kind": item.line.kind, "name": item.line.name, "old": item.line.sealed, "new": item.new}
