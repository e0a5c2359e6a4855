"""The ordered set of root keys that seal a registry's records; the last one seals, all of them open."""

import hmac
import os
import struct
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bondstone.registry.audit_chain import AuditRow, Sign, chained
from bondstone.registry.envelope import (
    KEY_BYTES,
    MALFORMED,
    Context,
    audit_key,
    fingerprint_key,
    key_id,
    mac_key,
    open_envelope,
    reseal,
    seal,
    unreadable,
)
from bondstone.registry.errors import BondstoneError, Conflict, Unreadable, WrongKey
from bondstone.registry.head import Head, tag_of
from bondstone.registry.keys import WHAT, KeyProvider

PRIMARY = "primary"
_COUNT = struct.Struct(">I")
_ENTRY = struct.Struct(f">IQ{KEY_BYTES}s")


class WrappedKeyring(NamedTuple):
    """A keyring as a registry keeps it: one row per provider that can open it."""

    slot: str
    provider: str
    key_id: str
    generation: int
    changed_at: int
    wrapped: bytes

    def context(self, registry_id: str) -> Context:
        return Context("keyring", registry_id, self.provider, self.slot, self.generation, self.changed_at)

    def fits(self, provider: KeyProvider) -> bool:
        """Whether this row says that `provider` wrapped it. Nothing proves it before it is opened."""
        raw = self.provider in _RAW and provider.kind in _RAW
        return self.key_id == provider.key_id and (raw or self.provider == provider.kind)


class RootKey(NamedTuple):
    number: int
    created_at: int
    key: bytes

    def __repr__(self) -> str:
        return f"RootKey(number={self.number})"


class StaleKeyring(Conflict):
    """A root key was added since this writer sealed: what it sealed must be sealed again."""


