"""Finding and opening what is stored under a name; what was proved once is remembered as long as nobody changes it."""

from bondstone.registry.errors import NotFound
from bondstone.registry.head import Head
from bondstone.registry.names import Reference, check_kind, check_name
from bondstone.registry.records import Records
from bondstone.registry.results import Document
from bondstone.registry.seen import Seen
from bondstone.registry.store import Sealed, Store

_Rows = tuple[Head, bytes, Sealed | None]


class _Opened:
    """A document, the rows that it was proved and opened from, and the registry's state when they were read, or before."""

    __slots__ = ("document", "rows", "state")

    def __init__(self, state: object, rows: _Rows, document: Document) -> None:
        self.state, self.rows, self.document = state, rows, document


class Reader:
    """Documents by name. Raises `NotFound`, `Unreadable`, `WrongKey`, `RegistryUnavailable`."""

    def __init__(self, store: Store, records: Records, seen: Seen) -> None:
        self._store, self._records, self._seen = store, records, seen

    def current(self, kind: str, name: str) -> Document:
        """The current version. Costs little as long as nobody changed it."""
        connection, key = self._store.session(), (kind, name)
        known: _Opened | None = connection.memo.get(key)
        # Where nothing is known the last state will do: what is read from here on is not older.
        state = self._store.state(connection) if known else connection.epoch
        if known is None:
            check_kind(kind)
            check_name(name)
        elif known.state is state:
            return known.document
        rows = self._store.load(connection, kind, name)
        # The same bytes were proved before, tag and all; whether others have seen newer ones since, the mark knows.
        if known and rows == known.rows and self._seen.known.get(key) == known.rows[0].generation:
            known.state = state
            return known.document
        rows = self._records.newest(kind, name, lambda: self._store.load(connection, kind, name), rows)
        opened = self._opened(kind, name, rows, known, state)
        connection.remember(key, opened)
        return opened.document

    def _opened(self, kind: str, name: str, rows: _Rows | None, known: _Opened | None, state: object) -> _Opened:
        if rows is None or rows[0].deleted:
            raise self._records.missing(kind, name)
        head, _, sealed = rows
        if not head.current:
            raise NotFound(f"{kind}/{name} has only a pending version: promote it first")
        # Of the same version and bytes comes the same document: only the head had to be proved again.
        same = known.document if known and known.rows[2] == sealed else None
        return _Opened(state, rows, same or self._records.open(kind, name, sealed, f"{kind}/{name}"))

    def version(self, kind: str, name: str, version: int) -> Document:
        """One version, whether current or not."""
        reference = Reference(kind, name, version)
        head = self._records.head(kind, name)
        if head is None:
            raise self._records.missing(kind, name)
        if version <= head.deleted_through:
            raise NotFound(f"{reference} was deleted")
        if version > head.highest:
            raise NotFound(f"there is no {reference}: the newest version is {head.highest}")
        return self._records.open(kind, name, self._store.version(kind, name, version), reference)
