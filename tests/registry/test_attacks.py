"""Storage is not trusted: whoever can write the database can break a record, never make it say something else."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bondstone.registry import Registry, RegistryUnavailable, RolledBack, Unreadable, WrongKey
from tests.conftest import Make

Database = sqlite3.Connection
KIND = "secret"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    """The attacker's own connection to the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        yield raw


@pytest.fixture
def saved(registry: Registry) -> Registry:
    """`victim` at version 2 and `other` at version 1, each loaded once so that memos are warm."""
    registry.save(KIND, "victim", b"first")
    registry.save(KIND, "victim", b"second", overwrite=True)
    registry.save(KIND, "other", b"other")
    assert registry.load(KIND, "victim").content == b"second"
    assert registry.load(KIND, "other").content == b"other"
    return registry


ROWS = {
    "sealed cells of two names swapped": """
        CREATE TEMP TABLE s AS SELECT name, sealed FROM versions
        WHERE version = (SELECT max(version) FROM versions v WHERE v.name = versions.name);
        UPDATE versions SET sealed = (SELECT sealed FROM s WHERE name = 'other') WHERE name = 'victim' AND version = 2;
        UPDATE versions SET sealed = (SELECT sealed FROM s WHERE name = 'victim') WHERE name = 'other'""",
    "older sealed cell under the newer number": """
        UPDATE versions SET sealed = (SELECT sealed FROM versions WHERE name = 'victim' AND version = 1)
        WHERE name = 'victim' AND version = 2""",
    "older cell and its time under the newer number": """
        UPDATE versions SET (sealed, saved_at) = (SELECT sealed, saved_at FROM versions WHERE name = 'victim' AND version = 1)
        WHERE name = 'victim' AND version = 2""",
    "older row renumbered to the newer": """
        DELETE FROM versions WHERE name = 'victim' AND version = 2;
        UPDATE versions SET version = 2 WHERE name = 'victim' AND version = 1""",
    "another name's version row put in place": """
        DELETE FROM versions WHERE name = 'victim' AND version = 2;
        UPDATE versions SET name = 'victim', version = 2 WHERE name = 'other'""",
    "version row removed": "DELETE FROM versions WHERE name = 'victim' AND version = 2",
    "all version rows removed": "DELETE FROM versions WHERE name = 'victim'",
    "saved_at changed": "UPDATE versions SET saved_at = saved_at + 1 WHERE name = 'victim'",
    "saved_at negative": "UPDATE versions SET saved_at = -1 WHERE name = 'victim'",
    "saved_at huge": "UPDATE versions SET saved_at = 9223372036854775807 WHERE name = 'victim'",
    "saved_at a text": "UPDATE versions SET saved_at = 'noon' WHERE name = 'victim'",
    "saved_at a real": "UPDATE versions SET saved_at = 1.5 WHERE name = 'victim'",
    "sealed a text": "UPDATE versions SET sealed = 'BS' || hex(sealed) WHERE name = 'victim'",
    "sealed a number": "UPDATE versions SET sealed = 7 WHERE name = 'victim'",
    "sealed empty": "UPDATE versions SET sealed = x'' WHERE name = 'victim'",
    "sealed without its last byte": "UPDATE versions SET sealed = substr(sealed, 1, length(sealed) - 1) WHERE name = 'victim'",
    "sealed without its first byte": "UPDATE versions SET sealed = substr(sealed, 2) WHERE name = 'victim'",
    "sealed with a byte more": "UPDATE versions SET sealed = CAST(sealed || x'00' AS BLOB) WHERE name = 'victim'",
    "sealed cut to its header": "UPDATE versions SET sealed = substr(sealed, 1, 71) WHERE name = 'victim'",
    "heads swapped": """
        UPDATE heads SET name = 'spare' WHERE name = 'victim';
        UPDATE heads SET name = 'victim' WHERE name = 'other';
        UPDATE heads SET name = 'other' WHERE name = 'spare'""",
    "tags of heads swapped": """
        CREATE TEMP TABLE t AS SELECT name, tag FROM heads;
        UPDATE heads SET tag = (SELECT tag FROM t WHERE name IN ('victim', 'other') AND name <> heads.name) WHERE name <> 'bystander'""",
    "head points to the version before": "UPDATE heads SET current = 1, previous = 0 WHERE name = 'victim'",
    "previous changed": "UPDATE heads SET previous = 0 WHERE name = 'victim'",
    "pending changed": "UPDATE heads SET pending = 1 WHERE name = 'victim'",
    "current of no version": "UPDATE heads SET current = 3, highest = 3 WHERE name = 'victim'",
    "generation up": "UPDATE heads SET generation = generation + 1 WHERE name = 'victim'",
    "generation down": "UPDATE heads SET generation = generation - 1 WHERE name = 'victim'",
    "generation huge": "UPDATE heads SET generation = 9223372036854775807 WHERE name = 'victim'",
    "generation negative": "UPDATE heads SET generation = -5 WHERE name = 'victim'",
    "highest down": "UPDATE heads SET highest = 1 WHERE name = 'victim'",
    "highest huge": "UPDATE heads SET highest = 9223372036854775807 WHERE name = 'victim'",
    "deleted_through up": "UPDATE heads SET deleted_through = 1 WHERE name = 'victim'",
    "everything deleted": "UPDATE heads SET deleted_through = 2, current = 0, previous = 0 WHERE name = 'victim'",
    "changed_at changed": "UPDATE heads SET changed_at = changed_at - 1 WHERE name = 'victim'",
    "changed_at huge": "UPDATE heads SET changed_at = 9223372036854775807 WHERE name = 'victim'",
    "changed_at negative": "UPDATE heads SET changed_at = -9223372036854775807 WHERE name = 'victim'",
    "changed_at a text": "UPDATE heads SET changed_at = 'noon' WHERE name = 'victim'",
    "current a text": "UPDATE heads SET current = 'one' WHERE name = 'victim'",
    "current a blob": "UPDATE heads SET current = x'00' WHERE name = 'victim'",
    "current negative": "UPDATE heads SET current = -1 WHERE name = 'victim'",
    "current a real": "UPDATE heads SET current = 1.5 WHERE name = 'victim'",
    "tag empty": "UPDATE heads SET tag = x'' WHERE name = 'victim'",
    "tag cut": "UPDATE heads SET tag = substr(tag, 1, 35) WHERE name = 'victim'",
    "tag with a byte more": "UPDATE heads SET tag = CAST(tag || x'00' AS BLOB) WHERE name = 'victim'",
    "tag a text": "UPDATE heads SET tag = 'tag' WHERE name = 'victim'",
    "tag a number": "UPDATE heads SET tag = 12 WHERE name = 'victim'",
    "tag zeroed": "UPDATE heads SET tag = zeroblob(36) WHERE name = 'victim'",
}