class Keyring:
    """Seals and opens the records of one registry.

    `retired` are root keys that open nothing any more: of each only the key is left that proves old rows of the audit log. `reread`
    fetches the keyring again, where another process may have rotated; None if nothing has changed.
    """

    def __init__(
        self,
        registry_id: str,
        keys: Sequence[RootKey],
        retired: Sequence[RootKey] = (),
        reread: "Callable[[], Keyring | None] | None" = None,
    ) -> None:
        self.registry_id = registry_id
        self.retired = tuple(retired)
        self._keys = {key.number: key for key in keys}
        self._newest = keys[-1]
        self._mac_keys = {key.number: mac_key(key.key, registry_id) for key in keys}
        self._audit_keys = {key.number: audit_key(key.key, registry_id) for key in keys}
        self._audit_keys |= {key.number: key.key for key in retired}
        self._reread, self._lock = reread, threading.Lock()

    def __repr__(self) -> str:
        return f"Keyring({self.registry_id!r}, keys={sorted(self._keys)})"

    def __reduce__(self) -> str:
        raise TypeError("a keyring does not travel: each process opens its own")

    @classmethod
    def create(cls, registry_id: str, now: int) -> "Keyring":
        """A keyring of one new root key."""
        return cls(registry_id, [RootKey(1, now, os.urandom(KEY_BYTES))])

    @property
    def root_keys(self) -> list[tuple[int, int]]:
        """Number and time of creation of each key that opens, oldest first; the last one seals."""
        return [(key.number, key.created_at) for key in self._keys.values()]

    @property
    def newest(self) -> int:
        """The number of the key that seals."""
        return self._newest.number

    def added(self, now: int) -> "Keyring":
        """This keyring with one more root key, which seals from now on."""
        key = RootKey(self.newest + 1, now, os.urandom(KEY_BYTES))
        return Keyring(self.registry_id, [*self._keys.values(), key], self.retired)

    def without_old(self) -> "Keyring":
        """This keyring with its newest root key only. What another one sealed opens nevermore; its audit rows can still be proved."""
        old = [key._replace(key=self._audit_keys[key.number]) for key in self._keys.values() if key is not self._newest]
        return Keyring(self.registry_id, [self._newest], [*self.retired, *old])

    def same_keys(self, other: "Keyring") -> bool:
        """Whether the other one holds the same root keys."""
        return self._keys == other._keys and self.retired == other.retired

    def audit_key(self, number: int) -> bytes | None:
        """What proves the rows of the audit log that root key `number` chained; None if it was never here."""
        return self._audit_keys.get(number)

    def refresh(self) -> bool:
        """Take over what another process changed; whether there was anything."""
        with self._lock:
            other = self._reread() if self._reread else None
            if other is None or other.newest < self.newest:  # an older one that was put back seals nothing
                return False
            # Other threads read meanwhile: at every moment the newest key has its MAC key, and no key is missing.
            self._keys, self._mac_keys = {**self._keys, **other._keys}, {**self._mac_keys, **other._mac_keys}
            self._audit_keys = {**self._audit_keys, **other._audit_keys}  # none is ever forgotten
            self._newest, self.retired = other._newest, other.retired
            self._keys, self._mac_keys = other._keys, other._mac_keys
            return True

    def wrap(self, provider: KeyProvider, slot: str, generation: int, now: int) -> WrappedKeyring:
        """The row that lets `provider` open this keyring."""
        row = WrappedKeyring(slot, provider.kind, provider.key_id, generation, now, b"")
        entries = b"".join(_ENTRY.pack(*key) for key in (*self._keys.values(), *self.retired))
        return row._replace(
            wrapped=provider.wrap(_COUNT.pack(len(self._keys)) + entries, row.context(self.registry_id))
        )

    @classmethod
    def unwrap(cls, registry_id: str, rows: Sequence[WrappedKeyring], provider: KeyProvider) -> "Keyring":
        """The keyring that `provider` opens. Raises `WrongKey` if none of the rows was wrapped by its key."""
        fault: BondstoneError | None = None
        for row in rows:
            if row.fits(provider):
                try:
                    return cls.of_row(registry_id, row, provider)
                except (Unreadable, WrongKey) as error:  # the next may be of another passphrase
                    fault = fault or error
        raise fault or _wrong_key(rows, provider)

    @classmethod
    def of_row(cls, registry_id: str, row: WrappedKeyring, provider: KeyProvider) -> "Keyring":
        """What `provider` finds in this row."""
        return cls(registry_id, *_parse(_unwrap(row, registry_id, provider)))

    def rereading(self, rows: Callable[[], Sequence[WrappedKeyring]], provider: KeyProvider) -> "Keyring":
        """This keyring, which asks for `rows` again when it meets a key that it does not know."""
        seen, registry_id = rows(), self.registry_id

        def reread() -> Keyring | None:
            nonlocal seen
            now = rows()
            if now == seen:  # a planted key id must not ask a remote key service each time
                return None
            found = Keyring.unwrap(registry_id, now, provider)
            seen = now
            return found

        self._reread = reread
        return self

    def seal(self, context: Context, plaintext: bytes) -> bytes:
        return seal(self._newest.key, self._newest.number, context, plaintext)

    def open(self, context: Context, envelope: bytes, what: str) -> bytes:
        """The plaintext. Raises `WrongKey` if the root key is unknown here, else as `open_envelope`."""
        try:
            return open_envelope(self._key(key_id(envelope, what), what).key, context, envelope, what)
        except MALFORMED:
            pass
        raise unreadable(what)

    def resealed(self, context: Context, envelope: bytes, what: str) -> bytes:
        """What is in `envelope`, under the newest root key. Raises as `open` does."""
        try:
            old = self._key(key_id(envelope, what), what).key
            return reseal(old, self._newest.key, self._newest.number, context, envelope, what)
        except MALFORMED:
            pass
        raise unreadable(what)

    def tag(self, head: Head) -> bytes:
        return self._tag(head.message(self.registry_id))

    def check(self, head: Head, tag: bytes) -> Head:
        """`head`, if `tag` proves it. Raises `WrongKey` or `Unreadable`."""
        self._message(head, tag)
        return head

    def retagged(self, head: Head, tag: bytes) -> bytes:
        """The tag of a head under the newest root key, if `tag` proves it. Raises as `check` does."""
        return self._tag(self._message(head, tag))

    def _tag(self, message: bytes) -> bytes:
        return tag_of(self._mac_keys[self._newest.number], self._newest.number, message)

    def _message(self, head: Head, tag: bytes) -> bytes:
        """What `tag` authenticates, if it does and the numbers can stand together."""
        try:
            number, message = int.from_bytes(tag[:4]), head.message(self.registry_id)
            key = self._mac_keys.get(number)
            if key is None and len(tag) == 36 and self.refresh():
                key = self._mac_keys.get(number)
            if key is not None and hmac.compare_digest(tag_of(key, number, message), tag) and head.consistent:
                return message
            fault = self._refused(head, tag)
        except MALFORMED:
            fault = unreadable(f"the head of {head.kind}/{head.name}")
        raise fault

    def fingerprint(self, value: bytes) -> str:
        """16 hex digits that stand for `value`, and tell nothing of it to who has not the newest root key."""
        return hmac.digest(fingerprint_key(self._newest.key, self.registry_id), value, "sha256")[:8].hex()

    def sign(self, seq: int, previous: bytes, row: AuditRow) -> bytes:
        """The MAC that chains a row of the audit log to the one before."""
        self._catch_up(previous)
        return self._chain(self.newest, seq, previous, row)

    def signer(self) -> Sign:
        """`sign`, for a transaction that writes what is sealed from now on.

        Every change is chained to the audit log in its own transaction, and so is the addition of a root key: a writer that finds a
        newer key there has sealed under one that is about to go. It raises `StaleKeyring`, and nothing is written.
        """
        number = self.newest

        def sign(seq: int, previous: bytes, row: AuditRow) -> bytes:
            self._catch_up(previous)
            if number != self.newest:
                raise StaleKeyring("the root key of this registry was rotated meanwhile: try again")
            return self._chain(number, seq, previous, row)

        return sign

    def _catch_up(self, previous: bytes) -> None:
        if int.from_bytes(previous[:4]) > self.newest:
            self.refresh()

    def _chain(self, number: int, seq: int, previous: bytes, row: AuditRow) -> bytes:
        return number.to_bytes(4) + chained(self._audit_keys[number], self.registry_id, seq, previous, row)

    def _refused(self, head: Head, tag: bytes) -> BondstoneError:
        what, number = f"the head of {head.kind}/{head.name}", int.from_bytes(tag[:4])
        if len(tag) != 36 or number in self._keys:
            return unreadable(what)
        return _unknown_key(what, number)

    def _key(self, number: int, what: str) -> RootKey:
        key = self._keys.get(number)
        if key is None and self.refresh():
            key = self._keys.get(number)
        if key is None:
            raise _unknown_key(what, number)
        return key


