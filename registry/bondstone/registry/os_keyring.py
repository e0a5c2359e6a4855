"""A wrapping key in the keyring of the operating system: macOS Keychain, Windows Credential Locker, Secret Service, KWallet."""

import base64
import os
from typing import TYPE_CHECKING, Any

from bondstone.registry.envelope import KEY_BYTES, fingerprint
from bondstone.registry.errors import InvalidSettings, KeyMissing, MissingExtra, ServiceUnavailable, WrongKey
from bondstone.registry.keys import RawKey, decoded, raw_key

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "bondstone"
_HEADLESS = (
    "this machine has no OS keyring that protects what it keeps (a session without a desktop has none): "
    "use a key file, or choose a backend by PYTHON_KEYRING_BACKEND"
)


def keyring_key(key_id: str, backend: "KeyringBackend | None" = None) -> RawKey:
    """The wrapping key that the keyring keeps under `key_id`.

    Without `backend` it is the one that keyring's own configuration names, or the system's. Raises `KeyMissing`, `InvalidSettings` where
    there is no keyring, `ServiceUnavailable` where it stays locked, `WrongKey` if it holds another key than `key_id` says.
    """
    source = f"the OS keyring, service '{SERVICE}', user '{key_id}'"
    entry = _Entry(_chosen(backend), key_id)
    if not entry.there():
        raise KeyMissing(f"no key in {source}: bring it back, or open this registry with another of its keys")
    key = entry.key(source)
    if key.key_id != key_id:
        raise WrongKey(f"wrong key: {source} holds {key.key_id}")
    return key


def make_keyring_key(backend: "KeyringBackend | None" = None) -> RawKey:
    """A new wrapping key, kept in the keyring under its own id."""
    chosen, key = _chosen(backend), os.urandom(KEY_BYTES)
    key_id = fingerprint(key)
    _Entry(chosen, key_id).keep(key)
    return keyring_key(key_id, chosen)


class _Entry:
    """One entry of a keyring. Its text is in no local of a frame that may fail."""

    def __init__(self, backend: "KeyringBackend", user: str) -> None:
        self._backend, self._user = backend, user

    def there(self) -> bool:
        return self._call(self._backend.get_password, SERVICE, self._user) is not None

    def key(self, source: str) -> RawKey:
        return raw_key("keyring", source, decoded(self._call(self._backend.get_password, SERVICE, self._user) or ""))

    def keep(self, key: bytes) -> None:
        self._call(self._backend.set_password, SERVICE, self._user, base64.urlsafe_b64encode(key).decode().rstrip("="))

    def _call(self, act: Any, *words: str) -> Any:
        from keyring.errors import KeyringError

        try:
            return act(*words)
        except KeyringError as error:
            reason = type(error).__name__  # its text may hold what was to be kept
        raise ServiceUnavailable(f"the OS keyring refused ({reason}): unlock it, or use a key file")


def _chosen(backend: "KeyringBackend | None") -> "KeyringBackend":
    if backend is not None:
        return backend
    try:
        import keyring
        from keyring.backends import fail, null
    except ImportError:
        raise MissingExtra("a key in the OS keyring needs the extra: pip install 'bondstone[keyring]'") from None
    found = keyring.get_keyring()
    # Below 1 keyring does not recommend a backend, such as a file in plain text: only whoever names it shall get it.
    named = bool(os.environ.get("PYTHON_KEYRING_BACKEND"))
    if isinstance(found, fail.Keyring | null.Keyring) or (found.priority < 1 and not named):
        raise InvalidSettings(_HEADLESS)
    return found