@pytest.mark.parametrize("attack", ROWS.values(), ids=ROWS.keys())
def test_a_changed_row_is_refused(saved: Registry, database: Database, attack: str) -> None:
    """Whatever is changed in the rows of a name, its load is refused, from a warm memo too; never does it give another value."""
    database.executescript(attack)

    with pytest.raises((Unreadable, WrongKey)):
        saved.load(KIND, "victim")


@pytest.mark.parametrize("attack", ROWS.values(), ids=ROWS.keys())
def test_a_broken_name_blocks_nothing_but_itself(saved: Registry, database: Database, attack: str) -> None:
    """Beside a name that was broken in any way: listing works, bystanders load, and the name can be deleted and saved anew."""
    saved.save(KIND, "bystander", b"unharmed")
    database.executescript(attack)

    listed = [item.name for item in saved.list()]
    history = [item.version for item in saved.history(KIND, "bystander")]
    saved.delete(KIND, "victim")
    anew = saved.save(KIND, "victim", b"anew")

    assert "bystander" in listed
    assert history == [1]
    assert saved.load(KIND, "bystander").content == b"unharmed"
    assert saved.load(KIND, "victim") == anew
    assert anew.version > 2


@pytest.mark.parametrize(
    "column", ["generation", "current", "previous", "pending", "highest", "deleted_through", "changed_at"]
)
@pytest.mark.parametrize("change", ["{0} + 1", "{0} - 1", "0", "-1", "NULL", "'x'", "1e300", "4611686018427387904"])
def test_no_number_of_a_head_can_be_changed(saved: Registry, database: Database, column: str, change: str) -> None:
    """Each number of a head is authenticated: a change of any is refused, unless it changes nothing or SQL itself refuses it."""
    before = database.execute("SELECT * FROM heads WHERE name = 'victim'").fetchall()
    try:
        database.execute(f"UPDATE heads SET {column} = {change.format(column)} WHERE name = 'victim'")
    except sqlite3.IntegrityError:
        return
    if database.execute("SELECT * FROM heads WHERE name = 'victim'").fetchall() == before:
        return

    with pytest.raises(Unreadable):
        saved.load(KIND, "victim")
    with pytest.raises(Unreadable):
        saved.load(KIND, "victim", 1)
    with pytest.raises(Unreadable):
        saved.save(KIND, "victim", b"third", overwrite=True)
    with pytest.raises(Unreadable):
        saved.history(KIND, "victim")
    with pytest.raises(Unreadable):
        saved.rollback(KIND, "victim")


