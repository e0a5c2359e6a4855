"""What a client has seen it does not unsee: an older head, or none where there was one, is refused."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bondstone.registry import NotFound, Registry, RolledBack, current_registry
from bondstone.registry import settings as settings_module
from bondstone.registry.keys import RawKey
from bondstone.registry.seen import Seen
from bondstone.registry.sql import SqlStore
from bondstone.registry.sqlite import SqliteDatabase
from tests.registry.processes import at_once, run

KIND = "secret"
Open = Callable[[], Registry]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def reopen(registry: Registry, path: Path, state: Path) -> Iterator[Open]:
    """Opens `registry` as a new process of the same user would."""
    registry.close()
    made: list[Registry] = []

    def call() -> Registry:
        made.append(Registry.open(SqlStore(SqliteDatabase(path)), RawKey("key", "a test", b"k" * 32), state=state))
        return made[-1]

    yield call
    for registry in made:
        registry.close()


@pytest.fixture
def set_back(reopen: Open, path: Path) -> Registry:
    """A registry whose `a` was at version 2 and seen so, and which lies there as it was before, without `b`."""
    first = reopen()
    first.save(KIND, "a", b"old")
    first.close()
    shutil.copy(path, path.with_name("older.db"))
    second = reopen()
    second.save(KIND, "a", b"new", overwrite=True)
    second.save(KIND, "b", b"gone")
    second.close()
    path.with_name("older.db").replace(path)
    return reopen()


def of_names(seen: Seen) -> list[tuple[str, str, int]]:
    """The marks without those of the registry itself."""
    return [mark for mark in seen.marks() if mark[0]]


def mark_file(registry: Registry, state: Path) -> Path:
    return state / f"{registry.id}.seen"


def test_a_later_process_refuses_what_an_earlier_one_knows_to_be_old(set_back: Registry) -> None:
    """A whole file set back: head older, or gone. Names that were not changed since are served."""
    with pytest.raises(RolledBack, match="generation 1, and generation 2 was seen here"):
        set_back.load(KIND, "a")
    with pytest.raises(RolledBack, match="is gone, and generation 1 was seen here"):
        set_back.load(KIND, "b")
    with pytest.raises(RolledBack):
        set_back.save(KIND, "b", b"anew")
    with pytest.raises(NotFound):
        set_back.load(KIND, "never")


def test_a_client_that_saw_nothing_takes_the_older_state(set_back: Registry, path: Path, tmp_path: Path) -> None:
    """What the threat model says is not promised: a fresh client cannot tell."""
    provider = RawKey("key", "a test", b"k" * 32)
    fresh = Registry.open(SqlStore(SqliteDatabase(path)), provider, state=tmp_path / "another")

    assert fresh.load(KIND, "a").content == b"old"
    fresh.close()


def test_an_accepted_restore_is_served(set_back: Registry, reopen: Open) -> None:
    """Both generations are told; once accepted, the older ones are the newest seen, in other processes too; and it is on record."""
    items = set_back.set_back()
    set_back.accept(items)

    assert [(item.name, item.seen, item.found) for item in items] == [("a", 2, 1), ("b", 1, 0)]
    for registry in (set_back, reopen()):
        assert registry.load(KIND, "a").content == b"old"
        assert registry.set_back() == []
        with pytest.raises(NotFound):
            registry.load(KIND, "b")
    assert [row.name for row in set_back.audit() if row.action == "accept-restored"] == ["b", "a"]
    assert set_back.save(KIND, "b", b"anew").version == 1


def test_a_name_that_was_set_back_can_be_deleted_and_its_numbers_are_spent(set_back: Registry) -> None:
    """Without accepting anything: `rm`, then `save`. Version 2 existed once, so the next is a higher one."""
    set_back.delete(KIND, "a")

    assert set_back.save(KIND, "a", b"anew").version == 3
    assert set_back.load(KIND, "a").content == b"anew"
    assert [item.name for item in set_back.set_back()] == ["b"]


def test_a_listing_marks_what_was_set_back(set_back: Registry) -> None:
    """As unreadable; it lists on."""
    set_back.accept([item for item in set_back.set_back() if item.name == "b"])
    set_back.save(KIND, "c", b"new")

    assert [(item.name, item.readable) for item in set_back.list()] == [("a", False), ("c", True)]


def test_deleted_and_purged_names_keep_their_mark(reopen: Open, path: Path) -> None:
    """A deletion set back is refused as well."""
    registry = reopen()
    registry.save(KIND, "a", b"old")
    registry.close()
    shutil.copy(path, path.with_name("older.db"))
    registry = reopen()
    registry.delete(KIND, "a")
    registry.close()
    path.with_name("older.db").replace(path)

    with pytest.raises(RolledBack):
        reopen().load(KIND, "a")


def test_what_another_process_saw_arrives(reopen: Open) -> None:
    """A process that runs on learns the marks of others when it writes its own."""
    here, there = reopen(), reopen()
    here.save(KIND, "a", b"1")
    there.load(KIND, "a")
    here._seen.note(KIND, "a", 9)
    here.flush()

    there.flush()

    with pytest.raises(RolledBack, match="generation 9"):
        there.load(KIND, "a", 1)


def test_marks_only_rise(state: Path) -> None:
    """The highest of what several processes write stays, in whatever order they do."""
    first, second = Seen(state / "id"), Seen(state / "id")
    first.note(KIND, "a", 5)
    second.note(KIND, "a", 3)
    first.flush()
    second.flush()

    assert list(Seen(state / "id").marks()) == [(KIND, "a", 5)]
    first.close()
    second.close()


def test_marks_read_all_at_once_give_way_to_newer_ones(state: Path) -> None:
    """After a listing names without a mark are not looked up one by one, until another process wrote."""
    here, there = Seen(state / "id"), Seen(state / "id")
    there.note(KIND, "a", 1)
    there.flush()
    here.know_all()
    assert here.highest(KIND, "b") == 0
    there.note(KIND, "b", 7)
    there.note(KIND, "c", 8)
    there.flush()

    here.flush()

    assert (here.highest(KIND, "b"), here.highest(KIND, "c")) == (7, 8)
    here.close()
    there.close()


def test_nobody_else_can_read_it(reopen: Open, state: Path) -> None:
    """It holds names."""
    registry = reopen()
    registry.save(KIND, "a", b"1")

    assert state.stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in state.iterdir())


def test_a_removed_file_is_made_anew(reopen: Open, state: Path) -> None:
    """With what the process that runs on still knows."""
    registry = reopen()
    registry.save(KIND, "a", b"1")
    shutil.rmtree(state)

    registry.save(KIND, "b", b"1")

    assert [name for _, name, _ in of_names(Seen(mark_file(registry, state)))] == ["a", "b"]


@pytest.mark.parametrize(
    "rubbish", [b"", b"rubbish" * 1000, b"SQLite format 3\0" + b"\xff" * 5000], ids=["empty", "text", "cut"]
)
def test_a_damaged_file_is_told_once_and_made_anew(
    reopen: Open, state: Path, capsys: pytest.CaptureFixture[str], rubbish: bytes
) -> None:
    """Loading goes on, and what is seen from then on is remembered."""
    registry = reopen()
    registry.save(KIND, "a", b"1")
    registry.close()
    mark_file(registry, state).write_bytes(rubbish)

    again = reopen()
    again.load(KIND, "a")
    again.flush()

    assert capsys.readouterr().err.count("is damaged") == (1 if rubbish else 0)
    assert of_names(Seen(mark_file(registry, state))) == [(KIND, "a", 1)]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE seen SET generation = 'x'",
        "UPDATE seen SET name = CAST(x'ff' AS TEXT)",
        "DROP TABLE seen",
        "DROP TABLE seen; CREATE TABLE other (a)",
    ],
)
def test_a_file_of_another_shape_blocks_nothing(reopen: Open, state: Path, change: str) -> None:
    """Whatever is in it: loads and listings go on."""
    registry = reopen()
    registry.save(KIND, "a", b"1")
    registry.close()
    with closing(sqlite3.connect(mark_file(registry, state))) as raw:
        raw.executescript(change)

    again = reopen()

    assert again.load(KIND, "a").content == b"1"
    assert [item.name for item in again.list()] == ["a"]
    assert again.set_back() == []
    again.save(KIND, "a", b"2", overwrite=True)


def test_a_folder_that_cannot_be_written_is_told_once(
    registry: Registry, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything else goes on, and the process itself remembers."""
    (tmp_path / "file").write_text("")
    provider = RawKey("key", "a test", b"k" * 32)
    registry = Registry.open(SqlStore(SqliteDatabase(path)), provider, state=tmp_path / "file" / "state")

    for number in range(3):
        registry.save(KIND, "a", b"1", overwrite=True)
        assert registry.load(KIND, "a").version == number + 1

    registry.close()
    assert capsys.readouterr().err.count("cannot remember") == 1
    registry._seen.note(KIND, "a", 9)
    with pytest.raises(RolledBack):
        registry.load(KIND, "a", 1)
    registry.close()


