"""Backups and copies: everything is in them, nobody else reads them, and a changed one is refused before anything is made."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest

from bondstone.registry import (
    BondstoneError,
    Conflict,
    NotFound,
    Registry,
    Settings,
    Unreadable,
    UnsupportedFormat,
    WrongKey,
)
from bondstone.registry.archive import read_header
from bondstone.registry.backup import Copied, Progress, backup, copy, restore
from bondstone.registry.keys import KeyProvider, Passphrase, RawKey
from bondstone.registry.memory import MemoryStore
from bondstone.registry.results import WholeName
from bondstone.registry.sql import SqlStore
from bondstone.registry.sqlite import SqliteDatabase
from tests.postgres import Server

KIND = "secret"
SENTINEL = b"SENTINEL-4711"
KEY = RawKey("key", "a test", b"k" * 32)  # of `registry`
RECOVERY = RawKey("key-file", "a test", b"r" * 32)
New = Callable[[int, str], Registry]


@pytest.fixture
def full(registry: Registry) -> Registry:
    """Names in every state that there is."""
    registry.save(KIND, "two", b"first " + SENTINEL)
    registry.save(KIND, "two", b"second", overwrite=True)
    registry.save(KIND, "deleted", b"gone")
    registry.delete(KIND, "deleted")
    registry.save(KIND, "again", b"1")
    registry.delete(KIND, "again")
    registry.save(KIND, "again", b"2")
    registry.save(KIND, "purged", b"erased")
    registry.purge(KIND, "purged")
    registry.save("aws-credentials", "prod/a", b"1")
    registry.stage("aws-credentials", "prod/a", b"pending")
    registry.save(KIND, "empty", b"")
    registry.save(KIND, "rolled-back", b"1")
    registry.save(KIND, "rolled-back", b"2", overwrite=True)
    registry.rollback(KIND, "rolled-back")
    registry.set_max_ttl(77)
    return registry


@pytest.fixture
def new(tmp_path: Path) -> New:
    """Makes a registry in memory, under another key."""
    return lambda max_ttl, filling: Registry.create(
        MemoryStore(), RawKey("key", "a test", b"n" * 32), max_ttl=max_ttl, filling=filling
    )


def all_of(registry: Registry) -> list[WholeName]:
    lost = list[str]()
    found = sorted(registry.whole_names(lost.append))
    assert not lost
    return found


def restored(path: Path, provider: KeyProvider, new: New) -> Registry:
    made: list[Registry] = []

    def create(max_ttl: int, filling: str) -> Registry:
        made.append(new(max_ttl, filling))
        return made[-1]

    restore(path, provider, create)
    return made[0]


@pytest.mark.parametrize("provider", [RECOVERY, Passphrase("correct horse")], ids=["key", "passphrase"])
def test_a_backup_holds_everything(full: Registry, tmp_path: Path, new: New, provider: KeyProvider) -> None:
    """Every version, head and time comes back, deleted ones too, in a registry with another id and other root keys."""
    done = backup(full, tmp_path / "backup", provider)

    again = restored(tmp_path / "backup", provider, new)

    assert all_of(again) == all_of(full)
    assert done == Copied(7, 10, [])
    assert again.id != full.id
    assert again.max_ttl == 77
    assert again.load("aws-credentials", "prod/a").content == b"1"
    assert again.history(KIND, "deleted")[0].deleted
    assert again.save(KIND, "purged", b"anew").version == 2
    assert full.audit()[0].action == "backup"
    assert "restore" in [row.action for row in again.audit()]


def test_a_copy_holds_everything(full: Registry, tmp_path: Path) -> None:
    """From SQLite to memory and back to SQLite, with an entry in both audit logs."""
    memory = Registry.create(MemoryStore(), RECOVERY)
    copy(full, lambda max_ttl, filling: memory)
    store = SqlStore(SqliteDatabase(tmp_path / "copy.db"))
    last = Registry.create(store, RECOVERY)

    copy(memory, lambda max_ttl, filling: last)

    assert all_of(last) == all_of(memory) == all_of(full)
    assert len({full.id, memory.id, last.id}) == 3
    assert all("copy" in [row.action for row in registry.audit()] for registry in (full, memory, last))
    last.close()


def test_progress_has_a_total(full: Registry, tmp_path: Path, new: New) -> None:
    """Backup, restore and copy tell how many versions are done of how many, from the first time on, up to the last."""
    acts: list[Callable[[Progress], object]] = [
        lambda tell: backup(full, tmp_path / "backup", RECOVERY, progress=tell),
        lambda tell: restore(tmp_path / "backup", RECOVERY, new, progress=tell),
        lambda tell: copy(full, new, progress=tell),
    ]
    for act in acts:
        told = list[tuple[int, int]]()

        act(lambda *numbers, told=told: told.append(numbers))

        assert {of for _, of in told} == {20}
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert told[-1] == (20, 20)


def test_a_copy_to_postgresql_and_back(full: Registry, postgres: Server, database: str, tmp_path: Path) -> None:
    """Everything arrives, in an order of its own."""
    there = Settings(registry=postgres.url(database), key="a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s")
    made: list[Registry] = []

    def create(max_ttl: int, filling: str) -> Registry:
        made.append(there.create(max_ttl=max_ttl, filling=filling))
        return made[-1]

    done = copy(full, create)
    back = Registry.create(MemoryStore(), RECOVERY)
    copy(made[0], lambda max_ttl, filling: back)

    assert done == Copied(7, 10, [])
    assert all_of(back) == all_of(made[0]) == all_of(full)
    assert made[0].max_ttl == 77
    assert made[0].purge(KIND, "two") == 2
    assert [line.deleted for line in made[0].history(KIND, "two")] == [True, True]
    made[0].close()


def test_a_backup_is_sealed_and_private(full: Registry, tmp_path: Path) -> None:
    """Neither values nor names are in it, and only its owner can read it."""
    backup(full, tmp_path / "backup", RECOVERY)

    written = (tmp_path / "backup").read_bytes()

    assert SENTINEL not in written
    assert b"prod" not in written
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o600


def test_nothing_is_written_over(full: Registry, tmp_path: Path, new: New) -> None:
    """Neither a file, nor a name in a registry."""
    (tmp_path / "there").write_text("mine")

    with pytest.raises(Conflict, match="exists"):
        backup(full, tmp_path / "there", RECOVERY)
    with pytest.raises(Conflict):
        copy(full, lambda max_ttl, filling: Registry.create(full._store, KEY, filling=filling))

    assert (tmp_path / "there").read_text() == "mine"
    assert len(all_of(full)) == 7


@pytest.mark.parametrize(
    "provider", [RawKey("key", "a test", b"x" * 32), Passphrase("wrong")], ids=["key", "passphrase"]
)
def test_a_wrong_key_is_told(full: Registry, tmp_path: Path, provider: KeyProvider) -> None:
    """Of either kind, whatever the backup was sealed for; and nothing is made."""
    rights: list[KeyProvider] = [RECOVERY, Passphrase("right")]
    for number, right in enumerate(rights):
        backup(full, tmp_path / str(number), right)

        with pytest.raises(WrongKey, match="this backup"):
            restore(tmp_path / str(number), provider, never)


def never(max_ttl: int, filling: str) -> Registry:
    raise AssertionError("a registry was made")


def parts(whole: bytes) -> tuple[bytes, list[bytes]]:
    """The header, and the records with their lengths."""
    file = BytesIO(whole)
    read_header(file)
    head, rest = whole[: file.tell()], whole[file.tell() :]
    records = []
    while rest:
        size = 4 + int.from_bytes(rest[:4])
        records.append(rest[:size])
        rest = rest[size:]
    return head, records


CHANGES: dict[str, Callable[[bytes, list[bytes]], bytes]] = {
    "cut by a byte": lambda head, records: (head + b"".join(records))[:-1],
    "cut by a record": lambda head, records: head + b"".join(records[:-1]),
    "cut in the middle": lambda head, records: head + b"".join(records[: len(records) // 2]),
    "only a header": lambda head, records: head,
    "a record left out": lambda head, records: head + b"".join(records[:3] + records[4:]),
    "a record twice": lambda head, records: head + b"".join(records[:3] + records[2:]),
    "two records swapped": lambda head, records: head + b"".join([*records[:2], records[3], records[2], *records[4:]]),
    "a byte behind the end": lambda head, records: head + b"".join(records) + b"\0",
    "all of it twice": lambda head, records: head + b"".join(records * 2),
    "an endless record": lambda head, records: head + b"\xff\xff\xff\xff" + b"".join(records),
    "empty": lambda head, records: b"",
    "something else": lambda head, records: b"PK" * 1000,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_backup_is_refused(
    full: Registry, tmp_path: Path, change: Callable[[bytes, list[bytes]], bytes]
) -> None:
    """Cut, moved, repeated or added records; and nothing is made."""
    backup(full, tmp_path / "backup", RECOVERY)
    (tmp_path / "changed").write_bytes(change(*parts((tmp_path / "backup").read_bytes())))

    with pytest.raises(Unreadable):
        restore(tmp_path / "changed", RECOVERY, never)


def test_every_flipped_bit_is_refused(registry: Registry, tmp_path: Path) -> None:
    """One bit of each byte of a whole backup, clear parts too."""
    registry.save(KIND, "a", b"1")
    backup(registry, tmp_path / "backup", RECOVERY)
    whole = (tmp_path / "backup").read_bytes()

    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        (tmp_path / "changed").write_bytes(changed)
        with pytest.raises((Unreadable, WrongKey, UnsupportedFormat)):
            restore(tmp_path / "changed", RECOVERY, never)


def test_records_of_another_backup_are_refused(full: Registry, tmp_path: Path) -> None:
    """Of the same registry under the same key."""
    for name in "ab":
        backup(full, tmp_path / name, RECOVERY)
    head, records = parts((tmp_path / "a").read_bytes())
    other = parts((tmp_path / "b").read_bytes())[1]
    (tmp_path / "mixed").write_bytes(head + b"".join([*records[:2], other[2], *records[3:]]))

    with pytest.raises(Unreadable):
        restore(tmp_path / "mixed", RECOVERY, never)


def test_what_does_not_open_is_left_out_and_told(full: Registry, path: Path, tmp_path: Path, new: New) -> None:
    """One unreadable version, and one unreadable head, block nothing but themselves; a planted row is left out without a word."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("UPDATE versions SET sealed = x'00' WHERE name = 'two' AND version = 1")
        raw.execute("UPDATE heads SET current = 9 WHERE name = 'empty'")
        raw.execute(
            "INSERT INTO versions SELECT kind, name, 99, saved_at, sealed FROM versions WHERE name = 'two'  AND version = 2"
        )

    done = backup(full, tmp_path / "backup", RECOVERY)
    again = restored(tmp_path / "backup", RECOVERY, new)

    assert sorted(done.unreadable) == ["secret/empty", "secret/two@1"]
    assert again.load(KIND, "two").content == b"second"
    with pytest.raises(Unreadable):
        again.load(KIND, "two", 1)
    with pytest.raises(NotFound):
        again.load(KIND, "empty")


