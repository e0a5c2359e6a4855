"""The registry: named, versioned, sealed documents."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate

from bondstone.registry import listings, strays, whole
from bondstone.registry.errors import (
    BondstoneError,
    Conflict,
    InvalidBlock,
    InvalidSettings,
    RegistryUnavailable,
    Unreadable,
    WrongKey,
)
from bondstone.registry.head import Head
from bondstone.registry.journal import Journal
from bondstone.registry.keyring import PRIMARY, Keyring, StaleKeyring
from bondstone.registry.keys import KeyProvider
from bondstone.registry.leases import Leases
from bondstone.registry.log import ReadLog, actor
from bondstone.registry.names import check_kind, check_name, for_the_record
from bondstone.registry.reader import Reader
from bondstone.registry.records import Records, plausible
from bondstone.registry.results import Document, Listed, SetBack, Version, WholeName, microseconds
from bondstone.registry.seen import SETTINGS, Seen
from bondstone.registry.settings_row import (
    DEFAULT_MAX_TTL,
    check_filling,
    first_settings,
    longest_ttl,
    next_settings,
    with_max_ttl,
)
from bondstone.registry.store import (
    EVERYTHING,
    AuditRow,
    JournalLine,
    Lease,
    Overtaken,
    Sealed,
    SealedSettings,
    Sign,
    Store,
)

if TYPE_CHECKING:
    from bondstone.registry.audit_verify import AuditReport, Checkpoint, Proof

MAX_DOCUMENT = 1024 * 1024
_RETRIES = 100

Then = Callable[[Head], JournalLine]
"""What a rotation notes about a head, in the transaction that moves it."""


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
        self.store = self._store = store
        self._keyring, self._clock = keyring, clock
        self.journal, self.leases = Journal(store, keyring), Leases(self)
        self._seen = Seen(state / f"{keyring.registry_id}.seen" if state else None)
        self._records = Records(store, keyring, self._seen)
        self._stored = Reader(store, self._records, self._seen)
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
        settings = {"chained": True, "max_ttl": max_ttl, **({"filling": filling} if filling else {})}
        store.create(first_settings(keyring, now, settings), keyring.wrap(provider, PRIMARY, 1, now))
        return cls.open(store, provider, filling=filling, state=state, clock=clock)

    @classmethod
    def open(
        cls,
        store: Store,
        provider: KeyProvider,
        *,
        filling: str = "",
        restored: bool = False,
        state: Path | None = None,
        clock: Callable[[], int] = microseconds,
    ) -> "Registry":
        """Open an existing registry. Raises `WrongKey` before anything is read or written, `RegistryUnavailable` for an unfinished one.

        Raises `RolledBack` if its newest root key is older than one that was seen, unless `restored`: for `accept`.
        """
        try:
            store.check_schema()
            settings = store.settings()
            keyring = Keyring.unwrap(settings.registry_id, store.keyrings(), provider)
            keyring.rereading(store.keyrings, provider)
            check_filling(keyring, settings, filling, store.url)
            registry = cls(store, keyring, state=state, clock=clock)
            if not restored:
                registry._records.check_root_key()
        except BondstoneError:
            store.close()
            raise
        return registry

    @property
    def max_ttl(self) -> int:
        """Longest time in seconds that a handle may serve a value without having asked the registry."""
        return int(self._records.settings()[1]["max_ttl"])

    def set_max_ttl(self, seconds: int) -> None:
        try:
            self._set_max_ttl(seconds)
        except StaleKeyring:  # sealed again, under the newer root key
            self._set_max_ttl(seconds)

    def _set_max_ttl(self, seconds: int) -> None:
        row, settings = self._records.settings()
        settings = with_max_ttl(settings, seconds, self.shared_now())
        self._set_settings(row, settings, "settings", row.generation + 1)

    def filled(self, action: str) -> None:
        """What was to be read into this registry is in it: from now on it is one like any other."""
        row, settings = self._records.settings()
        settings.pop("filling", None)
        self._set_settings(row, settings, action, 0)

    def _set_settings(self, row: SealedSettings, settings: dict[str, Any], action: str, version: int) -> None:
        audit = AuditRow(self._clock(), actor(), action, "", "", version, "ok")
        sign = self._keyring.signer()  # before sealing
        self._store.set_settings(next_settings(self._keyring, row, self._clock(), settings), audit, sign)
        self._seen.note(*SETTINGS, row.generation + 1)
        self._seen.flush()

    def longest_use(self, kind: str, name: str) -> tuple[int, int]:
        """For how many seconds more somebody may use a version of a name that is replaced now: by a handle, and by a lease.

        The longest use is their sum: what is leased may be handed on to a handle until the lease ends.
        """
        now = self.shared_now()
        ttl = longest_ttl(self._records.settings()[1], now)
        ends = max((lease.until for lease in self.leases.of(kind, name)), default=now)
        return ttl, max(0, -(-(ends - now) // 1_000_000))

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
    def stage(self, kind: str, name: str, content: bytes, *, then: Then | None = None) -> Document:
        """Save the next version of a name as its pending one; `promote` makes it current."""
        return self._add("stage", kind, name, content, lambda head, number, now: head.staged(number, now), then)

    def _add(
        self,
        action: str,
        kind: str,
        name: str,
        content: bytes,
        move: Callable[[Head, int, int], Head],
        then: Then | None = None,
    ) -> Document:
        check_kind(kind)
        check_name(name)
        if len(content) > MAX_DOCUMENT:
            raise InvalidBlock(f"{kind}/{name} is larger than 1 MiB: keep the data elsewhere and save where it is")
        for attempt in range(_RETRIES):
            head = self._records.head(kind, name) or Head(kind, name)
            version = head.highest + 1
            moved = move(head, version, self._clock())
            sign = self._keyring.signer()  # before sealing
            sealed = self._records.seal(kind, name, version, moved.changed_at, content)
            try:
                self._commit(moved, sealed, action, version, sign, then=then)
            except Overtaken:
                raise
            except Conflict:
                # Somebody was faster. Whether this writer may still go on, `move` decides with the new head.
                if attempt == _RETRIES - 1:
                    raise
                planted = AuditRow(self._clock(), actor(), "discard", kind, name, version, "ok")
                strays.clear(self._records, head, planted, self._keyring.sign)
            else:
                return Document(version, moved.changed_at, content, {})
        raise AssertionError("unreachable")

    @property
    def tells_changes(self) -> bool:
        """Whether `state` costs next to nothing, so that it can be asked each time."""
        return self._store.tells_changes

    def hint(self) -> object:
        """The same object as long as the store has no hint that somebody changed something. It may hint late, or never."""
        return self._store.hint()

    def state(self) -> object:
        """Something that is the same object as long as nobody changed anything here, as far as this thread was told. Costs 6 µs."""
        return self._store.state(self._store.session())

    def load(self, kind: str, name: str, version: int | None = None) -> Document:
        """The current version of a name, or the one asked for. Raises `NotFound`, `Unreadable`, `WrongKey`, `RegistryUnavailable`."""
        try:
            document = (
                self._stored.current(kind, name) if version is None else self._stored.version(kind, name, version)
            )
        except BondstoneError as error:
            self._refused("load", kind, name, error, version)
            raise
        self._reads.add(kind, name, document.version, "ok")
        return document

    def look_over(self, names: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str, bytes]]:
        """Kind, name and content of what is current under many names, for a listing. What does not open is left out.

        On record as one row, `look`: a listing of a thousand blocks must not bury who loaded what.
        """
        self._reads.add("", "", 0, "ok", "look")
        for kind, name in names:
            with suppress(BondstoneError):
                yield kind, name, self._stored.current(kind, name).content

    def _refused(self, action: str, kind: str, name: str, error: BondstoneError, version: int | None = None) -> None:
        """Record a refusal, where there is something to record it in."""
        if not isinstance(error, RegistryUnavailable):
            number = version if version is not None and plausible(version) else 0
            self._reads.add(for_the_record(str(kind)), for_the_record(str(name)), number, error.code, action)

    def history(self, kind: str, name: str) -> list[Version]:
        """Every version of a name, oldest first, deleted ones included. Raises `NotFound` if the name was never used."""
        head = self._records.head(kind, name)
        if head is None:
            raise self._records.missing(kind, name)
        return listings.history(self._records, head)

    @_recorded
    def delete(self, kind: str, name: str) -> None:
        """Put a tombstone over all versions of a name; their numbers are not used again. Raises `NotFound`.

        A name whose head is unreadable can be deleted too: that is how to get rid of it.
        """
        over = None
        try:
            head = self._records.head(kind, name)
            if head:
                strays.refuse_later(self._records, head)
        except (Unreadable, WrongKey):
            head, over = self._records.salvaged(kind, name)
        if head is None or head.deleted:
            raise self._records.missing(kind, name)
        self._move(head.tombstone(self._clock()), "delete", head.current, over=over)

    def purge(self, kind: str, name: str) -> int:
        """Delete a name, if it is not deleted yet, and erase the ciphertext of all that was; how many versions. Raises `NotFound`."""
        try:
            head = self._records.head(kind, name)
        except (Unreadable, WrongKey):
            head = None
        if head is None or not head.deleted:
            self.delete(kind, name)
        gone = self._existing(kind, name, deleted=True)
        row = AuditRow(self.now(), actor(), "purge", kind, name, gone.deleted_through, "ok")
        return self._store.purge(kind, name, gone.deleted_through, row, self._keyring.sign)

    @_recorded
    def promote(self, kind: str, name: str, *, then: Then | None = None) -> None:
        """Make the pending version current. Raises `Conflict` if nothing is pending: a save in between lets it go."""
        head = self._existing(kind, name)
        if not head.pending:
            raise Conflict(f"{kind}/{name} has no pending version (a later save lets it go): stage one again")
        if then is None and self.journal.owns(kind, name, head.pending):
            raise Conflict(
                f"the pending version of {kind}/{name} is a rotation's: 'bondstone rotate' goes on with that, "
                "'bondstone rollback' undoes it"
            )
        self._move(head.promoted(self._clock()), "promote", head.pending, then=then)

    @_recorded
    def unstage(self, kind: str, name: str, *, then: Then | None = None) -> None:
        """Let the pending version go. Raises `Conflict` if there is none."""
        head = self._existing(kind, name)
        if not head.pending:
            raise Conflict(f"{kind}/{name} has no pending version")
        self._move(head.unstaged(self._clock()), "unstage", head.pending, then=then)

    @_recorded
    def rollback(self, kind: str, name: str, *, then: Then | None = None) -> None:
        """Make the previous version current again. Raises `Conflict` if there is none."""
        head = self._existing(kind, name)
        if not head.previous:
            raise Conflict(f"{kind}/{name} has no previous version to go back to")
        self._move(head.rolled_back(self._clock()), "rollback", head.previous, then=then)

    @_recorded
    def retire(self, kind: str, name: str, *, then: Then | None = None) -> None:
        """Let nobody go back to the previous version: its credential is gone. Raises `Conflict` if there is none."""
        head = self._existing(kind, name)
        if not head.previous:
            raise Conflict(f"{kind}/{name} has no previous version")
        self._move(head.retired(self._clock()), "retire", head.previous, then=then)

    def head(self, kind: str, name: str) -> Head:
        """Where a name stands. Raises `NotFound`."""
        return self._existing(kind, name)

    def any_head(self, kind: str, name: str) -> Head:
        """Where a name stands, deleted or not. Raises `NotFound` if it was never used."""
        head = self._records.head(kind, name)
        if head is None:
            raise self._records.missing(kind, name)
        return head

    def write_journal(self, line: Callable[[], JournalLine], action: str, version: int) -> None:
        """Write a name's next line in the journal. Raises `Overtaken` if somebody else wrote it."""
        try:
            self._write_journal(line, action, version)
        except StaleKeyring:
            self._write_journal(line, action, version)

    def _write_journal(self, line: Callable[[], JournalLine], action: str, version: int) -> None:
        sign = self._keyring.signer()  # before sealing
        sealed = line()
        self._store.write_journal(
            sealed, AuditRow(self._clock(), actor(), action, sealed.kind, sealed.name, version, "ok"), sign
        )

    def write_lease(self, lease: Lease) -> None:
        """Add a lease; `leases` does so with all that goes with it."""
        row = AuditRow(self._clock(), actor(), "lease", lease.kind, lease.name, lease.version, "ok")
        self._store.take_lease(lease, row, self._keyring.sign)

    def _existing(self, kind: str, name: str, *, deleted: bool = False) -> Head:
        head = self._records.head(kind, name)
        if head is None or head.deleted is not deleted:
            raise self._records.missing(kind, name)
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
        chained = bool(self._records.settings()[1].get("chained"))
        return verify(
            whole.audit_pages(self._store, progress), self.id, self._keyring.audit_key, checkpoint, chained=chained
        )

    def now(self) -> int:
        """Microseconds since 1970."""
        return self._clock()

    def shared_now(self) -> int:
        """Microseconds since 1970 by the clock that all who use this registry share."""
        return self._store.now()

    def fingerprint(self, value: bytes) -> str:
        """16 hex digits that are the same for the same bytes in this registry, until its root key is rotated."""
        return self._keyring.fingerprint(value)

    def note(self, action: str) -> None:
        """Record what was done with the registry as a whole."""
        self._store.record([AuditRow(self.now(), actor(), action, "", "", 0, "ok")], self._keyring.sign)

    def whole_names(self, lost: Callable[[str], None]) -> Iterator[WholeName]:
        """Every name with its versions, deleted ones too. What does not open is left out and told to `lost`."""
        return whole.whole_names(self._records, lost)

    def count(self) -> int:
        """How many versions there are, deleted ones that were not erased too."""
        return self._store.count_of_other_keys(0)[0]

    def all_names(self) -> set[tuple[str, str]]:
        """Kind and name of whatever has a head, deleted names too. Nothing is proved."""
        return whole.all_names(self._store)

    def adopt(self, names: Sequence[WholeName], action: str) -> None:
        """Add names of another registry, whole and as they are, sealed for this one. Raises `Conflict` if one is there."""
        sign = self._keyring.signer()
        rows = [whole.adopted(self._records, name) for name in names]
        self._store.adopt(rows, AuditRow(self.now(), actor(), action, "", "", 0, "ok"), sign)

    def set_back(self) -> Sequence[SetBack]:
        """The names that are older than what was seen here. One whose head is unreadable is none of them."""
        return whole.set_back(self._records)

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

    def _move(
        self, head: Head, action: str, version: int, *, over: bytes | None = None, then: Then | None = None
    ) -> None:
        """Commit a head without a new version."""
        try:
            self._commit(head, None, action, version, self._keyring.signer(), over=over, then=then)
        except StaleKeyring:
            self._commit(head, None, action, version, self._keyring.signer(), over=over, then=then)

    def _commit(
        self,
        head: Head,
        sealed: Sealed | None,
        action: str,
        version: int,
        sign: Sign,
        *,
        over: bytes | None = None,
        then: Then | None = None,
    ) -> None:
        row = AuditRow(self._clock(), actor(), action, head.kind, head.name, version, "ok")
        self._store.commit(
            head, self._keyring.tag(head), sealed, row, sign, over=over, line=then(head) if then else None
        )
        self._seen.note(head.kind, head.name, head.generation)
        self._seen.flush()

    # Last in the class: from here on `list` is this method.
    def list(self, kind: str | None = None, *, limit: int | None = None, offset: int = 0) -> list[Listed]:
        """Every name that is not deleted, by kind, then name. An unreadable one is listed as such."""
        if offset < 0 or (limit is not None and limit < 0):
            raise InvalidSettings("limit and offset are whole numbers from 0")
        most = EVERYTHING if limit is None else limit
        return listings.names(self._records, check_kind(kind) if kind else "", most, offset)
