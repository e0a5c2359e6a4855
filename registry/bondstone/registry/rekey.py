"""Root keys are replaced online: a new one seals from then on, every record is sealed again, then the old one is removed.

Nothing is noted on the way: what is left to do is what other root keys sealed. So a killed rotation is ended by the next, and two
rotations at once do the work of one. Writers meanwhile are held to the newest key by the audit log (`Keyring.signer`).
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from bondstone.registry.envelope import Context, key_id
from bondstone.registry.errors import BondstoneError, Conflict, InvalidName, KeyMissing, NotFound, Unreadable, WrongKey
from bondstone.registry.head import Head
from bondstone.registry.journal import journal_context
from bondstone.registry.keyring import Keyring, WrappedKeyring
from bondstone.registry.keys import KeyProvider
from bondstone.registry.log import actor
from bondstone.registry.results import microseconds
from bondstone.registry.settings_row import settings_context
from bondstone.registry.store import START, AuditRow, JournalLine, Relined, Resealed, Retagged, Sealed, Store

PAGE = 500  # of one transaction: writers wait for 25 ms at most
_ATTEMPTS = 20
_PASSES = 100

Progress = Callable[[int, int], None]
"""How many versions and heads were sealed again so far."""


class Rotated(NamedTuple):
    """What a rotation did."""

    newest: int  # the number of the root key that seals now
    versions: int
    heads: int
    unreadable: list[str]  # what does not open, and keeps the old root keys here
    removed: list[int]  # the numbers of the root keys that are gone


def _unseen(versions: int, heads: int) -> None:
    pass


def rotate(
    store: Store,
    providers: Sequence[KeyProvider],
    *,
    drop: Collection[str] = (),
    another: bool = False,
    give_up: bool = False,
    progress: Progress = _unseen,
    clock: Callable[[], int] = microseconds,
) -> Rotated:
    """Replace the root key of a registry, or end a rotation that was interrupted.

    Each slot is wrapped again by the one of `providers` that opens it, and for no other: a row of the keyring is not trusted to name
    its key. Slots in `drop` are removed. With `another`, a new root key is added also where a rotation was interrupted. With `give_up`,
    what does not open is no reason to keep the old root key.

    Raises `KeyMissing`, with nothing changed, if none of `providers` opens a slot; `WrongKey` if none opens any.
    """
    keyring = _add_root_key(store, providers, drop, another, clock)
    return Rotation(store, keyring, progress).run(providers, give_up, clock)


def _add_root_key(
    store: Store, providers: Sequence[KeyProvider], drop: Collection[str], another: bool, clock: Callable[[], int]
) -> Keyring:
    def change(keyring: Keyring) -> Keyring:
        interrupted = len(keyring.root_keys) > 1
        return keyring if interrupted and not another else keyring.added(clock())

    return change_keyring(store, providers, change, "rotate", drop=drop, clock=clock)


def change_keyring(
    store: Store,
    providers: Sequence[KeyProvider],
    change: Callable[[Keyring], Keyring],
    action: str,
    *,
    drop: Collection[str] = (),
    clock: Callable[[], int] = microseconds,
) -> Keyring:
    """Wrap what `change` makes of the root keys into every slot, and `drop` some. Tries again where another process was first."""
    for attempt in range(_ATTEMPTS):
        rows = store.keyrings()
        opened = Opened.find(store, rows, providers, drop)
        keyring = change(opened.keyring)
        if keyring is opened.keyring and not set(drop) & {row.slot for row in rows}:
            return keyring
        try:
            store.set_keyrings(rows, opened.wrapped(keyring, clock()), _audit(action, keyring, clock()), keyring.sign)
        except Conflict:
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            return keyring
    raise AssertionError("unreachable")


def _audit(action: str, keyring: Keyring, now: int) -> AuditRow:
    return AuditRow(now, actor(), f"key {action}", "", "", keyring.newest, "ok")


class Opened(NamedTuple):
    """A registry's root keys, and the provider that opened each slot, in this process, just now."""

    keyring: Keyring
    slots: dict[str, KeyProvider]
    generation: int

    @classmethod
    def find(
        cls, store: Store, rows: Sequence[WrappedKeyring], providers: Sequence[KeyProvider], drop: Collection[str] = ()
    ) -> "Opened":
        """Open all of `rows` but those to `drop`. Raises `KeyMissing` for a slot that stays shut, `WrongKey` if all do."""
        registry_id = store.settings().registry_id
        slots, generation, keyring = {}, 0, None
        for row in rows:
            if found := opener(registry_id, row, providers):
                provider, its = found
                slots[row.slot], generation = provider, max(generation, row.generation)
                keyring = its if keyring is None or its.newest > keyring.newest else keyring
        if keyring is None:
            keyring = Keyring.unwrap(registry_id, rows, providers[0])  # which says what is wrong
        _refuse_shut({row.slot: row for row in rows if row.slot not in {*slots, *drop}})
        return cls(keyring, {slot: provider for slot, provider in slots.items() if slot not in drop}, generation)

    def wrapped(self, keyring: Keyring, now: int) -> list[WrappedKeyring]:
        """The rows that hold `keyring` from now on."""
        if not self.slots:
            raise KeyMissing("no slot would be left to open this registry: keep one")
        generation = self.generation + 1
        return [keyring.wrap(provider, slot, generation, now) for slot, provider in sorted(self.slots.items())]


