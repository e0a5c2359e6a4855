"""The journal: sealed, sealed again under a new root key, and taken along by copies and backups."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bondstone.registry import Conflict, Registry, Unreadable, UnsupportedFormat, rekey
from bondstone.registry.backup import backup, copy, restore
from bondstone.registry.envelope import key_id
from bondstone.registry.errors import AccessDenied
from bondstone.registry.journal import Step
from bondstone.registry.keys import RawKey
from bondstone.registry.rotation import Rotation, due
from bondstone.registry.sqlite import SqliteDatabase
from bondstone.registry.store import JournalLine
from tests.registry.processes import database_of
from tests.registry.vendor import (
    KEY,
    KIND,
    MAX_TTL,
    NAME,
    InMemory,
    KeysOf,
    Later,
    Mortal,
    Vendor,
    first,
    meanwhile,
    refused,
    settled,
)

OTHER = RawKey("key", "another test", b"o" * 32)


@pytest.fixture
def place(tmp_path: Path) -> InMemory:
    return InMemory(tmp_path)


def changed(place: InMemory, name: str = NAME, **cells: Any) -> JournalLine:
    """The line of a name, as somebody else would write it."""
    line = place.store.journal(KIND, NAME)
    assert line is not None
    place.store._journal[KIND, name] = line._replace(name=name, **cells)
    return line


# --- whoever writes the database ---


@pytest.mark.parametrize(
    "how", ["flipped", "another name", "another number", "another time", "cut", "rubbish", "format"]
)
def test_a_changed_line_blocks_its_rotation_only(place: InMemory, how: str) -> None:
    """Saves, loads and the rotations of other names go on; it is told which one cannot be read, and the vendor is not called."""
    refused(place)
    place.registry.save(KIND, "other", b"x")
    line = place.store.journal(KIND, NAME)
    assert line is not None
    sealed, name = line.sealed, "other" if how == "another name" else NAME
    cells: dict[str, dict[str, Any]] = {
        "flipped": {"sealed": sealed[:80] + bytes([sealed[80] ^ 1]) + sealed[81:]},
        "another number": {"number": line.number + 1},
        "another time": {"at": line.at + 1},
        "cut": {"sealed": sealed[:-1]},
        "rubbish": {"sealed": "text"},
        "format": {"sealed": sealed[:2] + b"\x07" + sealed[3:]},
    }
    changed(place, name, **cells.get(how, {}))
    place.vendor.during = lambda call: pytest.fail(call)
    rotation = Rotation(place.registry, KIND, name, KeysOf(place.registry, place.vendor))

    for act in (rotation.rotate, rotation.finish, rotation.rollback):
        with pytest.raises((Unreadable, UnsupportedFormat), match=f"the journal of {KIND}/{name}"):
            act()
    lines = {found: step for _, found, step in place.registry.journal.all()}
    assert lines.pop(name) is None
    assert all(lines.values())
    assert [item.name for item in due(place.registry)] == ([NAME] if name == "other" else [])
    assert place.registry.load(KIND, NAME).version == 1
    assert place.registry.save(KIND, name, place.registry.load(KIND, NAME).content, overwrite=True).version > 1


def test_a_line_of_another_registry(place: InMemory, tmp_path: Path) -> None:
    """Under the same key, of the same name: it does not open."""
    refused(place)
    (tmp_path / "b").mkdir()
    other = InMemory(tmp_path / "b")
    other.store._journal = dict(place.store._journal)

    with pytest.raises((Unreadable, Conflict)):
        other.rotation().rotate()


def test_a_step_of_a_newer_bondstone(place: InMemory) -> None:
    """Told as such: it is no attack."""
    refused(place)
    line = place.store.journal(KIND, NAME)
    assert line is not None
    sealed = place.registry.journal._sealed(line, json.dumps({**Step()._asdict(), "news": 1}).encode())
    place.store._journal[KIND, NAME] = sealed

    with pytest.raises(UnsupportedFormat, match="newer bondstone"):
        place.rotation().rotate()
    assert place.registry.journal.all() == [(KIND, NAME, None)]


def test_nothing_of_it_is_in_clear(place: InMemory) -> None:
    """Neither the ids of credentials, nor who, nor where it stands."""
    refused(place)
    line = place.store.journal(KIND, NAME)
    assert line is not None

    for word in (b"set", b"holder", *(key.encode() for key in place.vendor.good())):
        assert word not in line.sealed


# --- another root key ---


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Registry, Vendor]]:
    vendor = Vendor(tmp_path / "keys")
    registry = first(Later(SqliteDatabase(tmp_path / "registry.db")), vendor)
    yield registry, vendor
    registry.close()


def test_the_root_key_is_rotated_in_the_middle_of_a_rotation(disk: tuple[Registry, Vendor]) -> None:
    """The rotator goes on; its lines, and those of others, are under the new key, and the old one is gone."""
    registry, vendor = disk
    registry.save(KIND, "other", b"x")
    line = registry.journal.line(KIND, "other", 1, Step("retired", base=7), 5)
    registry.write_journal(lambda: line, "rotate retired", 1)

    def during(call: str) -> None:
        if call == "verify":
            done = rekey.rotate(registry.store, [KEY])
            assert (done.unreadable, done.removed) == ([], [1])

    vendor.during = during
    rotation = Rotation(registry, KIND, NAME, KeysOf(registry, vendor))
    assert rotation.rotate().step == "current"

    lines = registry.store.journals(("", ""), 10)
    assert [key_id(line.sealed, "") for line in lines] == [2, 2]
    fresh = Registry.open(registry.store, KEY)
    assert fresh.journal.read(KIND, "other") == (1, Step("retired", base=7))
    assert rotation.finish(at_once=True).step == "retired"
    settled(registry, vendor)


def test_an_unreadable_line_keeps_the_old_root_key(disk: tuple[Registry, Vendor]) -> None:
    """And is told, as every record that cannot be sealed again; with `give_up` the key goes all the same."""
    registry, vendor = disk
    Rotation(registry, KIND, NAME, KeysOf(registry, vendor)).rotate()
    database_of(registry).connection()._raw.execute("UPDATE journal SET number = number + 1")

    done = rekey.rotate(registry.store, [KEY])

    assert (done.unreadable, done.removed) == ([f"the journal of {KIND}/{NAME}"], [])
    assert rekey.rotate(registry.store, [KEY], give_up=True).removed == [1]


# --- copies and backups ---


def copied(place: InMemory, tmp_path: Path, how: str) -> tuple[Registry, Mortal]:
    made: list[Registry] = []
    store = Mortal()
    store.ahead = place.store.ahead

    def create(max_ttl: int, *_: object) -> Registry:
        made.append(Registry.create(store, OTHER, max_ttl=max_ttl))
        return made[0]

    if how == "copy":
        copy(place.registry, create)
    else:
        backup(place.registry, tmp_path / "backup", KEY)
        restore(tmp_path / "backup", KEY, create)
    return made[0], store


@pytest.mark.parametrize("how", ["copy", "backup"])
def test_a_credential_that_is_to_be_retired_is_not_forgotten(place: InMemory, tmp_path: Path, how: str) -> None:
    """The new registry retires it when its grace is over; leases stay behind, and so does the lock."""
    place.registry.leases.take(KIND, NAME, 1, 60)
    retire_at = place.rotation().rotate().retire_at
    made: list[tuple[Registry, Mortal]] = []

    def while_locked() -> None:
        made.append(copied(place, tmp_path, how))

    place.pass_seconds(MAX_TTL + 100)
    meanwhile(place, "disable", while_locked)
    place.vendor.refuses["retire"] = AccessDenied("no")
    with pytest.raises(AccessDenied):
        place.rotation().finish()
    place.vendor.refuses.clear()
    registry, store = made[0]

    number, step = registry.journal.read(KIND, NAME)
    assert (number, step.step, step.retires, step.retire_at, step.until) == (1, "disabling", 1, retire_at, 0)
    assert store.leases() == []
    assert [item.name for item in due(registry)] == [NAME]
    Rotation(registry, KIND, NAME, KeysOf(registry, place.vendor)).finish()
    settled(registry, place.vendor, current=2)


@pytest.mark.parametrize("how", ["copy", "backup"])
def test_what_was_not_promoted_is_not_undone_by_a_copy(place: InMemory, tmp_path: Path, how: str) -> None:
    """What became of it at the vendor since, the copy does not know: the pending version stays, and nothing is due."""
    refused(place)
    keys = place.vendor.good()
    registry, store = copied(place, tmp_path, how)

    assert store.journals(("", ""), 10) == []
    assert due(registry) == []
    assert (registry.head(KIND, NAME).current, registry.head(KIND, NAME).pending) == (1, 2)
    with pytest.raises(Conflict, match="pending version that no rotation made"):
        Rotation(registry, KIND, NAME, KeysOf(registry, place.vendor)).rotate()
    assert place.vendor.good() == keys


def test_an_unreadable_line_is_left_out_of_a_copy(place: InMemory, tmp_path: Path) -> None:
    """And told; the name itself is there."""
    place.rotation().rotate()
    changed(place, at=7)

    made: list[Registry] = []

    def create(max_ttl: int, *_: object) -> Registry:
        made.append(Registry.create(Mortal(), OTHER, max_ttl=max_ttl))
        return made[0]

    done = copy(place.registry, create)

    assert done.unreadable == [f"the rotation of {KIND}/{NAME}"]
    assert made[0].load(KIND, NAME).version == 2


def test_a_rotation_that_goes_on_while_it_is_copied(place: InMemory) -> None:
    """Head and step are of one moment, whenever somebody rotates in between."""
    place.registry.save(KIND, "a", b"x")  # an earlier name of the same page
    names = place.registry.whole_names(pytest.fail)
    next(names)
    place.rotation().rotate()

    whole = next(names)

    assert whole.head == place.registry.head(KIND, NAME)
    assert json.loads(whole.rotation)["step"] == "current"
    assert [version.version for version in whole.versions] == [1, 2]
