"""What a released format sealed must open for ever. These files are never made anew; a new format adds its own folder."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bondstone.registry import Registry
from bondstone.registry.backup import restore
from bondstone.registry.keys import KeyProvider, Passphrase, environment_key
from bondstone.registry.memory import MemoryStore
from bondstone.registry.sql import SqlStore
from bondstone.registry.sqlite import SqliteDatabase

FOLDER = Path(__file__).parents[1] / "fixtures" / "format-1"
FIRST = datetime.fromtimestamp(1_780_000_000, UTC)
Make = Callable[[], KeyProvider]


def by_key() -> KeyProvider:
    return environment_key((FOLDER / "key").read_text().strip())


def by_passphrase() -> KeyProvider:
    return Passphrase("Grüße aus dem ersten Format")


def check(registry: Registry) -> None:
    """Everything that was saved, as it was."""
    assert [(item.name, item.version) for item in registry.list("secret")] == [
        ("binary", 1),
        ("empty", 1),
        ("rolled-back", 1),
        ("two", 2),
    ]
    assert [registry.load("secret", "two", number).content for number in (1, 2)] == [b"first", b"second"]
    assert registry.load("secret", "binary").content == bytes(range(256))
    assert registry.load("secret", "empty").content == b""
    assert registry.load("secret", "rolled-back").content == b"1"
    assert [line.state for line in registry.history("aws-credentials", "prod/a")] == ["current", "pending"]
    assert [(line.deleted, line.state) for line in registry.history("secret", "deleted")] == [(True, "")]
    assert all(
        timedelta(0) < line.saved_at - FIRST < timedelta(minutes=1) for line in registry.history("secret", "two")
    )
    assert registry.max_ttl == 120
    assert registry.save("secret", "deleted", b"anew").version == 2


@pytest.mark.parametrize(("file", "provider"), [("key.db", by_key), ("passphrase.db", by_passphrase)])
def test_a_registry_of_format_1_opens(tmp_path: Path, file: str, provider: Make) -> None:
    """Sealed by the first release, under a key and under a passphrase."""
    shutil.copy(FOLDER / file, tmp_path)

    registry = Registry.open(SqlStore(SqliteDatabase(tmp_path / file)), provider())

    check(registry)
    registry.close()


@pytest.mark.parametrize(("file", "provider"), [("key.backup", by_key), ("passphrase.backup", by_passphrase)])
def test_a_backup_of_format_1_opens(file: str, provider: Make) -> None:
    """Restored into a registry that makes what is new."""
    made: list[Registry] = []

    def create(max_ttl: int, filling: str) -> Registry:
        made.append(Registry.create(MemoryStore(), by_key(), max_ttl=max_ttl))
        return made[0]

    restore(FOLDER / file, provider(), create)

    check(made[0])