def _refuse_shut(shut: dict[str, WrappedKeyring]) -> None:
    for slot, row in shut.items():
        raise KeyMissing(
            f"slot '{slot}' cannot be wrapped again without its key, {row.key_id} ({row.provider}): "
            f"give that with --with, or remove the slot with --drop-slot {slot}; nothing was changed"
        )


def opener(
    registry_id: str, row: WrappedKeyring, providers: Sequence[KeyProvider]
) -> tuple[KeyProvider, Keyring] | None:
    """The one of `providers` that opens this row, and what it found."""
    for provider in providers:
        if row.fits(provider):
            with suppress(Unreadable, WrongKey):  # a service that does not answer is told
                return provider, Keyring.of_row(registry_id, row, provider)
    return None


class Rotation:
    """The second half: everything under the newest root key, page by page."""

    def __init__(self, store: Store, keyring: Keyring, progress: Progress) -> None:
        self._store, self._keyring, self._progress = store, keyring, progress
        self._versions = self._heads = 0
        self._unreadable: list[str] = []

    def run(self, providers: Sequence[KeyProvider], give_up: bool, clock: Callable[[], int]) -> Rotated:
        for _ in range(_PASSES):
            self._unreadable = []
            self._settings(clock)
            # What others changed meanwhile is done again, until a pass finds nothing.
            left = sum(map(self._reseal, self._version_pages())) + sum(map(self._retag, self._head_pages()))
            if not left + sum(map(self._reline, self._journal_pages())):
                break
        else:
            raise Conflict(
                "others keep changing what is sealed again: the old root key stays; run the rotation once more"
            )
        removed = [] if self._unreadable and not give_up else self._remove_old(providers, clock)
        return Rotated(self._keyring.newest, self._versions, self._heads, self._unreadable, removed)

    def _remove_old(self, providers: Sequence[KeyProvider], clock: Callable[[], int]) -> list[int]:
        newest, old = self._keyring.newest, [number for number, _ in self._keyring.root_keys][:-1]
        left = change_keyring(self._store, providers, lambda found: _without(found, newest), "remove", clock=clock)
        return [number for number in old if number not in dict(left.root_keys)]

    def _version_pages(self) -> Iterator[list[tuple[str, str, Sealed]]]:
        after = START
        while page := self._store.versions_of_other_keys(self._keyring.newest, after, PAGE):
            yield page
            after = page[-1][0], page[-1][1], page[-1][2].version

    def _head_pages(self) -> Iterator[list[tuple[Head, bytes]]]:
        after = START[:2]
        while page := self._store.heads_of_other_keys(self._keyring.newest, after, PAGE):
            yield page
            after = page[-1][0].kind, page[-1][0].name

    def _reseal(self, page: list[tuple[str, str, Sealed]]) -> int:
        """How many rows are no longer under the old key, or were changed meanwhile."""
        ready = [row for row in (self._resealed(*item) for item in page) if row]
        self._versions += self._store.reseal(ready, []) if ready else 0
        self._progress(self._versions, self._heads)
        return len(ready)

    def _resealed(self, kind: str, name: str, sealed: Sealed) -> Resealed | None:
        try:
            context = Context("version", self._keyring.registry_id, kind, name, sealed.version, sealed.saved_at)
            new = self._keyring.resealed(context, sealed.envelope, "")
            return Resealed(kind, name, sealed.version, sealed.envelope, new)
        except WrongKey:  # none of our keys would ever open it
            pass
        except (BondstoneError, TypeError, AttributeError):
            self._unreadable.append(f"{kind}/{name}@{sealed.version}")
        return None

    def _retag(self, page: list[tuple[Head, bytes]]) -> int:
        ready = [row for row in (self._retagged(*item) for item in page) if row]
        self._heads += self._store.reseal([], ready) if ready else 0
        self._progress(self._versions, self._heads)
        return len(ready)

    def _retagged(self, head: Head, tag: bytes) -> Retagged | None:
        try:
            return Retagged(head, tag, self._keyring.retagged(head, tag))
        except WrongKey:
            pass
        except BondstoneError:
            self._unreadable.append(f"{head.kind}/{head.name}")
        return None

    def _journal_pages(self) -> Iterator[list[JournalLine]]:
        after = START[:2]
        while page := self._store.journals(after, PAGE):
            yield page
            after = page[-1][:2]

    def _reline(self, page: list[JournalLine]) -> int:
        """As `_reseal`, for the journal; it is short, so it is read as a whole."""
        ready = [row for row in map(self._relined, page) if row]
        if ready:
            self._store.reseal([], [], ready)
        return len(ready)

    def _relined(self, line: JournalLine) -> Relined | None:
        try:
            if key_id(line.sealed, "") == self._keyring.newest:
                return None
            context = journal_context(self._keyring.registry_id, line)
            plain = self._keyring.open(context, line.sealed, "")
            return Relined(line, self._keyring.seal(context, plain))
        except WrongKey:
            pass
        except (BondstoneError, TypeError, AttributeError):
            self._unreadable.append(f"the journal of {line.kind}/{line.name}")
        return None

    def _settings(self, clock: Callable[[], int]) -> None:
        """The settings under the newest key; whoever changes them meanwhile seals them so too."""
        row = self._store.settings()
        try:
            if key_id(row.envelope, "") == self._keyring.newest:
                return
            plain = self._keyring.open(settings_context(row), row.envelope, "")
        except (BondstoneError, TypeError):
            self._unreadable.append("the settings")
            return
        changed = row._replace(generation=row.generation + 1, changed_at=max(clock(), row.changed_at))
        changed = changed._replace(envelope=self._keyring.seal(settings_context(changed), plain))
        with suppress(Conflict):  # the next pass looks again
            self._store.set_settings(changed, _audit("settings", self._keyring, clock()), self._keyring.signer())