@pytest.mark.parametrize("byte", [0, 1, 2, 3, 6, 7, 38, 39, 70, 71, 76, -16, -1])
@pytest.mark.parametrize("bit", [1, 128])
def test_one_flipped_bit_is_enough(saved: Registry, database: Database, byte: int, bit: int) -> None:
    """One bit of a sealed cell, in whatever part, and the version is refused with the error that the format says."""
    sealed = bytearray(database.execute("SELECT sealed FROM versions WHERE name = 'other'").fetchone()[0])
    sealed[byte] ^= bit
    database.execute("UPDATE versions SET sealed = ? WHERE name = 'other'", (bytes(sealed),))

    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the code is asserted below
        saved.load(KIND, "other")

    expected = {2: "unsupported_format", 3: "wrong_key", 6: "wrong_key"}.get(byte, "unreadable")
    assert getattr(caught.value, "code", None) == expected


@pytest.mark.parametrize("bit", range(0, 36 * 8, 7))
def test_one_flipped_bit_of_a_tag_is_enough(saved: Registry, database: Database, bit: int) -> None:
    """One bit of a head's tag: refused."""
    tag = bytearray(database.execute("SELECT tag FROM heads WHERE name = 'other'").fetchone()[0])
    tag[bit // 8] ^= 1 << bit % 8
    database.execute("UPDATE heads SET tag = ? WHERE name = 'other'", (bytes(tag),))

    with pytest.raises((Unreadable, WrongKey)):
        saved.load(KIND, "other")


def copied(database: Database, table: str, name: str, as_name: str, kind: str = KIND) -> None:
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})") if row[1] not in ("name", "kind")]
    rest = ", ".join(columns)
    database.execute(
        f"INSERT INTO {table} (kind, name, {rest}) SELECT ?, ?, {rest} FROM {table} WHERE name = ?",
        (kind, as_name, name),
    )


@pytest.mark.parametrize(("kind", "name"), [(KIND, "double"), ("password", "other"), ("password", "double")])
def test_a_copied_name_is_refused(saved: Registry, database: Database, kind: str, name: str) -> None:
    """All rows of a name, copied under another name or kind, do not open there; the original still does."""
    copied(database, "heads", "other", name, kind)
    copied(database, "versions", "other", name, kind)

    with pytest.raises(Unreadable):
        saved.load(kind, name)
    assert saved.load(KIND, "other").content == b"other"


