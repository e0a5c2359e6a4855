"""The registry's own settings: one sealed row."""

import json
from typing import Any

from bondstone.registry.envelope import Context
from bondstone.registry.errors import InvalidSettings
from bondstone.registry.keyring import Keyring
from bondstone.registry.store import SealedSettings

DEFAULT_MAX_TTL = 300


def settings_context(row: SealedSettings) -> Context:
    """What the settings are sealed for."""
    return Context("settings", row.registry_id, "", "", row.generation, row.changed_at)


def first_settings(keyring: Keyring, max_ttl: int, now: int) -> SealedSettings:
    """The row of a new registry, whose audit log is a chain from its first row on."""
    row = SealedSettings(keyring.registry_id, now, 1, now, b"")
    return _sealed(keyring, row, {"chained": True, "max_ttl": max_ttl})


def opened_settings(keyring: Keyring, row: SealedSettings) -> dict[str, Any]:
    """What is in the row. Raises `Unreadable` or `WrongKey`."""
    plain = keyring.open(settings_context(row), row.envelope, "the settings of this registry")
    settings: dict[str, Any] = json.loads(plain)
    return settings


def longest_ttl(settings: dict[str, Any], now: int) -> int:
    """For how many seconds a handle may still serve what it has: one that did not ask since `max_ttl` was lowered has the old one."""
    before = -(-(int(settings.get("longer_until", 0)) - now) // 1_000_000)
    return max(int(settings["max_ttl"]), before)


def with_max_ttl(keyring: Keyring, row: SealedSettings, max_ttl: int, now: int, shared_now: int) -> SealedSettings:
    """The row that takes this one's place. `shared_now` is by the store's clock, which rotations go by."""
    changed = row._replace(generation=row.generation + 1, changed_at=max(now, row.changed_at))
    settings = opened_settings(keyring, row)
    until = shared_now + longest_ttl(settings, shared_now) * 1_000_000
    return _sealed(keyring, changed, {**settings, "max_ttl": max_ttl, "longer_until": until})


def _sealed(keyring: Keyring, row: SealedSettings, settings: dict[str, Any]) -> SealedSettings:
    if settings["max_ttl"] < 1:
        raise InvalidSettings("max_ttl is a number of seconds from 1")
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return row._replace(envelope=keyring.seal(settings_context(row), text.encode()))
