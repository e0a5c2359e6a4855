"""The ordered set of root keys that seal a registry's records; the last one seals, all of them open."""

import os
import struct
from typing import NamedTuple

from bondstone.registry.envelope import (
    KEY_BYTES,
    MALFORMED,
    Context,
    key_id,
    mac_key,
    open_envelope,
    seal,
    unreadable,
)
from bondstone.registry.errors import BondstoneError, WrongKey
from bondstone.registry.head import Head
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


class RootKey(NamedTuple):
    number: int
    created_at: int
    key: bytes

    def __repr__(self) -> str:
        return f"RootKey(number={self.number})"


class Keyring:
    """Seals and opens the records of one registry."""

    def __init__(self, registry_id: str, keys: list[RootKey]) -> None:
        self.registry_id = registry_id
        self._keys = {key.number: key for key in keys}
        self._newest = keys[-1]
        self._mac_keys = {key.number: mac_key(key.key, registry_id) for key in keys}

    def __repr__(self) -> str:
        return f"Keyring({self.registry_id!r}, keys={sorted(self._keys)})"

    def __reduce__(self) -> str:
        raise TypeError("a keyring does not travel: each process opens its own")

    @classmethod
    def create(cls, registry_id: str, now: int) -> "Keyring":
        """A keyring of one new root key."""
        return cls(registry_id, [RootKey(1, now, os.urandom(KEY_BYTES))])

    def wrap(self, provider: KeyProvider, slot: str, generation: int, now: int) -> WrappedKeyring:
        """The row that lets `provider` open this keyring."""
        row = WrappedKeyring(slot, provider.kind, provider.key_id, generation, now, b"")
        plain = _COUNT.pack(len(self._keys)) + b"".join(_ENTRY.pack(*key) for key in self._keys.values())
        return row._replace(wrapped=provider.wrap(plain, row.context(self.registry_id)))

    @classmethod
    def unwrap(cls, registry_id: str, rows: list[WrappedKeyring], provider: KeyProvider) -> "Keyring":
        """The keyring that `provider` opens. Raises `WrongKey` if none of the rows was wrapped by its key."""
        for row in rows:
            if (row.provider, row.key_id) == (provider.kind, provider.key_id) or _same_key(row, provider):
                return cls(registry_id, _parse(_unwrap(row, registry_id, provider)))
        expected = " or ".join(f"{row.key_id} ({row.provider})" for row in rows) or "none"
        raise WrongKey(
            f"wrong key: expected {expected}, got {provider.key_id} ({provider.kind}); set BONDSTONE_KEY_FILE to the right key file"
        )

    def seal(self, context: Context, plaintext: bytes) -> bytes:
        return seal(self._newest.key, self._newest.number, context, plaintext)

    def open(self, context: Context, envelope: bytes, what: str) -> bytes:
        """The plaintext. Raises `WrongKey` if the root key is unknown here, else as `open_envelope`."""
        try:
            return open_envelope(self._key(key_id(envelope, what), what).key, context, envelope, what)
        except MALFORMED:
            pass
        raise unreadable(what)

    def tag(self, head: Head) -> bytes:
        return head.tag(self._mac_keys[self._newest.number], self._newest.number, self.registry_id)

    def check(self, head: Head, tag: bytes) -> Head:
        """`head`, if `tag` proves it. Raises `WrongKey` or `Unreadable`."""
        try:
            key = self._mac_keys.get(int.from_bytes(tag[:4]))
            if len(tag) == 36 and key is not None and head.verifies(key, self.registry_id, tag):
                return head
            fault = self._refused(head, tag)
        except MALFORMED:
            fault = unreadable(f"the head of {head.kind}/{head.name}")
        raise fault

    def _refused(self, head: Head, tag: bytes) -> BondstoneError:
        what, number = f"the head of {head.kind}/{head.name}", int.from_bytes(tag[:4])
        if len(tag) != 36 or number in self._keys:
            return unreadable(what)
        return _unknown_key(what, number)

    def _key(self, number: int, what: str) -> RootKey:
        key = self._keys.get(number)
        if key is None:
            raise _unknown_key(what, number)
        return key


def _unknown_key(what: str, number: int) -> WrongKey:
    return WrongKey(
        f"{what} was sealed by root key {number}, which this keyring does not hold: bring the keyring that goes with it"
    )


def _same_key(row: WrappedKeyring, provider: KeyProvider) -> bool:
    """A raw key is the same key in a file and in the environment."""
    return row.provider in _RAW and provider.kind in _RAW and row.key_id == provider.key_id


_RAW = ("key", "key-file")


def _unwrap(row: WrappedKeyring, registry_id: str, provider: KeyProvider) -> bytes:
    try:
        return provider.unwrap(row.wrapped, row.context(registry_id))
    except MALFORMED:
        pass
    raise unreadable(WHAT)


def _parse(plain: bytes) -> list[RootKey]:
    entries = (
        [RootKey(*entry) for entry in _ENTRY.iter_unpack(plain[4:])] if (len(plain) - 4) % _ENTRY.size == 0 else []
    )
    numbers = [entry.number for entry in entries]
    if not entries or _COUNT.unpack_from(plain)[0] != len(entries) or numbers != sorted(set(numbers)) or numbers[0] < 1:
        raise unreadable(WHAT)
    return entries
