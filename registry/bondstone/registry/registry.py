"""The registry: named, versioned, sealed documents."""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple

from bondstone.registry import strays
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
    UnsupportedFormat,
    WrongKey,
)
from bondstone.registry.head import Head
from bondstone.registry.keyring import PRIMARY, Keyring, StaleKeyring
from bondstone.registry.keys import KeyProvider
from bondstone.registry.log import ReadLog, actor
from bondstone.registry.names import Reference, check_kind, check_name, for_the_record, shown
from bondstone.registry.seen import Seen, rolled_back
from bondstone.registry.store import (
    EVERYTHING,
    START,
    Adopted,
    AuditRow,
    ChainedRow,
    Sealed,
    SealedSettings,
    Sign,
    Store,
)

if TYPE_CHECKING:
    from bondstone.registry.audit_verify import AuditReport, Checkpoint, Proof

MAX_DOCUMENT = 1024 * 1024
DEFAULT_MAX_TTL = 300
_RETRIES = 100
_MOST_ERASED = 1000  # numbers are shown of erased versions; a name that was salvaged may have billions
_MANY = 1000  # marks are then read at once, not one by one


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


class SetBack(NamedTuple):
    """A name whose head is older than one that was seen here."""

    kind: str
    name: str
    seen: int  # generation
    found: int  # generation; 0: the name is gone


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

    Made by `create` and `open`. `clock` gives microseconds since 1970; `state` is the folder where the user's machine remembers what
    it saw (`seen.py`), without which only this process remembers.
    """

    def __init__(
        self, store: Store, keyring: Keyring, *, state: Path | None = None, clock: Callable[[], int] = microseconds
    ) -> None:
        self._store, self._keyring, self._clock = store, keyring, clock
        self._seen = Seen(state / f"{keyring.registry_id}.seen" if state else None)
        self.id = keyring.registry_id
        self.url = store.url
        self.address = (store.url, keyring.registry_id)  # what a name needs to be found again elsewhere
        spool = state / f"{keyring.registry_id}.spool.jsonl" if state else None
        self._reads = ReadLog(store, keyring.sign, clock, self._seen, spool)

    def __repr__(self) -> str:
        return f"Registry({self.url!r})"

    @classmethod
    def create(
        cls,
        store: Store,
        provider: KeyProvider,
        *,
        max_ttl: int = DEFAULT_MAX_TTL,
        filling: str = "",
        state: Path | None = None,
        clock: Callable[[], int] = microseconds,
    ) -> "Registry":
        """Make the registry if there is none yet, and open it.

        With `filling`, the id of what is going to be read into it, it is refused for use until `filled`; one that is
        there must then be the unfinished one of the same id, else `Conflict`.
        """
        registry_id, now = uuid.uuid4().hex, clock()
        keyring = Keyring.create(registry_id, now)
        others = {"chained": True, **({"filling": filling} if filling else {})}
        settings = _seal_settings(keyring, SealedSettings(registry_id, now, 1, now, b""), others, max_ttl)
        store.create(settings, keyring.wrap(provider, PRIMARY, 1, now))
        return cls.open(store, provider, filling=filling, state=state, clock=clock)

    @classmethod
    def open(
        cls,
        store: Store,
        provider: KeyProvider,
        *,
        filling: str = "",
        state: Path | None = None,
        clock: Callable[[], int] = microseconds,
    ) -> "Registry":
        """Open an existing registry. Raises `WrongKey` before anything is read or written, `RegistryUnavailable` for an unfinished one."""
        try:
            store.check_schema()
            settings = store.settings()
            keyring = Keyring.unwrap(settings.registry_id, store.keyrings(), provider)
            keyring.rereading(store.keyrings, provider)
            check_filling(keyring, settings, filling, store.url)
        except BondstoneError:
            store.close()
            raise
        return cls(store, keyring, state=state, clock=clock)

    @property
    def max_ttl(self) -> int:
        """Longest time in seconds that a handle may serve a value without having asked the registry."""
        return int(self._sealed_settings(self._store.settings())["max_ttl"])

    def _sealed_settings(self, row: SealedSettings) -> dict[str, Any]:
        settings: dict[str, Any] = json.loads(
            self._keyring.open(settings_context(row), row.envelope, "the settings of this registry")
        )
        return settings

    def set_max_ttl(self, seconds: int) -> None:
        try:
            self._set_max_ttl(seconds)
        except StaleKeyring:  # sealed again, under the newer root key
            self._set_max_ttl(seconds)

    def _set_max_ttl(self, seconds: int) -> None:
        row = self._store.settings()
        now = max(self._clock(), row.changed_at)
        changed = row._replace(generation=row.generation + 1, changed_at=now)
        audit = AuditRow(self._clock(), actor(), "settings", "", "", changed.generation, "ok")
        sign = self._keyring.signer()
        sealed = _seal_settings(self._keyring, changed, self._sealed_settings(row), seconds)
        self._store.set_settings(sealed, audit, sign)

    def filled(self, action: str) -> None:
        """What was to be read into this registry is in it: from now on it is one like any other."""
        row = self._store.settings()
        others = {key: value for key, value in self._sealed_settings(row).items() if key != "filling"}
        changed = row._replace(generation=row.generation + 1, changed_at=max(self._clock(), row.changed_at))
        audit = AuditRow(self._clock(), actor(), action, "", "", 0, "ok")
        sign = self._keyring.signer()
        self._store.set_settings(_seal_settings(self._keyring, changed, others, others["max_ttl"]), audit, sign)

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
            sign = self._keyring.signer()  # before sealing
            envelope = self._keyring.seal(self._context(kind, name, version, moved.changed_at), content)
            try:
                self._commit(moved, Sealed(version, moved.changed_at, envelope), action, version, sign)
            except Conflict:
                # Somebody was faster. Whether this writer may still go on, `move` decides with the new head.
                if attempt == _RETRIES - 1:
                    raise
                self._clear(head, version)
            else:
                return Document(version, moved.changed_at, content, {})
        raise AssertionError("unreachable")

    def _clear(self, head: Head, version: int) -> None:
        """Erase a planted row in the way of this version."""
        kind, name = head.kind, head.name
        row = AuditRow(self._clock(), actor(), "discard", kind, name, version, "ok")
        opens = partial(self._opens, kind, name)
        strays.clear(self._store, head, lambda: self._head(kind, name), opens, row, self._keyring.sign)

    def state(self) -> object:
        """Something that is the same object as long as nobody changed anything here, as far as this thread was told. Costs 6 µs."""
        return self._store.state(self._store.session())

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
        connection = self._store.session()
        known: _Opened | None = connection.memo.get((kind, name))
        # Where nothing is known the last state will do: what is read from here on is not older.
        state = self._store.state(connection) if known else connection.epoch
        if known and known.state is state:
            return known.document
        connection.memo.pop((kind, name), None)
        check_kind(kind)
        check_name(name)
        found = self._store.load(connection, kind, name)
        generation = self._keyring.check(*found[:2]).generation if found else 0
        if self._seen.known.get((kind, name)) != generation:
            found = self._newest(kind, name, lambda: self._store.load(connection, kind, name), found)
        if found is None or found[0].deleted:
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
            if row is None and deleted and number <= head.highest - _MOST_ERASED:
                continue
            proved = self._opens(kind, name, row)
            saved_at = row.saved_at if row and proved else 0
            state = states.get(number, "") if proved or (row is None and deleted) else UNREADABLE
            lines.append(Version(number, when(saved_at), deleted, state))
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
            if head:
                later = self._store.version(kind, name, head.highest + 1)
                strays.refuse_later(head, [later] if later and self._opens(kind, name, later) else [])
        except (Unreadable, WrongKey):
            head, over = self._salvaged(kind, name)
        if head is None or head.deleted:
            raise NotFound(self._missing(kind, name))
        self._move(head.tombstone(self._clock()), "delete", head.current, over=over)

    def purge(self, kind: str, name: str) -> int:
        """Delete a name, if it is not deleted yet, and erase the ciphertext of all that was; how many versions. Raises `NotFound`."""
        try:
            head = self._head(kind, name)
        except (Unreadable, WrongKey):
            head = None
        if head is None or not head.deleted:
            self.delete(kind, name)
        gone = self._existing(kind, name, deleted=True)
        row = AuditRow(self.now(), actor(), "purge", kind, name, gone.deleted_through, "ok")
        return self._store.purge(kind, name, gone.deleted_through, row, self._keyring.sign)

    def _salvaged(self, kind: str, name: str) -> tuple[Head | None, bytes | None]:
        """A head that knows only which numbers are spent, and the tag of the one that it stands for."""
        found = self._store.head(kind, name)
        if found is None:
            return None, None
        numbers = (found[0].highest, *(row.version for row in self._store.history(kind, name)))
        generation = max(found[0].generation if _plausible(found[0].generation) else 0, self._seen.highest(kind, name))
        # No version has a number above the generation that it came with: what a set-back head no longer knows is spent all the same.
        highest = max([1, self._seen.highest(kind, name), *filter(_plausible, numbers)])
        return Head(kind, name, max(generation, highest), pending=highest, highest=highest), found[1]

    @_recorded
    def promote(self, kind: str, name: str) -> None:
        """Make the pending version current. Raises `Conflict` if nothing is pending: a save in between lets it go."""
        head = self._existing(kind, name)
        if not head.pending:
            raise Conflict(f"{kind}/{name} has no pending version (a later save lets it go): stage one again")
        self._move(head.promoted(self._clock()), "promote", head.pending)

    @_recorded
    def rollback(self, kind: str, name: str) -> None:
        """Make the previous version current again. Raises `Conflict` if there is none."""
        head = self._existing(kind, name)
        if not head.previous:
            raise Conflict(f"{kind}/{name} has no previous version to go back to")
        self._move(head.rolled_back(self._clock()), "rollback", head.previous)

    def _existing(self, kind: str, name: str, *, deleted: bool = False) -> Head:
        head = self._head(kind, name)
        if head is None or head.deleted is not deleted:
            raise NotFound(self._missing(kind, name))
        return head

    def audit(
        self, *, since: int = 0, kind: str = "", name: str = "", limit: int | None = None, offset: int = 0
    ) -> Sequence[AuditRow]:
        """The audit log, newest first; this process's own reads included. `since` is in microseconds since 1970."""
        self._reads.flush()
        most = EVERYTHING if limit is None else limit
        return [line.row for line in self._store.audit(since=since, kind=kind, name=name, limit=most, offset=offset)]

    def audit_proved(
        self, *, since: int = 0, kind: str = "", name: str = "", limit: int | None = None, offset: int = 0
    ) -> "Sequence[Proof]":
        """As `audit`, each row with whether its MAC proves it. Costs 10 µs a row more."""
        from bondstone.registry.audit_verify import prove

        self._reads.flush()
        most = EVERYTHING if limit is None else limit
        lines = self._store.audit(since=since, kind=kind, name=name, limit=most, offset=offset)
        self._keyring.refresh()  # another process may have rotated since
        return prove(lines, self.id, self._keyring.audit_key, lambda after: self._store.audit_from(after, 1))

    def audit_checkpoint(self) -> "Checkpoint":
        """The end of the audit log as it is now, to be kept apart: `verify_audit` shows with it whether the end was cut off since."""
        from bondstone.registry.audit_verify import Checkpoint

        self._reads.flush()
        last = self._store.audit(limit=1)
        return Checkpoint(self.id, last[0].seq, last[0].mac) if last else Checkpoint(self.id, 0, b"")

    def verify_audit(
        self, checkpoint: "Checkpoint | None" = None, *, progress: Callable[[int, int], None] = lambda done, of: None
    ) -> "AuditReport":
        """Prove every row of the audit log. `progress` is told how many rows of how many were looked at."""
        from bondstone.registry.audit_verify import verify

        self._reads.flush()
        self._keyring.refresh()  # another process may have rotated since
        chained = bool(self._sealed_settings(self._store.settings()).get("chained"))
        return verify(self._audit_pages(progress), self.id, self._keyring.audit_key, checkpoint, chained=chained)

    def _audit_pages(self, progress: Callable[[int, int], None]) -> Iterator[Sequence[ChainedRow]]:
        last = self._store.audit(limit=1)
        after, done, total = -EVERYTHING, 0, last[0].seq if last else 0
        while page := self._store.audit_from(after, 1000):
            yield page
            after, done = page[-1].seq, done + len(page)
            progress(done, max(total, done))

    def now(self) -> int:
        """Microseconds since 1970."""
        return self._clock()

    def note(self, action: str) -> None:
        """Record what was done with the registry as a whole."""
        self._store.record([AuditRow(self.now(), actor(), action, "", "", 0, "ok")], self._keyring.sign)

    def whole_names(self, lost: Callable[[str], None]) -> Iterator[WholeName]:
        """Every name with its versions, deleted ones too. What does not open is left out and told to `lost`."""
        after = START[:2]
        while page := self._store.all_heads(after, 500):
            for head, tag in page:
                if self._proved(head, tag):
                    yield self._whole_name(head, lost)
                else:
                    lost(f"{_printable(head.kind)}/{_printable(head.name)}")
            after = page[-1][0][:2]

    def _whole_name(self, head: Head, lost: Callable[[str], None]) -> WholeName:
        kind, name, versions = head.kind, head.name, []
        rows = {row.version: row for row in self._store.history(kind, name)}
        # Planted numbers, and those of a later moment than the head's, are left out.
        erased = (n for n in rows if type(n) is int and 0 < n <= head.deleted_through)
        for number in (*sorted(erased), *range(head.deleted_through + 1, head.highest + 1)):
            try:
                document = self._open(kind, name, rows.get(number), "")
                versions.append(Plain(number, document.saved_at, document.content))
            except (Unreadable, WrongKey, UnsupportedFormat):
                lost(f"{kind}/{name}@{number}")
        return WholeName(head, versions)

    def count(self) -> int:
        """How many versions there are, deleted ones that were not erased too."""
        return self._store.count_of_other_keys(0)[0]

    def all_names(self) -> set[tuple[str, str]]:
        """Kind and name of whatever has a head, deleted names too. Nothing is proved."""
        found, after = set[tuple[str, str]](), START[:2]
        while page := self._store.all_heads(after, 500):
            found.update(head[:2] for head, _ in page)
            after = page[-1][0][:2]
        return found

    def adopt(self, names: Sequence[WholeName], action: str) -> None:
        """Add names of another registry, whole and as they are, sealed for this one. Raises `Conflict` if one is there."""
        sign = self._keyring.signer()
        rows = [Adopted(head, self._keyring.tag(head), [self._sealed(head, v) for v in vs]) for head, vs in names]
        self._store.adopt(rows, AuditRow(self.now(), actor(), action, "", "", 0, "ok"), sign)

    def _sealed(self, head: Head, plain: Plain) -> Sealed:
        context = self._context(head.kind, head.name, plain.version, plain.saved_at)
        return Sealed(plain.version, plain.saved_at, self._keyring.seal(context, plain.content))

    def set_back(self) -> Sequence[SetBack]:
        """The names that are older than what was seen here. One whose head is unreadable is none of them."""
        found = []
        for kind, name, seen in self._seen.marks():
            row = self._store.head(kind, name)
            with suppress(Unreadable, WrongKey):
                generation = self._keyring.check(*row).generation if row else 0
                if generation < seen:
                    found.append(SetBack(kind, name, seen, generation))
        return found

    def accept(self, restored: Sequence[SetBack]) -> None:
        """Take these older heads for true, after a restore in place, and record that."""
        who, now = actor(), self._clock()
        rows = [AuditRow(now, who, "accept-restored", item.kind, item.name, 0, "ok") for item in restored]
        self._store.record(rows, self._keyring.sign)
        for item in restored:
            self._seen.accept(item.kind, item.name, item.found)

    def flush(self) -> None:
        """Record the reads of this process now, not within the second."""
        self._reads.flush()

    def close(self) -> None:
        """Record the reads and close this thread's connection."""
        self._reads.close()
        self._seen.close()
        self._store.close()

    def _head(self, kind: str, name: str) -> Head | None:
        check_kind(kind)
        check_name(name)
        found = self._newest(kind, name, lambda: self._store.head(kind, name), self._store.head(kind, name))
        return found and found[0]

    def _newest[R: tuple[Any, ...]](
        self, kind: str, name: str, read: Callable[[], R | None], found: R | None
    ) -> R | None:
        """What was `found`, proved; or what `read` gives now, if another writer was in between.

        Raises `RolledBack` if it is older than what was seen.
        """
        asked = 0
        while True:
            generation = self._keyring.check(*found[:2]).generation if found else 0
            seen = self._seen.highest(kind, name)
            if generation >= seen:
                self._seen.note(kind, name, generation)
                return found
            # A mark is made after its commit. So what was read after a look at the mark cannot be older, but by an attack.
            if generation < asked:
                raise rolled_back(kind, name, asked, generation)
            asked, found = seen, read()

    def _proved(self, head: Head, tag: bytes) -> bool:
        with suppress(BondstoneError):
            self._newest(head.kind, head.name, lambda: self._store.head(head.kind, head.name), (head, tag))
            return True
        return False

    def _move(self, head: Head, action: str, version: int, *, over: bytes | None = None) -> None:
        """Commit a head without a new version."""
        try:
            self._commit(head, None, action, version, self._keyring.signer(), over=over)
        except StaleKeyring:
            self._commit(head, None, action, version, self._keyring.signer(), over=over)

    def _commit(
        self, head: Head, sealed: Sealed | None, action: str, version: int, sign: Sign, *, over: bytes | None = None
    ) -> None:
        row = AuditRow(self._clock(), actor(), action, head.kind, head.name, version, "ok")
        self._store.commit(head, self._keyring.tag(head), sealed, row, sign, over=over)
        self._seen.note(head.kind, head.name, head.generation)
        self._seen.flush()

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
        if len(rows) > _MANY:
            self._seen.know_all()
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


def settings_context(row: SealedSettings) -> Context:
    """What the settings are sealed for."""
    return Context("settings", row.registry_id, "", "", row.generation, row.changed_at)


def check_filling(keyring: Keyring, row: SealedSettings, filling: str, url: str) -> None:
    """Refuse a registry whose `filling` is not this one. Settings that do not open say nothing, and block no load."""
    found = ""
    with suppress(BondstoneError, ValueError):
        found = str(json.loads(keyring.open(settings_context(row), row.envelope, "")).get("filling", ""))
    if filling and found != filling:
        raise Conflict(f"there is a registry at {url}: give a place where there is none")
    if found != filling:
        raise RegistryUnavailable(
            f"the registry at {url} is not whole: a restore or a copy into it was interrupted; run the same command again, or remove it"
        )


def _seal_settings(keyring: Keyring, row: SealedSettings, others: dict[str, Any], max_ttl: int) -> SealedSettings:
    if max_ttl < 1:
        raise InvalidSettings("max_ttl is a number of seconds from 1")
    text = json.dumps({**others, "max_ttl": max_ttl}, sort_keys=True, separators=(",", ":"))
    return row._replace(envelope=keyring.seal(settings_context(row), text.encode()))
