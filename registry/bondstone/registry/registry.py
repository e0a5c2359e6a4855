"""The registry: named, versioned, sealed documents."""

import json
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Concatenate, NamedTuple

from bondstone.registry.envelope import Context, unreadable
from bondstone.registry.errors import (
    BondstoneError,
    Conflict,
    InvalidBlock,
    InvalidName,
    InvalidSettings,
    NotFound,
    RegistryUnavailable,
    Unreadable,
    WrongKey,
)
from bondstone.registry.head import Head
from bondstone.registry.keyring import PRIMARY, Keyring
from bondstone.registry.keys import KeyProvider
from bondstone.registry.log import ReadLog, actor
from bondstone.registry.names import Reference, check_kind, check_name, for_the_record, shown
from bondstone.registry.store import EVERYTHING, AuditRow, Sealed, SealedSettings, SqlStore

MAX_DOCUMENT = 1024 * 1024
DEFAULT_MAX_TTL = 300
_RETRIES = 100


def microseconds() -> int:
    """Now, in microseconds since 1970."""
    return time.time_ns() // 1000


class Document(NamedTuple):
    """One version, opened. A tuple: one is made for every load."""

    version: int
    saved_at: int  # microseconds since 1970
    content: bytes
    made: dict[Any, Any]  # what the caller made of the content, if it likes to find that again; empty at first

    def __repr__(self) -> str:
        return f"Document(version={self.version})"


class _Opened(NamedTuple):
    """A document, the sealed bytes that it was opened from, and the registry's state when they were read, or before."""

    state: object
    sealed: Sealed | None
    document: Document


class Version(NamedTuple):
    """One line of a name's history."""

    version: int
    saved_at: datetime
    deleted: bool
    state: str  # "current", "previous", "pending", "" or, with a time of 1970, "unreadable"


UNREADABLE = "unreadable"


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


