"""Concurrent savers never overwrite each other; processes, threads and forks."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bondstone.registry import Conflict, Registry, current_registry
from tests.conftest import Make
from tests.registry.processes import at_once, run

FIRST = """
import sys
from bondstone.registry import current_registry
print("ready", flush=True); sys.stdin.readline()
saved = current_registry(create=True).save("secret", sys.argv[1], sys.argv[1].encode())
print(saved.version, current_registry().id)
"""

SAVE = """
import sys
from bondstone.registry import Conflict, current_registry
registry = current_registry()
print("ready", flush=True); sys.stdin.readline()
for turn in range(int(sys.argv[1].split("-")[1])):
    content = f"{sys.argv[1]}-{turn}"
    try:
        print(registry.save("secret", "shared", content.encode(), overwrite="all" in sys.argv[1]).version, content)
    except Conflict:
        print("conflict", content)
"""


def test_eight_first_saves_at_once(data: Path, key_path: Path) -> None:
    """Eight processes make the first save of all: all succeed, in one registry, with one key, announced once."""
    words = [f"name{number}" for number in range(8)]

    outputs = at_once(FIRST, words)

    assert [(code, err if "made a new key" not in err else "") for _, err, code in outputs] == [(0, "")] * 8
    assert len({out.split()[1] for out, _, _ in outputs}) == 1
    assert sum(err.count("made a new key") for _, err, _ in outputs) == 1
    registry = current_registry()
    assert [item.name for item in registry.list()] == words
    assert all(registry.load("secret", word).content == word.encode() for word in words)
    assert [path.name for path in key_path.parent.iterdir()] == ["key"]
    assert all(path.name.startswith("registry.db") for path in data.parent.iterdir())


def test_eight_processes_save_one_name() -> None:
    """With overwrite, each of 80 saves is a version of its own and none is lost."""
    current_registry(create=True).save("secret", "other", b"")

    outputs = at_once(SAVE, [f"all{number}-10" for number in range(8)])

    assert [err for _, err, _ in outputs] == [""] * 8
    lines = [line.split() for out, _, _ in outputs for line in out.splitlines()]
    assert sorted(int(number) for number, _ in lines) == list(range(1, 81))
    registry = current_registry()
    assert all(registry.load("secret", "shared", int(number)).content == content.encode() for number, content in lines)
    assert registry.load("secret", "shared").version == 80


def test_one_of_eight_wins_without_overwrite() -> None:
    """Without overwrite exactly one process makes the name; the others get Conflict and change nothing."""
    current_registry(create=True).save("secret", "other", b"")

    outputs = at_once(SAVE, [f"one{number}-1" for number in range(8)])

    lines = [line.split() for out, _, _ in outputs for line in out.splitlines()]
    winners = [content for number, content in lines if number == "1"]
    assert len(winners) == 1
    assert sum(number == "conflict" for number, _ in lines) == 7
    assert current_registry().load("secret", "shared").content == winners[0].encode()
    assert len(current_registry().history("secret", "shared")) == 1


@pytest.mark.parametrize("act", ["rollback", "promote", "delete"])
def test_a_change_of_a_head_that_moved_on_is_conflict(registry: Registry, make: Make, act: str) -> None:
    """A save between the moment that a change reads the head and the moment that it writes it is not undone: Conflict."""
    registry.save("secret", "a", b"1")
    registry.save("secret", "a", b"2", overwrite=True)
    registry.stage("secret", "a", b"3")
    armed = [True]

    def clock() -> int:  # is asked in between
        if armed:
            armed.clear()
            registry.save("secret", "a", b"from the other", overwrite=True)
        return 1

    slow = Registry(registry._store, registry._keyring, clock=clock)

    with pytest.raises(Conflict, match="first"):
        getattr(slow, act)("secret", "a")

    assert registry.load("secret", "a").content == b"from the other"
    assert [line.state for line in registry.history("secret", "a")] == ["", "previous", "", "current"]


def test_threads_share_a_registry(registry: Registry) -> None:
    """Eight threads save and load one name and their own: nothing is lost, nobody sees another's value."""

    def work(thread: int) -> list[int]:
        numbers = []
        for turn in range(10):
            registry.save("secret", f"own-{thread}", f"{thread}-{turn}".encode(), overwrite=True)
            assert registry.load("secret", f"own-{thread}").content == f"{thread}-{turn}".encode()
            numbers.append(registry.save("secret", "shared", f"{thread}-{turn}".encode(), overwrite=True).version)
        return numbers

    with ThreadPoolExecutor(8) as pool:
        numbers = [number for numbers in pool.map(work, range(8)) for number in numbers]

    assert sorted(numbers) == list(range(1, 81))
    assert all(line.state != "unreadable" for line in registry.history("secret", "shared"))


def test_threads_without_overwrite(registry: Registry) -> None:
    """Of eight threads one makes the name."""

    def work(thread: int) -> bool:
        try:
            registry.save("secret", "shared", b"%d" % thread)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(work, range(8)))

    assert sum(won) == 1


def test_every_read_of_every_thread_is_on_record(registry: Registry) -> None:
    """Loads from several threads, while others flush, are all in the audit log, once each."""
    registry.save("secret", "a", b"x")

    def work(_: int) -> None:
        for turn in range(100):
            registry.load("secret", "a")
            if turn % 10 == 0:
                registry.flush()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))

    assert sum(row.action == "load" for row in registry.audit()) == 800


FORK = """
import os, sys
from bondstone.registry import current_registry
registry = current_registry(create=True)
registry.save("secret", "a", b"before")
assert registry.load("secret", "a").content == b"before"
inherited = registry._store.database.connection()
child = os.fork()
if not child:
    assert registry._store.database.connection() is not inherited
    assert registry.load("secret", "a").content == b"before"
    registry.save("secret", "child", b"from the child")
    registry.flush()
    sys.stdout.flush(); sys.stderr.flush()
    os._exit(0)
registry.save("secret", "parent", b"from the parent")
assert os.waitpid(child, 0)[1] == 0
assert registry.load("secret", "child").content == b"from the child"
registry.save("secret", "a", b"after", overwrite=True)
assert registry.load("secret", "a").content == b"after"
print(sum(row.action == "load" for row in registry.audit()))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_with_an_open_connection() -> None:
    """Parent and child go on, each with a connection of its own; the reads of both are on record."""
    printed = run(
        FORK.replace("import os, sys", "import os, sys, warnings\nwarnings.simplefilter('ignore', DeprecationWarning)")
    )

    assert int(printed) == 4
    assert [item.name for item in current_registry().list()] == ["a", "child", "parent"]


def test_a_reader_during_saves_sees_whole_versions(registry: Registry, make: Make) -> None:
    """A reader beside a saver sees each version whole, and numbers that only grow."""
    registry.save("secret", "a", b"1")
    reader = make("registry")

    def save() -> None:
        for turn in range(2, 60):
            registry.save("secret", "a", str(turn).encode(), overwrite=True)

    seen = [1]
    with ThreadPoolExecutor(1) as pool:
        saving = pool.submit(save)
        while not saving.done():
            document = reader.load("secret", "a")
            assert document.content == str(document.version).encode()
            seen.append(document.version)

    assert seen == sorted(seen)
    assert reader.load("secret", "a").version == 59