class LossyStore(MemoryStore):
    """Forgets a version that it was given."""

    def adopt(self, names, audit, sign) -> None:  # type: ignore[no-untyped-def]
        super().adopt(names, audit, sign)
        del self._versions[KIND, "two", 1]


def test_a_copy_that_is_not_the_same_is_told(full: Registry) -> None:
    """Every version is read back and compared at the end."""
    with pytest.raises(BondstoneError):
        copy(full, lambda max_ttl, filling: Registry.create(LossyStore(), RECOVERY))


def test_purged_versions_are_erased(registry: Registry, path: Path, tmp_path: Path) -> None:
    """Their bytes are no longer in the file; the history shows them as deleted, and their numbers are spent."""
    registry.save(KIND, "a", b"1" * 20_000)  # so large that it has pages of its own
    registry.save(KIND, "a", b"2" * 20_000, overwrite=True)
    with closing(sqlite3.connect(path)) as raw:
        sealed = [row[0] for row in raw.execute("SELECT sealed FROM versions")]

    erased = registry.purge(KIND, "a")
    again = registry.purge(KIND, "a")
    history = registry.history(KIND, "a")
    anew = registry.save(KIND, "a", b"3")
    registry.close()

    assert (erased, again) == (2, 0)
    assert [(line.version, line.deleted, line.state) for line in history] == [(1, True, ""), (2, True, "")]
    assert anew.version == 3
    assert not [file for file in tmp_path.glob("registry.db*") for old in sealed if old[-1000:] in file.read_bytes()]
    with pytest.raises(NotFound):
        registry.purge(KIND, "never")