def test_a_renamed_name_is_refused(saved: Registry, database: Database) -> None:
    """A name renamed in all tables is missed under the old name, and refused under the new one."""
    for table in ("heads", "versions"):
        database.execute(f"UPDATE {table} SET name = 'renamed' WHERE name = 'other'")

    with pytest.raises(RolledBack, match="is gone"):
        saved.load(KIND, "other")
    with pytest.raises(Unreadable):
        saved.load(KIND, "renamed")


@pytest.mark.parametrize("tables", [("versions",), ("heads",), ("heads", "versions")])
def test_rows_of_another_registry_are_refused(
    saved: Registry, database: Database, make: Make, tables: tuple[str, ...]
) -> None:
    """Rows of the same name from another registry with the same wrapping key do not open here."""
    make("elsewhere").save(KIND, "other", b"planted")
    database.execute(
        "ATTACH ? AS elsewhere", (str(Path(saved.url.removeprefix("sqlite:///")).with_name("elsewhere.db")),)
    )
    for table in tables:
        database.execute(f"DELETE FROM main.{table} WHERE name = 'other'")
        database.execute(f"INSERT INTO main.{table} SELECT * FROM elsewhere.{table} WHERE name = 'other'")

    with pytest.raises(Unreadable):
        saved.load(KIND, "other")


def test_a_deleted_name_does_not_come_back(saved: Registry, database: Database) -> None:
    """The head of a deletion cannot be edited back, and a deleted version does not load by its number."""
    saved.delete(KIND, "other")
    database.execute("UPDATE heads SET current = 1, deleted_through = 0 WHERE name = 'other'")

    with pytest.raises(Unreadable):
        saved.load(KIND, "other")
    with pytest.raises(Unreadable):
        saved.load(KIND, "other", 1)


@pytest.mark.parametrize(
    "change",
    [
        "generation = generation + 1", "changed_at = changed_at + 1", "settings = x''", "settings = zeroblob(100)",
        "settings = 5", "settings = 'x'", "changed_at = 'x'", "generation = -1", "generation = 1e300",
        "registry_id = '00112233445566778899aabbccddeeff'",
    ],
)  # fmt: skip
def test_settings_cannot_be_changed(saved: Registry, database: Database, change: str) -> None:
    """The registry's own row is sealed, so `max_ttl` cannot be raised from outside."""
    database.execute(f"UPDATE registry SET {change}")

    with pytest.raises((Unreadable, WrongKey)):
        _ = saved.max_ttl


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE keyrings SET generation = generation + 1", "UPDATE keyrings SET changed_at = changed_at + 1",
        "UPDATE keyrings SET slot = 'spare'", "UPDATE keyrings SET provider = 'key-file'",
        "UPDATE keyrings SET wrapped = x''", "UPDATE keyrings SET wrapped = 7", "UPDATE keyrings SET wrapped = 'x'",
        "UPDATE keyrings SET wrapped = zeroblob(200)", "UPDATE keyrings SET changed_at = 'x'",
        "UPDATE keyrings SET generation = -1", "DELETE FROM keyrings", "DELETE FROM registry",
        "UPDATE registry SET registry_id = '00112233445566778899aabbccddeeff'", "UPDATE registry SET registry_id = 'zz'",
        "UPDATE registry SET registry_id = x'00'",
    ],
)  # fmt: skip
def test_a_keyring_cannot_be_changed(saved: Registry, database: Database, make: Make, attack: str) -> None:
    """A registry whose keyring, or id, was changed does not open."""
    saved.close()
    database.execute(attack)

    with pytest.raises((Unreadable, WrongKey, RegistryUnavailable)):
        make("registry")


def test_an_old_keyring_does_not_come_with_another_registry(make: Make, registry: Registry, database: Database) -> None:
    """A keyring transplanted from another registry with the same wrapping key is refused."""
    make("elsewhere").close()
    registry.close()
    elsewhere = Path(registry.url.removeprefix("sqlite:///")).with_name("elsewhere.db")
    database.execute("ATTACH ? AS elsewhere", (str(elsewhere),))
    database.executescript("DELETE FROM keyrings; INSERT INTO keyrings SELECT * FROM elsewhere.keyrings")

    with pytest.raises(Unreadable):
        make("registry")