def _unknown_key(what: str, number: int) -> WrongKey:
    return WrongKey(
        f"{what} was sealed by root key {number}, which this keyring does not hold: bring the keyring that goes with it"
    )


def _wrong_key(rows: Sequence[WrappedKeyring], provider: KeyProvider) -> WrongKey:
    expected = " or ".join(f"{row.key_id} ({row.provider})" for row in rows) or "none"
    return WrongKey(
        f"wrong key: expected {expected}, got {provider.key_id} ({provider.kind}); set BONDSTONE_KEY_FILE to the right key file"
    )


_RAW = ("key", "key-file", "keyring")  # the same key in the environment, in a file and in the OS keyring


def _unwrap(row: WrappedKeyring, registry_id: str, provider: KeyProvider) -> bytes:
    try:
        return provider.unwrap(row.wrapped, row.context(registry_id))
    except MALFORMED:
        pass
    raise unreadable(WHAT)


def _parse(plain: bytes) -> tuple[list[RootKey], list[RootKey]]:
    """The root keys that open, and those that are retired."""
    if len(plain) < _COUNT.size or (len(plain) - _COUNT.size) % _ENTRY.size:
        raise unreadable(WHAT)
    entries = [RootKey(*entry) for entry in _ENTRY.iter_unpack(plain[_COUNT.size :])]
    count = _COUNT.unpack_from(plain)[0]
    keys, retired = entries[:count], entries[count:]
    numbers = [entry.number for entry in (*retired, *keys)]
    if not 0 < len(keys) == count or numbers != sorted(set(numbers)) or numbers[0] < 1:
        raise unreadable(WHAT)
    return keys, retired