def _without(found: Keyring, newest: int) -> Keyring:
    """Without the old keys, unless another process removed them, or added a newer one, whose rotation is not at its end."""
    return found.without_old() if found.newest == newest and len(found.root_keys) > 1 else found


def add_slot(
    store: Store,
    providers: Sequence[KeyProvider],
    slot: str,
    new: KeyProvider,
    *,
    clock: Callable[[], int] = microseconds,
) -> None:
    """Let `new` open the registry too. Raises `Conflict`, with nothing changed, if the slot is taken or `new` has one."""
    rows = store.keyrings()
    keyring, generation = _current(store, rows, providers)
    refuse_taken(store, slot)
    for row in rows:
        if row.fits(new) and new.kind != "passphrase":  # of those several may be told apart
            raise Conflict(f"slot '{row.slot}' has that key already: choose another, or remove it first")
    row = keyring.wrap(new, slot, generation + 1, clock())
    if not Keyring.of_row(keyring.registry_id, row, new).same_keys(keyring):  # before anybody relies on it
        raise WrongKey(f"{new.key_id} ({new.kind}) does not give back what it wrapped: nothing was changed")
    store.set_keyrings(rows, [*rows, row], _audit("add", keyring, clock()), keyring.sign)


def refuse_taken(store: Store, slot: str) -> None:
    """Raises `Conflict` if there is a slot of that name."""
    if not 0 < len(slot) <= 32 or not slot.isprintable():
        raise InvalidName("a slot's name has 1 to 32 letters")
    if any(row.slot == slot for row in store.keyrings()):
        raise Conflict(f"there is a slot '{slot}' already: name another (--slot), or remove it first")


