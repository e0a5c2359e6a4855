"""Older settings, or an older keyring, brought back: refused by a client that has seen newer ones."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bondstone.registry import Registry, RolledBack, rekey
from bondstone.registry.keys import RawKey
from tests.app.program import bondstone
from tests.registry.test_seen import Open, reopen, state

__all__ = ["reopen", "state"]
KIND = "secret"
KEY = RawKey("key", "a test", b"k" * 32)
OTHER = RawKey("key", "a test", b"o" * 32)


@pytest.fixture
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """The attacker's own connection to the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        yield raw


def put_back(database: sqlite3.Connection, table: str, rows: list[tuple[object, ...]]) -> None:
    database.execute(f"DELETE FROM {table}")
    database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)


def test_older_settings_are_refused(reopen: Open, database: sqlite3.Connection) -> None:
    """A `max_ttl` of before: by who set the newer one, and by a later process of that user; loads go on."""
    registry = reopen()
    registry.save(KIND, "a", b"x")
    old = database.execute("SELECT * FROM registry").fetchall()
    registry.set_max_ttl(60)
    put_back(database, "registry", old)

    for client in (registry, reopen()):
        with pytest.raises(
            RolledBack, match=r"settings of this registry was set back: 1 .* 2 was seen .*--accept-restored"
        ):
            _ = client.max_ttl
        with pytest.raises(RolledBack):
            client.set_max_ttl(70)
        assert client.load(KIND, "a").content == b"x"


def test_settings_that_were_only_read_are_seen_too(reopen: Open, database: sqlite3.Connection) -> None:
    """By one process, for the next."""
    old = database.execute("SELECT * FROM registry").fetchall()
    with closing(Registry.open(reopen()._store, KEY)) as unseen:
        unseen.set_max_ttl(60)
    reader = reopen()
    assert reader.max_ttl == 60
    reader.close()
    put_back(database, "registry", old)

    with pytest.raises(RolledBack):
        _ = reopen().max_ttl


def test_an_older_keyring_is_refused(reopen: Open, database: sqlite3.Connection) -> None:
    """One from before the root key was replaced: nobody who has seen the newer key seals under the older one again."""
    registry = reopen()
    old = database.execute("SELECT * FROM keyrings").fetchall()
    rekey.rotate(registry._store, [KEY])
    reopen().close()
    put_back(database, "keyrings", old)

    with pytest.raises(RolledBack, match="root key of this registry was set back: 1 is there, and 2 was seen"):
        reopen()


def test_a_removed_slot_brought_back_opens_nothing_new(reopen: Open, database: sqlite3.Connection) -> None:
    """Its key is gone, a rotation followed: who opens by the old row is refused, where that user has seen the newer root key."""
    registry = reopen()
    rekey.add_slot(registry._store, [KEY], "recovery", OTHER)
    old = database.execute("SELECT * FROM keyrings WHERE slot = 'recovery'").fetchone()
    rekey.remove_slot(registry._store, [KEY], "recovery")
    rekey.rotate(registry._store, [KEY])
    reopen().close()
    database.execute("INSERT INTO keyrings VALUES (?, ?, ?, ?, ?, ?)", old)
    folder = Path(registry._seen._path or "").parent

    with pytest.raises(RolledBack):
        Registry.open(registry._store, OTHER, state=folder)
    reopen().save(KIND, "a", b"x")


def test_a_keyring_set_back_while_it_is_open(reopen: Open, database: sqlite3.Connection) -> None:
    """A process that holds the newer root key goes on with it."""
    registry = reopen()
    old = database.execute("SELECT * FROM keyrings").fetchall()
    rekey.rotate(registry._store, [KEY])
    registry.save(KIND, "a", b"x")
    put_back(database, "keyrings", old)

    assert registry._keyring.refresh() is False
    registry.save(KIND, "a", b"y", overwrite=True)

    assert registry._keyring.newest == 2
    assert database.execute("SELECT hex(substr(sealed, 4, 4)) FROM versions").fetchall() == [("00000002",)] * 2


def test_concurrent_changes_are_no_attack(reopen: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A settings row that was read before another's mark is read again."""
    here, there = reopen(), reopen()
    real = here._store.settings
    calls: list[int] = []

    def overtaken() -> object:
        row = real()
        if not calls:
            there.set_max_ttl(60)
            here._seen.note("", "generation of the settings", 2)
        calls.append(1)
        return row

    monkeypatch.setattr(here._store, "settings", overtaken)

    assert here.max_ttl == 60


@pytest.mark.parametrize("rotated", [False, True])
def test_a_restore_in_place_is_accepted(home: Path, data: Path, rotated: bool) -> None:
    """`doctor` tells it, `--accept-restored` shows both numbers and takes the older ones, and all goes on."""
    assert bondstone("init", "--max-ttl", "100").code == 0
    shutil.copy(data, data.with_name("older.db"))
    with closing(sqlite3.connect(data)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if rotated:
        assert bondstone("key", "rotate").code == 0
    else:
        code = "from bondstone.registry import current_registry as c; c().set_max_ttl(50)"
        from tests.registry.processes import run

        run(code)
    assert bondstone("doctor").code == 0
    for part in data.parent.glob("registry.db*"):
        part.unlink()
    data.with_name("older.db").replace(data)

    told = bondstone("doctor")
    accepted = bondstone("doctor", "--accept-restored", "--yes")
    after = bondstone("doctor")

    assert told.code == 1
    assert "--accept-restored" in told.out
    assert accepted.code == 0, accepted
    assert ("newest root key" if rotated else "generation of the settings") in accepted.out
    assert after.code == 0, after