def test_all_refusals_read_the_same(saved: Registry, database: Database) -> None:
    """Where a record broke is not told: length, commitment, tag and context fail with one text."""
    sealed = database.execute("SELECT sealed FROM versions WHERE name = 'other'").fetchone()[0]
    texts = set()

    for broken in (
        sealed[:80],
        sealed[:-1],
        sealed[:39] + bytes(32) + sealed[71:],
        sealed[:-1] + b"!",
        b"XX" + sealed[2:],
    ):
        database.execute("UPDATE versions SET sealed = ? WHERE name = 'other'", (broken,))
        with pytest.raises(Unreadable) as caught:
            saved.load(KIND, "other")
        texts.add(str(caught.value))

    assert len(texts) == 1


def test_a_listing_tells_which_names_are_unreadable(saved: Registry, database: Database) -> None:
    """A changed head is listed as unreadable, its neighbours as readable."""
    database.execute("UPDATE heads SET changed_at = 9223372036854775807 WHERE name = 'victim'")

    assert {item.name: item.readable for item in saved.list()} == {"other": True, "victim": False}


@pytest.mark.parametrize(
    "name",
    ["'../../etc/passwd'", "'AKIAIOSFODNN7EXAMPLE'", "x'ff00'", "CAST(x'ff' AS TEXT)", "''", "12", "char(27) || '[2J'"],
)
def test_a_planted_name_does_not_break_a_listing(saved: Registry, database: Database, name: str) -> None:
    """A row with a name that bondstone would never write is listed as unreadable, and nothing else is disturbed."""
    database.execute(
        f"INSERT INTO heads SELECT kind, {name}, generation, current, previous, pending, highest, deleted_through, changed_at, tag "
        "FROM heads WHERE name = 'other'"
    )

    listed = saved.list()

    assert [item.name for item in listed if item.readable] == ["other", "victim"]
    assert len(listed) == 3
    assert all(isinstance(item.name, str) and isinstance(item.kind, str) and item.name.isprintable() for item in listed)


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE versions SET saved_at = saved_at - 86400000000 WHERE name = 'victim' AND version = 1",
        "UPDATE versions SET saved_at = 9223372036854775807 WHERE name = 'victim' AND version = 1",
        "DELETE FROM versions WHERE name = 'victim' AND version = 1",
        "UPDATE versions SET version = 'x' WHERE name = 'victim' AND version = 1",
    ],
)
def test_a_history_is_proved(saved: Registry, database: Database, attack: str) -> None:
    """A version whose time was changed, or that is gone, is told as unreadable; the others keep their lines."""
    database.execute(attack)

    first, second = saved.history(KIND, "victim")

    assert (first.version, first.state, first.saved_at.year) == (1, "unreadable", 1970)
    assert (second.version, second.state) == (2, "current")


def test_a_planted_version_is_not_in_the_history(saved: Registry, database: Database) -> None:
    """A version row above the highest number that the head proves is not shown as a version."""
    database.execute("INSERT INTO versions SELECT kind, name, 9, saved_at, sealed FROM versions WHERE name = 'other'")

    assert [line.version for line in saved.history(KIND, "other")] == [1]


def test_nothing_is_written_in_clear(saved: Registry, path: Path) -> None:
    """No byte of a value is in any of the files."""
    saved.save(KIND, "loud", b"ema_SENTINEL_SENTINEL")
    saved.close()

    found = [file for file in path.parent.glob("registry.db*") if b"SENTINEL" in file.read_bytes()]

    assert not found


def test_refusals_are_quick(saved: Registry, database: Database) -> None:
    """A megabyte of rubbish in a cell costs no more than reading it."""
    database.execute("UPDATE versions SET sealed = zeroblob(50000000) WHERE name = 'other'")

    before = time.process_time()
    with pytest.raises(Unreadable):
        saved.load(KIND, "other")

    assert time.process_time() - before < 5


