"""Key providers: who may open a registry. Each protects the registry's root keys with a wrapping key that lies elsewhere."""

import base64
import binascii
import os
import stat
import struct
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bondstone.registry.envelope import KEY_BYTES, Context, fingerprint, key_id, open_envelope, seal, unreadable
from bondstone.registry.errors import (
    InvalidSettings,
    KeyExposed,
    KeyMissing,
    RegistryUnavailable,
    Unreadable,
    WrongKey,
)
from bondstone.registry.files import publish

WHAT = "the keyring of this registry"
_ARGON2 = struct.Struct(">III16s")
_ARGON2_COST = (64 * 1024, 3, 4)  # KiB, iterations, lanes: 115 ms, RFC 9106's second recommendation
_ARGON2_MOST = (1024 * 1024, 16, 64)


class KeyProvider(Protocol):
    """Wraps and unwraps root keys. `kind` and `key_id` stand in clear beside what it wrapped."""

    @property
    def kind(self) -> str:
        """Which provider this is, for example ``key-file``."""
        ...

    @property
    def key_id(self) -> str:
        """What tells its key from others, and says nothing about it, for example ``k1a2b3c4d``."""
        ...

    def wrap(self, keys: bytes, context: Context) -> bytes:
        """`keys`, sealed for `context`."""
        ...

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        """What `wrap` was given; `Unreadable` if it was another key, another context or another text."""
        ...


@dataclass(frozen=True)
class RawKey:
    """A 32-byte wrapping key from a file or the environment."""

    kind: str
    source: str  # where it came from, for error texts
    key: bytes = field(repr=False)

    @property
    def key_id(self) -> str:
        return fingerprint(self.key)

    def wrap(self, keys: bytes, context: Context) -> bytes:
        return seal(self.key, 0, context, keys)

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        return _open(self.key, context, wrapped)


@dataclass(frozen=True)
class Passphrase:
    """A wrapping key derived from a passphrase by Argon2id (RFC 9106)."""

    passphrase: str = field(repr=False)
    kind: str = "passphrase"
    key_id: str = "passphrase"

    def wrap(self, keys: bytes, context: Context) -> bytes:
        salt = os.urandom(16)
        return _ARGON2.pack(*_ARGON2_COST, salt) + seal(self._derive(salt, *_ARGON2_COST), 0, context, keys)

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        if len(wrapped) < _ARGON2.size:
            raise unreadable(WHAT)
        *cost, salt = _ARGON2.unpack_from(wrapped)
        # Costs are read from storage that is not trusted: huge ones would exhaust the reader, tiny ones make argon2 refuse.
        if any(not 1 <= c <= most for c, most in zip(cost, _ARGON2_MOST, strict=True)) or cost[0] < 8 * cost[2]:
            raise unreadable(WHAT)
        try:
            return _open(self._derive(salt, *cost), context, wrapped[_ARGON2.size :])
        except Unreadable:
            pass
        raise WrongKey("wrong passphrase (or the keyring was changed outside bondstone): correct BONDSTONE_PASSPHRASE")

    def _derive(self, salt: bytes, memory: int, iterations: int, lanes: int) -> bytes:
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

        text = unicodedata.normalize("NFC", self.passphrase).encode()
        return Argon2id(salt=salt, length=KEY_BYTES, iterations=iterations, lanes=lanes, memory_cost=memory).derive(
            text
        )


def _open(key: bytes, context: Context, wrapped: bytes) -> bytes:
    """What a wrapping key sealed: under key id 0, which nothing else in the envelope proves."""
    if key_id(wrapped, WHAT):
        raise unreadable(WHAT)
    return open_envelope(key, context, wrapped, WHAT)


def environment_key(text: str) -> RawKey:
    """The key that `BONDSTONE_KEY` holds. Raises `InvalidSettings`."""
    key = decoded(text)
    del text  # nearly a key, perhaps: a frame with it must not be in a traceback
    return raw_key("key", "BONDSTONE_KEY", key)


def key_file(path: Path) -> RawKey:
    """The key in `path`.

    Raises `KeyMissing`, `KeyExposed` if others than its owner may read it, `InvalidSettings` if it holds something else.
    """
    return raw_key("key-file", f"the key file {path}", decoded(key_line(path)))


def key_line(path: Path) -> str:
    """The line in a key file. Raises `KeyMissing`, `KeyExposed`, `RegistryUnavailable`."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(4096).decode("ascii", "replace")
    except FileNotFoundError:
        raise KeyMissing(
            f"no key file at {path}: bring it back from your backup, or set BONDSTONE_KEY_FILE to where it is"
        ) from None
    except OSError as error:
        raise RegistryUnavailable(f"cannot read the key file {path} ({error.strerror})") from None
    if mode & 0o077:
        del text
        raise KeyExposed(f"the key file {path} can be read by others (mode {mode:04o}): run 'chmod 600' on it")
    return text.removesuffix("\n")


def make_key_file(path: Path, notice: Callable[[str], None] | None = None) -> RawKey:
    """The key in `path`, made if there is none yet. A new one is announced in one line: nobody else can bring it back."""
    text = base64.urlsafe_b64encode(os.urandom(KEY_BYTES)).decode().rstrip("=")
    if not path.exists() and publish(path, lambda draft: _write(draft, text + "\n")):
        line = f"bondstone: made a new key at {path}; back it up, without it nothing that you save can be opened"
        (notice or _to_stderr)(line)
    return key_file(path)


def _write(path: Path, text: str) -> None:
    path.write_text(text, "ascii")


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")


def decoded(text: str) -> bytes | None:
    """One byte form only: what does not encode back to the same text is no key."""
    try:
        key = base64.b64decode(text + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == KEY_BYTES and base64.urlsafe_b64encode(key).decode().rstrip("=") == text else None


def raw_key(kind: str, source: str, key: bytes | None) -> RawKey:
    """The key, if `decoded` found one. Raises `InvalidSettings`."""
    if key is None:
        raise InvalidSettings(f"{source} does not hold a bondstone key: expected one line of 43 characters (base64url)")
    return RawKey(kind, source, key)