def remove_slot(
    store: Store, providers: Sequence[KeyProvider], slot: str, *, clock: Callable[[], int] = microseconds
) -> None:
    """Let a slot's key open the registry no more. Raises `KeyMissing` unless one of `providers` opens another slot just now."""
    rows = store.keyrings()
    left = [row for row in rows if row.slot != slot]
    if len(left) == len(rows):
        raise NotFound(f"there is no slot '{slot}': see 'bondstone key ls'")
    registry_id = store.settings().registry_id
    if not any(opener(registry_id, row, providers) for row in left):
        raise KeyMissing(
            f"slot '{slot}' is the only one that opens here, and nothing proves that another would: "
            "open the registry with the key of another slot (BONDSTONE_KEY_FILE), then remove this one"
        )
    keyring, _ = _current(store, left, providers)
    store.set_keyrings(rows, left, _audit("remove", keyring, clock()), keyring.sign)


def _current(store: Store, rows: Sequence[WrappedKeyring], providers: Sequence[KeyProvider]) -> tuple[Keyring, int]:
    """The newest root keys that `providers` open, and their generation; a slot that stays shut is no matter."""
    opened = Opened.find(store, rows, providers, {row.slot for row in rows})
    return opened.keyring, opened.generation


class Slot(NamedTuple):
    """One way to open a registry, by its own account, and what became of trying it."""

    slot: str
    provider: str
    key_id: str
    changed_at: int
    state: str  # "opens", "shut" (its key is not here), "stale" (it opens older root keys) or the code of an error
    root_keys: list[int]  # those that it opens


def slots(store: Store, providers: Sequence[KeyProvider]) -> list[Slot]:
    """Every slot, each tried with those of `providers` that fit."""
    registry_id, rows = store.settings().registry_id, store.keyrings()
    found = [_tried(registry_id, row, providers) for row in rows]
    newest = max((numbers[-1] for _, numbers in found if numbers), default=0)
    states = ["stale" if numbers and numbers[-1] < newest else state for state, numbers in found]
    return [
        Slot(str(row.slot), str(row.provider), str(row.key_id), _time(row.changed_at), state, numbers)
        for row, state, (_, numbers) in zip(rows, states, found, strict=True)
    ]


def _time(cell: object) -> int:
    """A time that nothing proves, fit to be shown: others may have written it."""
    return cell if type(cell) is int and 0 <= cell < 2**52 else 0


def _tried(registry_id: str, row: WrappedKeyring, providers: Sequence[KeyProvider]) -> tuple[str, list[int]]:
    state = "shut"
    for provider in providers:
        if row.fits(provider):
            try:
                return "opens", [number for number, _ in Keyring.of_row(registry_id, row, provider).root_keys]
            except BondstoneError as error:
                state = error.code
    return state, []
