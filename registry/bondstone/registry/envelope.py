"""Seal and open one record. `docs/format.md` is the specification; this is its only implementation outside the tests."""

import hmac
import os
import struct
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bondstone.registry.errors import Unreadable, UnsupportedFormat

FORMAT = 1
KEY_BYTES = 32

_HEADER = struct.Struct(">2sBI32s32s")  # letters, format, key id, salt, commitment
_SHORTEST = _HEADER.size + 16
_LETTERS = b"BS"
_U64 = struct.Struct(">Q")
_LP_NUMBERS = struct.Struct(">IQIQ")
_HASH = SHA256()


class Context(NamedTuple):
    """What names exactly one record. A tuple: one is made for every load."""

    type: str
    registry_id: str
    kind: str
    name: str
    number: int
    time: int  # microseconds since 1970

    def encode(self) -> bytes:
        """The length-prefixed byte form, which is HKDF's info and AES-GCM's associated data."""
        type_, registry_id, kind, name = (
            self.type.encode(),
            self.registry_id.encode(),
            self.kind.encode(),
            self.name.encode(),
        )
        return b"".join(
            (
                _PREFIX,
                len(type_).to_bytes(4), type_,
                len(registry_id).to_bytes(4), registry_id,
                len(kind).to_bytes(4), kind,
                len(name).to_bytes(4), name,
                _LP_NUMBERS.pack(8, self.number, 8, self.time),
            )
        )  # fmt: skip


_PREFIX = struct.pack(">I9sIB", 9, b"bondstone", 1, FORMAT)


# What cells of another type than bondstone writes, or numbers out of range, make of a context or an envelope.
MALFORMED = (struct.error, TypeError, AttributeError, UnicodeEncodeError)


def unreadable(what: str) -> Unreadable:
    """The one error for every way in which a record can fail to open."""
    return Unreadable(
        f"{what} is unreadable: it was changed, moved or cut outside bondstone; restore it from a backup, or delete it"
    )


def key_id(envelope: bytes, what: str) -> int:
    """The number of the root key that `envelope` was sealed under; 0 for a wrapping key. Raises as `open_envelope` does."""
    if len(envelope) < _SHORTEST or envelope[:2] != _LETTERS:
        raise unreadable(what)
    if envelope[2] != FORMAT:
        raise UnsupportedFormat(
            f"{what} is written in format {envelope[2]}; this bondstone reads {FORMAT}: install a newer one"
        )
    return int.from_bytes(envelope[3:7])


def seal(key: bytes, number: int, context: Context, plaintext: bytes, *, salt: bytes | None = None) -> bytes:
    """The envelope of `plaintext` under `key`, whose id is `number`. `salt` is for test vectors: never give the same one twice."""
    return _seal(key, number, context.encode(), plaintext, os.urandom(32) if salt is None else salt)


def open_envelope(key: bytes, context: Context, envelope: bytes, what: str) -> bytes:
    """The plaintext. Raises `Unreadable` or `UnsupportedFormat`; `what` names the record in their text."""
    key_id(envelope, what)
    return _open(key, context.encode(), envelope, what)


def reseal(old: bytes, new: bytes, number: int, context: Context, envelope: bytes, what: str) -> bytes:
    """The envelope of the same plaintext under the key `new`, whose id is `number`. Raises as `open_envelope` does."""
    info = context.encode()
    return _seal(new, number, info, _open(old, info, envelope, what), os.urandom(32))


def _seal(key: bytes, number: int, info: bytes, plaintext: bytes, salt: bytes) -> bytes:
    record_key, nonce, commitment = _derive(key, salt, info)
    return _HEADER.pack(_LETTERS, FORMAT, number, salt, commitment) + AESGCM(record_key).encrypt(nonce, plaintext, info)


def _open(key: bytes, info: bytes, envelope: bytes, what: str) -> bytes:
    record_key, nonce, commitment = _derive(key, envelope[7:39], info)
    if not hmac.compare_digest(commitment, envelope[39:71]):
        raise unreadable(what)
    try:
        return AESGCM(record_key).decrypt(nonce, envelope[71:], info)
    except InvalidTag:
        pass
    raise unreadable(what)


def _derive(key: bytes, salt: bytes, info: bytes) -> tuple[bytes, bytes, bytes]:
    okm = HKDF(_HASH, 76, salt, info).derive(key)
    return okm[:32], okm[32:44], okm[44:]


def mac_key(key: bytes, registry_id: str) -> hmac.HMAC:
    """The key that authenticates heads, derived once per root key and registry. A copy is fed for each: half the price of a new HMAC."""
    context = Context("mac", registry_id, "", "", 0, 0)
    return hmac.new(
        HKDF(_HASH, KEY_BYTES, bytes.fromhex(registry_id), context.encode()).derive(key), digestmod="sha256"
    )


def audit_key(key: bytes, registry_id: str) -> bytes:
    """The key that chains rows of the audit log. It outlives its root key: with it, old rows are proved and nothing is opened."""
    context = Context("audit-key", registry_id, "", "", 0, 0)
    return HKDF(_HASH, KEY_BYTES, bytes.fromhex(registry_id), context.encode()).derive(key)


def fingerprint_key(key: bytes, registry_id: str) -> bytes:
    """The key of fingerprints of values."""
    context = Context("fingerprint", registry_id, "", "", 0, 0)
    return HKDF(_HASH, KEY_BYTES, bytes.fromhex(registry_id), context.encode()).derive(key)


def fingerprint(key: bytes) -> str:
    """The public id of a wrapping key, such as ``k1a2b3c4d``."""
    return "k" + HKDF(_HASH, 4, None, Context("keyid", "", "", "", 0, 0).encode()).derive(key).hex()
