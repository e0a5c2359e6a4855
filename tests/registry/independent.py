"""A second reader of the sealed format, written from `docs/format.md` alone: it shares no code with bondstone.

Each function raises `Refused`, whose text is the error code of the page, or gives what was sealed.
"""

import hmac
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class Refused(Exception):
    """What the page says of a record that does not open."""


def hkdf(key: bytes, salt: bytes | None, info: bytes, length: int) -> bytes:
    """RFC 5869, with SHA-256."""
    secret = hmac.digest(salt or bytes(32), key, "sha256")
    block, out, n = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(secret, block + info + bytes([n]), "sha256")
        out, n = out + block, n + 1
    return out[:length]


def u(number: int, size: int) -> bytes:
    return number.to_bytes(size, "big")


def context(fields: dict[str, Any]) -> bytes:
    """Eight fields, each after its length."""
    texts = [fields[name].encode() for name in ("type", "registry_id", "kind", "name")]
    parts = [b"bondstone", u(1, 1), *texts, u(fields["number"], 8), u(fields["time"], 8)]
    return b"".join(u(len(part), 4) + part for part in parts)


def opened(keys: dict[int, bytes], fields: dict[str, Any], envelope: bytes) -> bytes:
    """The plaintext of an envelope."""
    if len(envelope) < 87 or envelope[:2] != b"BS":
        raise Refused("unreadable")
    if envelope[2] != 1:
        raise Refused("unsupported_format")
    key = keys.get(int.from_bytes(envelope[3:7], "big"))
    if key is None:
        raise Refused("wrong_key")
    info = context(fields)
    okm = hkdf(key, envelope[7:39], info, 76)
    if not hmac.compare_digest(okm[44:76], envelope[39:71]):
        raise Refused("unreadable")
    try:
        return AESGCM(okm[:32]).decrypt(okm[32:44], envelope[71:], info)
    except InvalidTag:
        raise Refused("unreadable") from None


NUMBERS = ("current", "previous", "pending", "highest", "deleted_through")


def head(keys: dict[int, bytes], registry_id: str, row: dict[str, Any], tag: bytes) -> dict[str, Any]:
    """The row, if its tag is true and its numbers can stand together."""
    if len(tag) != 36:
        raise Refused("unreadable")
    key = keys.get(int.from_bytes(tag[:4], "big"))
    if key is None:
        raise Refused("wrong_key")
    empty = {"type": "mac", "registry_id": registry_id, "kind": "", "name": "", "number": 0, "time": 0}
    mac_key = hkdf(key, bytes.fromhex(registry_id), context(empty), 32)
    where = {"type": "head", "registry_id": registry_id, "number": row["generation"], "time": row["changed_at"]}
    body = b"".join(u(row[name], 8) for name in NUMBERS)
    if not hmac.compare_digest(hmac.digest(mac_key, context(row | where) + body, "sha256"), tag[4:]):
        raise Refused("unreadable")
    least, most = row["deleted_through"], row["highest"]
    if least > most or any(row[n] and not least < row[n] <= most for n in NUMBERS[:3]):
        raise Refused("unreadable")
    return row


def keyring(wrapping_key: bytes, fields: dict[str, Any], wrapped: bytes) -> dict[int, bytes]:
    """The root keys that open, by number; behind them may stand retired ones, which open nothing."""
    if wrapped[:3] == b"BS\1" and wrapped[3:7] != bytes(4):
        raise Refused("unreadable")
    plain = opened({0: wrapping_key}, fields, wrapped)
    count, entries = int.from_bytes(plain[:4], "big"), [plain[i : i + 44] for i in range(4, len(plain), 44)]
    numbers = [int.from_bytes(entry[:4], "big") for entry in entries]
    ages = numbers[count:] + numbers[:count]
    whole = len(plain) >= 4 and len(plain) % 44 == 4 and 0 < count <= len(numbers)
    if not whole or ages[0] < 1 or ages != sorted(set(ages)):
        raise Refused("unreadable")
    return {number: entry[12:] for number, entry in zip(numbers[:count], entries, strict=False)}


def behind_a_passphrase[T](passphrase: str, wrapped: bytes, read: Callable[[bytes, bytes], T]) -> T:
    """What `read` makes of the key and the rest. (Here alone a library derives: nobody writes Argon2 a second time.)"""
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    memory, iterations, lanes = (int.from_bytes(wrapped[i : i + 4], "big") for i in (0, 4, 8))
    bounds = len(wrapped) >= 28 and memory <= 1024 * 1024 and 1 <= iterations <= 16 and 1 <= lanes <= 64
    if not bounds or memory < 8 * lanes:
        raise Refused("unreadable")
    kdf = Argon2id(salt=wrapped[12:28], length=32, iterations=iterations, lanes=lanes, memory_cost=memory)
    try:
        return read(kdf.derive(passphrase.encode()), wrapped[28:])
    except Refused as error:
        raise Refused("wrong_key" if str(error) == "unreadable" else str(error)) from None


def passphrase_keyring(passphrase: str, fields: dict[str, Any], wrapped: bytes) -> dict[int, bytes]:
    """The root keys behind a passphrase."""
    return behind_a_passphrase(passphrase, wrapped, lambda key, inner: keyring(key, fields, inner))


def fingerprint(key: bytes) -> str:
    """The public id of a wrapping key."""
    fields = {"type": "keyid", "registry_id": "", "kind": "", "name": "", "number": 0, "time": 0}
    return "k" + hkdf(key, None, context(fields), 4).hex()