@pytest.mark.parametrize(
    "rollback",
    [
        pytest.param(lambda r: r.load(KIND, "victim"), id="load"),
        pytest.param(lambda r: r.load(KIND, "victim", 1), id="load of a version"),
        pytest.param(lambda r: r.history(KIND, "victim"), id="history"),
        pytest.param(lambda r: r.save(KIND, "victim", b"x", overwrite=True), id="save"),
        pytest.param(lambda r: r.save(KIND, "victim", b"x", overwrite=True, base=2), id="save on a base"),
    ],
)
def test_a_name_set_back_whole_is_not_served(
    make: Make, registry: Registry, database: Database, rollback: Callable[[Registry], object]
) -> None:
    """Head and versions of an earlier moment, put back together: a client that has seen the later state does not take the older one."""
    registry.save(KIND, "victim", b"first")
    old = {t: database.execute(f"SELECT * FROM {t}").fetchall() for t in ("heads", "versions")}
    registry.save(KIND, "victim", b"second", overwrite=True)
    registry.load(KIND, "victim")

    for table, rows in old.items():
        database.execute(f"DELETE FROM {table}")
        database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)

    with pytest.raises(RolledBack, match=r"generation 1, and generation 2 .*--accept-restored"):
        rollback(registry)
    assert [item.readable for item in registry.list()] == [False]


def test_remembered_rows_are_not_served_once_newer_ones_were_seen(registry: Registry, database: Database) -> None:
    """What was loaded before is remembered byte by byte, and spares the proof of the same bytes; never the look at the mark."""
    registry.save(KIND, "victim", b"first")
    old = {t: database.execute(f"SELECT * FROM {t}").fetchall() for t in ("heads", "versions")}
    assert registry.load(KIND, "victim").content == b"first"
    registry.save(KIND, "victim", b"second", overwrite=True)

    for table, rows in old.items():
        database.execute(f"DELETE FROM {table}")
        database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)

    with pytest.raises(RolledBack):
        registry.load(KIND, "victim")


def test_rows_that_were_proved_before_are_refused_with_any_other_tag(saved: Registry, database: Database) -> None:
    """Same numbers, same sealed bytes, another tag: a head is its tag too."""
    tag = database.execute("SELECT tag FROM heads WHERE name = 'victim'").fetchone()[0]
    for other in (bytes(36), tag[:-1] + bytes([tag[-1] ^ 1]), tag[:-1], tag + b"\0", tag.hex()):
        database.execute("UPDATE heads SET tag = ? WHERE name = 'victim'", (other,))
        with pytest.raises((Unreadable, WrongKey)):
            saved.load(KIND, "victim")

    database.execute("UPDATE heads SET tag = ? WHERE name = 'victim'", (tag,))
    assert saved.load(KIND, "victim").content == b"second"


def test_the_head_of_another_name_does_not_stand_in(registry: Registry, database: Database) -> None:
    """A view in the place of a table can show one name where it is searched and another where it is read.

    Or else the proved head of `other`, which was rolled back, would bring back the first version of `victim`.
    """
    registry.save(KIND, "victim", b"first")
    registry.save(KIND, "victim", b"second", overwrite=True)
    for content in (b"1", b"2"):
        registry.save(KIND, "other", content, overwrite=True)
    registry.rollback(KIND, "other")
    two_faced = "iif(random() % 2, 'victim', 'other') AS name"
    database.executescript(f"""
        ALTER TABLE heads RENAME TO h; ALTER TABLE versions RENAME TO v;
        CREATE VIEW heads AS SELECT kind, {two_faced}, generation, current, previous, pending, highest, deleted_through, changed_at, tag
            FROM h WHERE name = 'other';
        CREATE VIEW versions AS SELECT kind, {two_faced}, version, saved_at, sealed FROM v WHERE name = 'victim' AND version = 1""")

    for version in (None, 1) * 100:  # it is right with its two faces every fourth time
        with pytest.raises((Unreadable, RolledBack)):
            registry.load(KIND, "victim", version)
