"""The checks of `bondstone doctor` that concern the registry and its key."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from bondstone.blocks.expiry import expiries
from bondstone.registry import BondstoneError, KeyMissing, Listed, NoRegistry, Registry, Settings, current_registry
from bondstone.registry.providers import KINDS
from bondstone.registry.results import when
from bondstone.registry.sqlite import network_file_system

_SKEW = timedelta(minutes=1)
_SOON = timedelta(days=14)
_SHOWN = 20
_BACKUP_DAYS = timedelta(days=30)
_MOST_ROWS = 50_000  # of the audit log: loads are in it too
_COPIES = ("backup", "copy")


class Finding(NamedTuple):
    """One line of the checkup."""

    status: str  # "ok", "warn" or "fail"
    check: str
    finding: str


def registry_findings(settings: Settings) -> Iterator[Finding]:
    """Whether it opens, and everything in it."""
    try:
        registry = current_registry()
    except NoRegistry as error:
        yield Finding("warn", "registry", str(error))
        return
    except BondstoneError as error:
        yield Finding("fail", "registry", str(error))
        return
    yield Finding("ok", "registry", f"{settings.place} opens; its id is {registry.id}")
    if settings.file is not None:
        yield from _file(settings.file)
    try:
        yield from _content(registry)
        yield from _backups(registry)
    except BondstoneError as error:
        yield Finding("fail", "blocks", str(error))


def _file(path: Path) -> Iterator[Finding]:
    folder = path.parent
    if os.access(path, os.W_OK) and os.access(folder, os.W_OK):
        yield Finding("ok", "folder", f"{folder} can be written")
    else:
        yield Finding(
            "warn", "folder", f"{folder} is read-only: blocks load, but nothing is saved, and reads wait to be recorded"
        )
    if kind := network_file_system(path.resolve()):
        advice = "SQLite can lose saves there: set BONDSTONE_REGISTRY to a PostgreSQL database or to a local path"
        yield Finding("warn", "file system", f"{path} lies on a network file system ({kind}): {advice}")
    if path.stat().st_mode & 0o022:
        yield Finding("warn", "mode", f"others can write {path}, and so delete what is in it: run 'chmod 600' on it")


def _content(registry: Registry) -> Iterator[Finding]:
    yield Finding("ok", "max_ttl", f"handles may be {registry.max_ttl} s stale")
    if restored := registry.set_back():
        names = _some([f"{item.kind}/{item.name}".removeprefix("/") for item in restored])
        advice = "restored from a backup? then 'bondstone doctor --accept-restored'; if not, somebody changed it"
        yield Finding("fail", "freshness", f"{len(restored)} are older than what was seen here ({advice}): {names}")
    listed = registry.list()
    unreadable = [what for item in listed for what in _unreadable(registry, item)]
    if unreadable:
        advice = "changed outside bondstone: restore from a backup, or delete"
        yield Finding("fail", "blocks", f"{len(unreadable)} do not open ({advice}): {_some(unreadable)}")
    else:
        yield Finding("ok", "blocks", f"{len(listed)}, and every version opens")
    late = [f"{item.kind}/{item.name}" for item in listed if item.changed_at > datetime.now(UTC) + _SKEW]
    if late:
        yield Finding("warn", "clock", f"changed in the future: {_some(late)}; is the clock of this machine right?")
    yield from _expiries(registry, listed)


def _expiries(registry: Registry, listed: list[Listed]) -> Iterator[Finding]:
    """Credentials that have ended, and those that will soon."""
    now = datetime.now(UTC)
    ends = expiries(registry, listed).items()
    if ended := [name for name, at in ends if at <= now]:
        yield Finding("warn", "expiry", f"expired: {_some(ended)}; rotate them, or save new versions")
    if soon := [f"{name} ({at:%Y-%m-%d})" for name, at in ends if now < at <= now + _SOON]:
        yield Finding("warn", "expiry", f"expire within {_SOON.days} days: {_some(soon)}")


def _backups(registry: Registry) -> Iterator[Finding]:
    """When the last one was made, by the audit log of the last days."""
    since = int((datetime.now(UTC) - _BACKUP_DAYS).timestamp() * 1_000_000)
    made = next((row for row in registry.audit(since=since, limit=_MOST_ROWS) if row.action in _COPIES), None)
    if made is not None:
        yield Finding("ok", "backup", f"made {when(made.at):%Y-%m-%d}")
    elif registry.list(limit=1):
        yield Finding("warn", "backup", f"none in the last {_BACKUP_DAYS.days} days: run 'bondstone backup FILE'")


def _unreadable(registry: Registry, item: Listed) -> Iterator[str]:
    """What does not open of a name: its head, or versions that are not deleted."""
    if not item.readable:
        yield f"{item.kind}/{item.name}"
        return
    for version in registry.history(item.kind, item.name):
        if not version.deleted and version.state == "unreadable":
            yield f"{item.kind}/{item.name}@{version.version}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def key_findings(settings: Settings) -> Iterator[Finding]:
    """Where the key is, and who else could read it."""
    try:
        provider = settings.provider()
    except KeyMissing as error:
        if settings.store().exists():
            yield Finding("fail", "key", str(error))
        else:
            yield Finding("ok", "key", f"none yet; it is made with the registry, at {settings.key_path}")
        return
    except BondstoneError as error:
        yield Finding("fail", "key", str(error))
        return
    if provider.kind in KINDS:  # elsewhere; what is set here is its address
        yield Finding("ok", "key", f"{provider.key_id} ({provider.kind})")
    elif provider.kind != "key-file":
        variable = "BONDSTONE_KEY" if settings.key else "BONDSTONE_PASSPHRASE"
        advice = "every process that you start inherits it; a key file (BONDSTONE_KEY_FILE) is read by bondstone only"
        yield Finding("warn", "key", f"{provider.key_id} from {variable}: {advice}")
    elif settings.file is not None and settings.key_path.parent == settings.file.parent:
        yield Finding(
            "warn",
            "key",
            f"{settings.key_path} lies beside the data, and is copied with it: move it, set BONDSTONE_KEY_FILE",
        )
    else:
        yield Finding(
            "ok",
            "key",
            f"{provider.key_id} in {settings.key_path}, which only its owner can read; keep a copy elsewhere",
        )
