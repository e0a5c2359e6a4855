"""A version row that no writer left: planted in the way of the next save, or left over by whoever set the head back."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bondstone.registry import Conflict, Registry, RolledBack
from bondstone.registry.memory import MemoryStore
from bondstone.registry.store import Sealed
from tests.registry.test_backup import KEY

KIND = "secret"


@pytest.fixture
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """The attacker's own connection to the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        yield raw


PLANTED = {
    "rubbish": "INSERT INTO versions VALUES ('secret', 'a', 3, 1, x'00')",
    "rubbish of another type": "INSERT INTO versions VALUES ('secret', 'a', 3, 'noon', 'text')",
    "a text that is none": "INSERT INTO versions VALUES ('secret', 'a', 3, 1, CAST(x'ff' AS TEXT))",
    "an older version under the next number": """INSERT INTO versions
        SELECT kind, name, 3, saved_at, sealed FROM versions WHERE name = 'a' AND version = 1""",
    "a version of another name": "INSERT INTO versions SELECT kind, 'a', 3, saved_at, sealed FROM versions WHERE name = 'b'",
    "under a root key that is not here": """INSERT INTO versions
        SELECT kind, name, 3, saved_at, CAST(substr(sealed, 1, 6) || x'63' || substr(sealed, 8) AS BLOB) FROM versions
        WHERE name = 'a' AND version = 2""",
    "a thousand of them": """WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n WHERE i < 1002)
        INSERT INTO versions SELECT 'secret', 'a', i, 1, x'00' FROM n""",
    "at the end of all numbers too": """INSERT INTO versions VALUES ('secret', 'a', 3, 1, x'00'),
        ('secret', 'a', 9223372036854775807, 1, x'00'), ('secret', 'a', 'x', 1, x'00')""",
}


@pytest.mark.parametrize("attack", PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_version_stops_no_save(registry: Registry, database: sqlite3.Connection, attack: str) -> None:
    """What nobody can open is erased, that is on record, and the save has the number that is next."""
    for content in (b"one", b"two"):
        registry.save(KIND, "a", content, overwrite=True)
    registry.save(KIND, "b", b"other")
    database.execute(attack)

    assert registry.save(KIND, "a", b"three", overwrite=True).version == 3
    assert registry.stage(KIND, "a", b"four").version == 4

    assert registry.load(KIND, "a").content == b"three"
    assert [(line.version, line.state) for line in registry.history(KIND, "a")][2:] == [(3, "current"), (4, "pending")]
    assert database.execute("SELECT count(*) FROM versions WHERE name = 'a'").fetchone() == (4,)
    assert [row.action for row in registry.audit(name="a")][1:] == ["stage", "save", "discard", "save", "save"]
    assert registry.verify_audit().whole


def test_a_planted_version_stops_no_first_save(registry: Registry, database: sqlite3.Connection) -> None:
    """Of a name that was never used."""
    database.execute("INSERT INTO versions VALUES ('secret', 'new', 1, 1, x'00')")

    assert registry.save(KIND, "new", b"one").version == 1
    assert registry.load(KIND, "new").content == b"one"


@pytest.fixture
def set_back(registry: Registry, database: sqlite3.Connection, make: object) -> Registry:
    """`a` at version 1 by its head, which was put back, while versions 2 and 3 are still there; seen by nobody who knew better."""
    registry.save(KIND, "a", b"one")
    old = database.execute("SELECT * FROM heads").fetchall()[0]
    for content in (b"two", b"three"):
        registry.save(KIND, "a", content, overwrite=True)
    database.execute("DELETE FROM heads")
    database.execute(f"INSERT INTO heads VALUES ({', '.join('?' * len(old))})", old)
    return Registry.open(registry._store, KEY)


def test_a_true_version_is_never_discarded(set_back: Registry, database: sqlite3.Connection) -> None:
    """One that opens proves that the head was set back: the save is refused, and nothing is lost."""
    with pytest.raises(RolledBack, match=r"secret/a was set back: version 2 .* 'bondstone rm'"):
        set_back.save(KIND, "a", b"x", overwrite=True)

    assert database.execute("SELECT count(*) FROM versions").fetchone() == (3,)


def test_a_name_whose_head_was_set_back_can_be_deleted(set_back: Registry) -> None:
    """That spends the numbers of the versions that its head knew nothing of."""
    set_back.delete(KIND, "a")

    assert set_back.save(KIND, "a", b"x").version == 4


class Racing(MemoryStore):
    """Between a refused commit and the look at what is in its way, another writer saves."""

    other: Registry | None = None

    def version(self, kind: str, name: str, version: int) -> Sealed | None:
        other, self.other = self.other, None
        if other:
            other.save(kind, name, b"theirs", overwrite=True)
        return super().version(kind, name, version)


def test_what_another_writer_saved_meanwhile_stays() -> None:
    """A row that came with an honest head is not taken for a planted one."""
    store = Racing()
    mine = Registry.create(store, KEY)
    mine.save(KIND, "a", b"one")
    head = mine._store.head(KIND, "a")
    assert head is not None
    store._versions[KIND, "a", 2] = Sealed(2, 1, b"planted")
    store.other = Registry.open(store, KEY)

    saved = mine.save(KIND, "a", b"mine", overwrite=True)

    assert saved.version == 3
    assert mine.load(KIND, "a", 2).content == b"theirs"
    with pytest.raises(Conflict):
        mine.save(KIND, "a", b"x")