def test_threads_that_save_and_load_one_name_meet_no_false_alarm(reopen: Open) -> None:
    """A mark is looked at after the head was read: a writer in between must not look like an attack."""
    registry, faults = reopen(), list[Exception]()
    registry.save(KIND, "a", b"0")

    def work(number: int) -> None:
        try:
            for _ in range(40):
                if number % 2:
                    registry.save(KIND, "a", b"x", overwrite=True)
                registry.load(KIND, "a")
                registry.list()
        except Exception as error:  # noqa: BLE001 -- shown below
            faults.append(error)
        finally:
            registry._store.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not faults
    assert [mark[2] for mark in of_names(registry._seen)] == [121]


@pytest.mark.parametrize("read", ["load", "head"])
def test_a_save_between_reading_and_looking_at_the_mark(
    reopen: Open, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    """The head that was read is older than the mark by then: it is read once more, and not taken for an attack."""
    registry = reopen()
    registry.save(KIND, "a", b"1")
    original, saved = getattr(registry._store, read), list[int]()

    def overtaken(*arguments: object) -> object:
        found = original(*arguments)
        if not saved:
            saved.append(1)
            registry.save(KIND, "a", b"2", overwrite=True)
        return found

    monkeypatch.setattr(registry._store, read, overtaken)

    version = None if read == "load" else 2
    assert registry.load(KIND, "a", version).content == b"2"


WORK = """
import sys
from bondstone.registry import current_registry
registry = current_registry()
print("ready", flush=True)
input()
for number in range(30):
    registry.save("secret", "a", b"x", overwrite=True)
    registry.load("secret", "a")
"""


def test_processes_that_save_one_name_meet_no_false_alarm(home: Path) -> None:
    """Four of them, one state file: no refusal, and the mark is the highest generation."""
    registry = current_registry(create=True)
    registry.save(KIND, "a", b"0")

    ended = at_once(WORK, ["1", "2", "3", "4"])

    assert all(code == 0 and not errors for _, errors, code in ended), ended
    assert of_names(Seen(home / ".local/state/bondstone" / f"{registry.id}.seen")) == [(KIND, "a", 121)]


def test_a_forked_child_marks_too(home: Path) -> None:
    """And does not close what its parent holds open."""
    printed = run("""
import os, warnings
from bondstone.registry import current_registry
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with the log's thread
registry = current_registry(create=True)
registry.save("secret", "a", b"0")
child = os.fork()
if child == 0:
    registry.save("secret", "a", b"1", overwrite=True)
    registry.save("secret", "child", b"1")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
registry.save("secret", "parent", b"1")
print(sorted((name, generation) for kind, name, generation in registry._seen.marks() if kind))
""")

    assert printed.strip() == "[('a', 2), ('child', 1), ('parent', 1)]"


LOCKED = """
import os, signal, sys, threading, warnings
from pathlib import Path
from bondstone.registry.seen import Seen
warnings.simplefilter("ignore", DeprecationWarning)
seen = Seen(Path(sys.argv[1]))
seen.note("secret", "a", 1)
seen.flush()
held, forked = threading.Event(), threading.Event()

def hold():  # in another thread: who holds a re-entrant lock itself gets it again
    with seen._lock, seen._using:
        held.set()
        forked.wait()

thread = threading.Thread(target=hold)
thread.start()
held.wait()
connection = seen._file
child = os.fork()
if child == 0:
    signal.alarm(5)
    seen.note("secret", "a", 2)
    seen.flush()
    os._exit(seen._file is connection)  # SQLite: a connection must not be carried across a fork
forked.set()
thread.join()
assert os.waitpid(child, 0)[1] == 0
print(list(Seen(Path(sys.argv[1])).marks()))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_forked_while_a_lock_is_held(tmp_path: Path) -> None:
    """It has locks and a connection of its own: nobody would ever release the parent's."""
    assert run(LOCKED, str(tmp_path / "id")).strip() == "[('secret', 'a', 2)]"


def test_a_load_is_marked_when_the_process_ends(home: Path) -> None:
    """A process that only loads, for less than a second, leaves its mark."""
    registry = current_registry(create=True)
    registry.save(KIND, "a", b"0")
    registry.close()
    settings_module._opened.clear()
    shutil.rmtree(home / ".local/state")

    run('from bondstone.registry import current_registry\ncurrent_registry().load("secret", "a")')

    assert of_names(Seen(home / ".local/state/bondstone" / f"{registry.id}.seen")) == [(KIND, "a", 1)]


def test_the_state_folder_follows_its_variable(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG_STATE_HOME."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))

    registry = current_registry(create=True)
    registry.save(KIND, "a", b"0")

    assert (tmp_path / "elsewhere/bondstone" / f"{registry.id}.seen").exists()
