"""The registry's own settings: one sealed row."""

import json
from contextlib import suppress
from typing import Any

from bondstone.registry.envelope import Context
from bondstone.registry.errors import BondstoneError, Conflict, InvalidSettings, RegistryUnavailable
from bondstone.registry.keyring import Keyring
from bondstone.registry.store import SealedSettings

DEFAULT_MAX_TTL = 300


def settings_context(row: SealedSettings) -> Context:
    """What the settings are sealed for."""
    return Context("settings", row.registry_id, "", "", row.generation, row.changed_at)


def first_settings(keyring: Keyring, now: int, settings: dict[str, Any]) -> SealedSettings:
    """The row of a new registry."""
    return _sealed(keyring, SealedSettings(keyring.registry_id, now, 1, now, b""), settings)


def opened_settings(keyring: Keyring, row: SealedSettings) -> dict[str, Any]:
    """What is in the row. Raises `Unreadable` or `WrongKey`."""
    plain = keyring.open(settings_context(row), row.envelope, "the settings of this registry")
    settings: dict[str, Any] = json.loads(plain)
    return settings


def longest_ttl(settings: dict[str, Any], now: int) -> int:
    """For how many seconds a handle may still serve what it has: one that did not ask since `max_ttl` was lowered has the old one."""
    before = -(-(int(settings.get("longer_until", 0)) - now) // 1_000_000)
    return max(int(settings["max_ttl"]), before)


def with_max_ttl(settings: dict[str, Any], max_ttl: int, shared_now: int) -> dict[str, Any]:
    """The settings with another `max_ttl`. `shared_now` is by the store's clock, which rotations go by."""
    until = shared_now + longest_ttl(settings, shared_now) * 1_000_000
    return {**settings, "max_ttl": max_ttl, "longer_until": until}


def check_filling(keyring: Keyring, row: SealedSettings, filling: str, url: str) -> None:
    """Refuse a registry whose `filling` is not this one. Settings that do not open say nothing, and block no load."""
    found = ""
    with suppress(BondstoneError, ValueError):
        found = str(opened_settings(keyring, row).get("filling", ""))
    if filling and found != filling:
        raise Conflict(f"there is a registry at {url}: give a place where there is none")
    if found != filling:
        raise RegistryUnavailable(
            f"the registry at {url} is not whole: a restore or a copy into it was interrupted; run the same command again, or remove it"
        )


def next_settings(keyring: Keyring, row: SealedSettings, now: int, settings: dict[str, Any]) -> SealedSettings:
    """The row that takes this one's place."""
    changed = row._replace(generation=row.generation + 1, changed_at=max(now, row.changed_at))
    return _sealed(keyring, changed, settings)


def _sealed(keyring: Keyring, row: SealedSettings, settings: dict[str, Any]) -> SealedSettings:
    if settings["max_ttl"] < 1:
        raise InvalidSettings("max_ttl is a number of seconds from 1")
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return row._replace(envelope=keyring.seal(settings_context(row), text.encode()))
