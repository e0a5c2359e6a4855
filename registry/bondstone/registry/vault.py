"""A wrapping key in the transit engine of Vault or OpenBao: it never leaves the server."""

import base64
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bondstone.registry.envelope import Context, unreadable
from bondstone.registry.errors import (
    AccessDenied,
    BondstoneError,
    InvalidSettings,
    KeyMissing,
    MissingExtra,
    ServiceUnavailable,
    Unreadable,
)
from bondstone.registry.keys import WHAT

_KEY_ID = re.compile(r"([A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*)/([A-Za-z0-9_.-]+)", re.ASCII)
_CIPHERTEXT = re.compile(r"vault:v[1-9][0-9]*:[A-Za-z0-9+/]+={0,2}", re.ASCII)
SECONDS = 15


def _client() -> Any:
    try:
        import hvac
    except ImportError:
        raise MissingExtra("a key in Vault needs the extra: pip install 'bondstone[vault]'") from None
    return hvac.Client(timeout=SECONDS)  # VAULT_ADDR, VAULT_TOKEN and so on, as for the program `vault`


@dataclass(frozen=True)
class VaultTransit:
    """A transit key, as ``mount/name``. It must be of an authenticating type (aes256-gcm96, Vault's default, or chacha20-poly1305)."""

    key_id: str
    client: Callable[[], Any] = field(default=_client, repr=False)
    kind: str = "vault"

    def __post_init__(self) -> None:
        if not _KEY_ID.fullmatch(self.key_id):
            raise InvalidSettings("a Vault key is named by mount and name, such as vault:transit/bondstone")

    def wrap(self, keys: bytes, context: Context) -> bytes:
        answer = self._ask("encrypt_data", context, plaintext=base64.b64encode(keys).decode())
        wrapped = str(answer["ciphertext"]).encode()
        # An old Vault ignores associated data without a word, and rows of the keyring could be moved or brought back.
        with suppress(Unreadable):
            self.unwrap(wrapped, context._replace(number=context.number + 1))
            raise InvalidSettings(
                f"this Vault does not bind associated data with {self.key_id}: use Vault 1.10 and aes256-gcm96"
            )
        return wrapped

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        try:
            text = wrapped.decode("ascii")
        except UnicodeDecodeError:
            text = ""
        if not _CIPHERTEXT.fullmatch(text) or len(text.rpartition(":")[2]) % 4:
            raise unreadable(WHAT)
        if base64.b64encode(base64.b64decode(text.rpartition(":")[2])).decode() != text.rpartition(":")[2]:
            raise unreadable(WHAT)  # Vault would open more than one spelling
        return base64.b64decode(self._ask("decrypt_data", context, ciphertext=text)["plaintext"], validate=True)

    def _ask(self, act: str, context: Context, **what: str) -> dict[str, Any]:
        import requests
        from hvac import exceptions

        mount, _, name = self.key_id.rpartition("/")
        bound = base64.b64encode(context.encode()).decode()
        try:
            ask = getattr(self.client().secrets.transit, act)
            answer: dict[str, Any] = ask(name, mount_point=mount, associated_data=bound, **what)["data"]
        except (exceptions.VaultError, requests.RequestException) as error:
            fault = _fault(error, self.key_id)
        else:
            return answer
        raise fault


def _fault(error: Exception, key_id: str) -> BondstoneError:
    """What Vault's answer means here. Its own text may repeat what was sent."""
    from hvac import exceptions

    if isinstance(error, exceptions.InvalidPath):
        return KeyMissing(f"Vault has no transit key {key_id}: make it there, or check VAULT_ADDR and VAULT_NAMESPACE")
    if isinstance(error, exceptions.InvalidRequest):
        missing = any("not found" in str(line) for line in error.errors or ())
        return KeyMissing(f"Vault has no transit key {key_id}: make it there") if missing else unreadable(WHAT)
    if isinstance(error, exceptions.Forbidden | exceptions.Unauthorized):
        return AccessDenied(f"Vault refused: check VAULT_TOKEN, and allow update on encrypt and decrypt of {key_id}")
    return ServiceUnavailable(f"Vault did not answer ({type(error).__name__}): try again, or check VAULT_ADDR")