def _recorded[**P, R](
    change: "Callable[Concatenate[Registry, str, str, P], R]",
) -> "Callable[Concatenate[Registry, str, str, P], R]":
    """Record the refusal of a change; a change that is made is recorded in its own transaction."""

    @wraps(change)
    def call(self: "Registry", kind: str, name: str, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return change(self, kind, name, *args, **kwargs)
        except BondstoneError as error:
            self._refused(change.__name__, kind, name, error)
            raise

    return call


class Registry:
    """Saves and loads documents by kind and name; knows nothing of what is in them.

    Made by `create` and `open`. `clock` gives microseconds since 1970.
    """

    def __init__(self, store: SqlStore, keyring: Keyring, *, clock: Callable[[], int] = microseconds) -> None:
        self._store, self._keyring, self._clock = store, keyring, clock
        self.id = keyring.registry_id
        self.url = store.url
        self.address = (store.url, keyring.registry_id)  # what a name needs to be found again elsewhere
        self._reads = ReadLog(store, clock)

    def __repr__(self) -> str:
        return f"Registry({self.url!r})"

    @classmethod
    def create(
        cls,
        store: SqlStore,
        provider: KeyProvider,
        *,
        max_ttl: int = DEFAULT_MAX_TTL,
        clock: Callable[[], int] = microseconds,
    ) -> "Registry":
        """Make the registry if there is none yet, and open it."""
        registry_id, now = uuid.uuid4().hex, clock()
        keyring = Keyring.create(registry_id, now)
        settings = _seal_settings(keyring, SealedSettings(registry_id, now, 1, now, b""), max_ttl)
        store.create(settings, keyring.wrap(provider, PRIMARY, 1, now))
        return cls.open(store, provider, clock=clock)

    @classmethod
    def open(cls, store: SqlStore, provider: KeyProvider, *, clock: Callable[[], int] = microseconds) -> "Registry":
        """Open an existing registry. Raises `WrongKey` before anything is read or written."""
        try:
            store.database.check_schema()
            keyring = Keyring.unwrap(store.settings().registry_id, store.keyrings(), provider)
        except BondstoneError:
            store.database.close()
            raise
        return cls(store, keyring, clock=clock)

    @property
    def max_ttl(self) -> int:
        """Longest time in seconds that a handle may serve a value without having asked the registry."""
        row = self._store.settings()
        plain = self._keyring.open(_settings_context(row), row.envelope, "the settings of this registry")
        return int(json.loads(plain)["max_ttl"])

    def set_max_ttl(self, seconds: int) -> None:
        row = self._store.settings()
        now = max(self._clock(), row.changed_at)
        changed = row._replace(generation=row.generation + 1, changed_at=now)
        self._store.set_settings(_seal_settings(self._keyring, changed, seconds))

    @_recorded
    def save(
        self, kind: str, name: str, content: bytes, *, overwrite: bool = False, base: int | None = None
    ) -> Document:
        """Save the next version of a name and make it the current one.

        Without `overwrite` the name must be free. With `base`, the current version must be that one. Raises `Conflict`,
        with nothing changed, `InvalidName`, or `InvalidBlock` above 1 MiB.
        """

        def allowed(head: Head) -> Head:
            if not head.deleted and not overwrite:
                raise Conflict(f"{kind}/{name} is taken: pass overwrite=True (--overwrite) to save a new version")
            if base is not None and head.current != base:
                raise Conflict(
                    f"{kind}/{name} is at version {head.current}, not {base}: load it again and redo the change"
                )
            return head

        return self._add("save", kind, name, content, lambda head, number, now: allowed(head).saved(number, now))

    @_recorded
    def stage(self, kind: str, name: str, content: bytes) -> Document:
        """Save the next version of a name as its pending one; `promote` makes it current."""
        return self._add("stage", kind, name, content, lambda head, number, now: head.staged(number, now))

    def _add(
        self, action: str, kind: str, name: str, content: bytes, move: Callable[[Head, int, int], Head]
    ) -> Document:
        check_kind(kind)
        check_name(name)
        if len(content) > MAX_DOCUMENT:
            raise InvalidBlock(f"{kind}/{name} is larger than 1 MiB: keep the data elsewhere and save where it is")
        for attempt in range(_RETRIES):
            head = self._head(kind, name) or Head(kind, name)
            version = head.highest + 1
            moved = move(head, version, self._clock())
            envelope = self._keyring.seal(self._context(kind, name, version, moved.changed_at), content)
            try:
                self._commit(moved, Sealed(version, moved.changed_at, envelope), action, version)
            except Conflict:
                # Somebody was faster. Whether this writer may still go on, `move` decides with the new head.
                if attempt == _RETRIES - 1:
                    raise
            else:
                return Document(version, moved.changed_at, content, {})
        raise AssertionError("unreachable")

    def state(self) -> object:
        """Something that is the same object as long as nobody changed anything here, as far as this thread was told. Costs 6 µs."""
        return self._store.state(self._store.database.connection())

    def load(self, kind: str, name: str, version: int | None = None) -> Document:
        """The current version of a name, or the one asked for. Raises `NotFound`, `Unreadable`, `WrongKey`, `RegistryUnavailable`."""
        try:
            document = self._current(kind, name) if version is None else self._version(kind, name, version)
        except BondstoneError as error:
            self._refused("load", kind, name, error, version)
            raise
        self._reads.add(kind, name, document.version, "ok")
        return document

    def _refused(self, action: str, kind: str, name: str, error: BondstoneError, version: int | None = None) -> None:
        """Record a refusal, where there is something to record it in."""
        if not isinstance(error, RegistryUnavailable):
            number = version if version is not None and _plausible(version) else 0
            self._reads.add(for_the_record(str(kind)), for_the_record(str(name)), number, error.code, action)

    def _current(self, kind: str, name: str) -> Document:
        connection = self._store.database.connection()
        known: _Opened | None = connection.memo.get((kind, name))
        # Where nothing is known the last state will do: what is read from here on is not older.
        state = self._store.state(connection) if known else connection.epoch
        if known and known.state is state:
            return known.document
        connection.memo.pop((kind, name), None)
        check_kind(kind)
        check_name(name)
        found = self._store.load(connection, kind, name)
        if found is None or self._keyring.check(*found[:2]).deleted:
            raise NotFound(self._missing(kind, name))
        head, _, sealed = found
        if not head.current:
            raise NotFound(f"{kind}/{name} has only a pending version: promote it first")
        # Of the same version and bytes comes the same document: only the head had to be proved again.
        same = known.document if known and known.sealed == sealed else None
        document = same or self._open(kind, name, sealed, f"{kind}/{name}")
        connection.remember((kind, name), _Opened(state, sealed, document))
        return document

    def _version(self, kind: str, name: str, version: int) -> Document:
        reference = Reference(kind, name, version)
        head = self._head(kind, name)
        if head is None:
            raise NotFound(self._missing(kind, name))
        if version <= head.deleted_through:
            raise NotFound(f"{reference} was deleted")
        if version > head.highest:
            raise NotFound(f"there is no {reference}: the newest version is {head.highest}")
        return self._open(kind, name, self._store.version(kind, name, version), reference)

    def _open(self, kind: str, name: str, sealed: Sealed | None, what: str) -> Document:
        if sealed is None:  # the head proves that there was one
            raise unreadable(what)
        context = self._context(kind, name, sealed.version, sealed.saved_at)
        return Document(sealed.version, sealed.saved_at, self._keyring.open(context, sealed.envelope, what), {})

    def history(self, kind: str, name: str) -> list[Version]:
        """Every version of a name, oldest first, deleted ones included. Raises `NotFound` if the name was never used."""
        head = self._head(kind, name)
        if head is None:
            raise NotFound(self._missing(kind, name))
        states = {head.previous: "previous", head.pending: "pending", head.current: "current"}
        rows = {row.version: row for row in self._store.history(kind, name)}
        lines = []
        # What the head proves, not what lies there: a planted row is left out, a missing one is told.
        for number in range(1, head.highest + 1):
            row, deleted = rows.get(number), number <= head.deleted_through
            if row is None and deleted:
                continue
            proved = self._opens(kind, name, row)
            saved_at = row.saved_at if row and proved else 0
            lines.append(Version(number, when(saved_at), deleted, states.get(number, "") if proved else UNREADABLE))
        return lines

    def _opens(self, kind: str, name: str, row: Sealed | None) -> bool:
        with suppress(BondstoneError):
            return self._open(kind, name, row, "") is not None
        return False

    @_recorded
    def delete(self, kind: str, name: str) -> None:
        """Put a tombstone over all versions of a name; their numbers are not used again. Raises `NotFound`.

        A name whose head is unreadable can be deleted too: that is how to get rid of it.
        """
        over = None
        try:
            head = self._head(kind, name)
        except (Unreadable, WrongKey):
            head, over = self._salvaged(kind, name)
        if head is None or head.deleted:
            raise NotFound(self._missing(kind, name))
        self._commit(head.tombstone(self._clock()), None, "delete", head.current, over=over)

    def _salvaged(self, kind: str, name: str) -> tuple[Head | None, bytes | None]:
        """A head that knows only which numbers are spent, and the tag of the one that it stands for."""
        found = self._store.head(kind, name)
        if found is None:
            return None, None
        numbers = (found[0].highest, *(row.version for row in self._store.history(kind, name)))
        highest = max([1, *filter(_plausible, numbers)])
        generation = found[0].generation if _plausible(found[0].generation) else 0
        return Head(kind, name, generation, pending=highest, highest=highest), found[1]

    @_recorded
    def promote(self, kind: str, name: str) -> None:
        """Make the pending version current. Raises `Conflict` if nothing is pending: a save in between lets it go."""
        head = self._existing(kind, name)
        if not head.pending:
            raise Conflict(f"{kind}/{name} has no pending version (a later save lets it go): stage one again")
        self._commit(head.promoted(self._clock()), None, "promote", head.pending)

    @_recorded
    def rollback(self, kind: str, name: str) -> None:
        """Make the previous version current again. Raises `Conflict` if there is none."""
        head = self._existing(kind, name)
        if not head.previous:
            raise Conflict(f"{kind}/{name} has no previous version to go back to")
        self._commit(head.rolled_back(self._clock()), None, "rollback", head.previous)

    def _existing(self, kind: str, name: str) -> Head:
        head = self._head(kind, name)
        if head is None or head.deleted:
            raise NotFound(self._missing(kind, name))
        return head

    def audit(self, *, limit: int | None = None, offset: int = 0) -> list[AuditRow]:
        """The audit log, newest first; this process's own reads included."""
        self._reads.flush()
        return self._store.audit(EVERYTHING if limit is None else limit, offset)

    def flush(self) -> None:
        """Record the reads of this process now, not within the second."""
        self._reads.flush()

    def close(self) -> None:
        """Record the reads and close this thread's connection."""
        self._reads.close()
        self._store.database.close()

    def _head(self, kind: str, name: str) -> Head | None:
        check_kind(kind)
        check_name(name)
        found = self._store.head(kind, name)
        return found and self._keyring.check(*found)

    def _proved(self, head: Head, tag: bytes) -> bool:
        with suppress(BondstoneError):
            return bool(self._keyring.check(head, tag))
        return False

    def _commit(
        self, head: Head, sealed: Sealed | None, action: str, version: int, *, over: bytes | None = None
    ) -> None:
        row = AuditRow(self._clock(), actor(), action, head.kind, head.name, version, "ok")
        self._store.commit(head, self._keyring.tag(head), sealed, row, over=over)

    def _context(self, kind: str, name: str, version: int, saved_at: int) -> Context:
        return Context("version", self.id, kind, name, version, saved_at)

    def _missing(self, kind: str, name: str) -> str:
        from difflib import get_close_matches

        names = [head.name for head, _ in self._store.heads(kind, EVERYTHING, 0)]
        near = get_close_matches(name, filter(_is_name, names), 1)
        hint = f"did you mean '{near[0]}'?" if near else f"save it first, or see 'bondstone ls --kind {kind}'"
        return f"there is no {kind} named {shown(name)}: {hint}"

    # Last in the class: from here on `list` is this method.
    def list(self, kind: str | None = None, *, limit: int | None = None, offset: int = 0) -> list[Listed]:
        """Every name that is not deleted, by kind, then name. An unreadable one is listed as such."""
        if offset < 0 or (limit is not None and limit < 0):
            raise InvalidSettings("limit and offset are whole numbers from 0")
        rows = self._store.heads(check_kind(kind) if kind else "", EVERYTHING if limit is None else limit, offset)
        return [
            Listed(head.kind, head.name, head.current or head.pending, when(head.changed_at), True)
            if self._proved(head, tag)
            else Listed(_printable(head.kind), _printable(head.name), 0, when(0), False)
            for head, tag in rows
        ]


def _is_name(cell: object) -> bool:
    """Whether a name that nothing proves may be shown: it may have been planted."""
    with suppress(InvalidName):
        return isinstance(cell, str) and bool(check_name(cell))
    return False


def _printable(cell: object) -> str:
    return cell if isinstance(cell, str) and cell.isprintable() else ascii(cell)


def _plausible(number: object) -> bool:
    """Whether a number that nothing proves may be counted on from: a huge one would use up all that follow."""
    return type(number) is int and 0 <= number < 2**31


def when(time_: int) -> datetime:
    """A stored time as a datetime in UTC."""
    return datetime.fromtimestamp(time_ / 1_000_000, UTC)


def _settings_context(row: SealedSettings) -> Context:
    return Context("settings", row.registry_id, "", "", row.generation, row.changed_at)


def _seal_settings(keyring: Keyring, row: SealedSettings, max_ttl: int) -> SealedSettings:
    if max_ttl < 1:
        raise InvalidSettings("max_ttl is a number of seconds from 1")
    return row._replace(
        envelope=keyring.seal(_settings_context(row), json.dumps({"max_ttl": max_ttl}, separators=(",", ":")).encode())
    )
