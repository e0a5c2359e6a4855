"""One rotator for each name: who holds the lock is told, who lost it stops."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bondstone.registry import Conflict, Registry
from bondstone.registry.errors import AccessDenied
from bondstone.registry.log import actor
from bondstone.registry.rotation import Rotation, due
from bondstone.registry.sqlite import SqliteDatabase
from bondstone.registry.store import JournalLine, Overtaken
from tests.registry.processes import at_once
from tests.registry.vendor import (
    KEY,
    KIND,
    LOCK,
    MAX_TTL,
    NAME,
    InMemory,
    KeysOf,
    Later,
    Vendor,
    first,
    meanwhile,
    refused,
    settled,
    usable,
)


@pytest.fixture
def place(tmp_path: Path) -> InMemory:
    return InMemory(tmp_path)


def once(point: str, act: Callable[[], object]) -> Callable[[str], None]:
    """Do something when a point is passed for the first time."""
    waiting = [act]

    def at(passed: str) -> None:
        if passed == point and waiting:
            waiting.pop()()

    return at


def take_over(place: InMemory) -> None:
    """As if this process slept for a minute, and another one rotates meanwhile."""
    place.store.ahead += LOCK
    place.vendor.during = lambda call: None
    place.rotation().rotate()


def test_a_second_rotator_is_told_who_and_when(place: InMemory) -> None:
    """Whatever it wants to do, nothing is changed by it."""
    said = []

    def others() -> None:
        for act in (place.rotation().rotate, place.rotation().finish, place.rotation().rollback):
            before = place.store.journals(("", ""), 10)
            with pytest.raises(Conflict) as caught:
                act()
            said.append(str(caught.value))
            assert place.store.journals(("", ""), 10) == before

    meanwhile(place, "verify", others)
    assert place.rotation().rotate().step == "current"

    assert len(said) == 3
    assert all(actor() in text and "(step 'set')" in text and "until 20" in text for text in said)


@pytest.mark.parametrize("call", ["created", "install", "installed", "verify"])
def test_who_slept_in_a_call_is_fenced(place: InMemory, call: str) -> None:
    """Another one took over when the lock had ended: the first one's next write is refused, and changes nothing."""
    meanwhile(place, call, lambda: take_over(place))

    with pytest.raises(Overtaken, match="another process took over the rotation of aws-credentials/prod"):
        place.rotation().rotate()

    assert place.step().step == "current"
    assert len(place.vendor.good()) == 2
    place.pass_seconds(MAX_TTL + 1)
    place.rotation().finish()
    settled(place.registry, place.vendor)


@pytest.mark.parametrize("point", ["started", "pending", "set", "verified"])
def test_who_slept_between_two_steps_begins_none(place: InMemory, point: str) -> None:
    """It looks at the lock before it calls the vendor or promotes, and finds that it is another's."""
    calls: list[str] = []

    def watch() -> None:
        take_over(place)
        place.vendor.during = calls.append

    with pytest.raises(Overtaken):
        place.rotation(at=once(point, watch)).rotate()

    assert calls == []
    assert place.step().step == "current"
    assert usable(place.registry, place.vendor)


def held_by_another(registry: Registry) -> None:
    """Another process has taken the lock, and is at work."""
    number, step = registry.journal.read(KIND, NAME)
    until = registry.shared_now() + 30_000_000
    line = registry.journal.line(KIND, NAME, number + 1, step._replace(until=until, holder="someone@there:1"), 5)
    registry.write_journal(lambda: line, "rotate lock", 0)


@pytest.mark.parametrize("point", ["started", "pending", "set", "verified"])
def test_who_finds_another_at_work_begins_nothing(place: InMemory, point: str) -> None:
    """The same while the other one is in the middle of it: its lock is not renewed for it."""
    calls: list[str] = []

    def watch() -> None:
        held_by_another(place.registry)
        place.vendor.during = calls.append

    with pytest.raises(Overtaken):
        place.rotation(at=once(point, watch)).rotate()

    assert calls == []
    assert place.step().holder == "someone@there:1"


def test_who_loses_the_lock_in_the_same_moment_is_told_to_whom(place: InMemory) -> None:
    """Both looked, and nobody had it; one wrote first."""

    class Raced(Registry):
        raced = False

        def write_journal(self, line: Callable[[], JournalLine], action: str, version: int) -> None:
            if not self.raced:
                self.raced = True
                held_by_another(place.registry)
            super().write_journal(line, action, version)

    raced = Raced.open(place.store, KEY)
    with pytest.raises(Conflict, match=r"someone@there:1 is rotating .* holds the lock until 20"):
        Rotation(raced, KIND, NAME, KeysOf(raced, place.vendor)).rotate()


@pytest.mark.parametrize("point", ["disabling", "disabled"])
def test_who_slept_before_it_retires_begins_nothing(place: InMemory, point: str) -> None:
    """Another one retired the key, and rotated once more: what the first one would delete is not its own any more."""
    calls: list[str] = []

    def watch() -> None:
        take_over(place)
        place.vendor.during = calls.append

    place.rotation().rotate()
    place.pass_seconds(MAX_TTL + 1)
    with pytest.raises(Overtaken):
        place.rotation(at=once(point, watch)).finish()

    assert calls == []
    assert place.versions() == (3, 2, 0)


def test_who_slept_before_it_discards_begins_nothing(place: InMemory) -> None:
    """What the next one made is not in its list."""
    calls: list[str] = []

    def watch() -> None:
        take_over(place)
        place.vendor.during = calls.append

    refused(place)
    with pytest.raises(Overtaken):
        place.rotation(at=once("undoing", watch)).rollback()

    assert calls == []
    assert usable(place.registry, place.vendor)


def test_about_to_promote(place: InMemory) -> None:
    """The lock is lost after the last look at it: the head does not move without the journal."""

    class Slow(Registry):
        def promote(self, kind: str, name: str, **options: object) -> None:
            if not place.store.ahead:
                place.store.ahead += LOCK
                place.rotation().rollback()
                self.stage(KIND, NAME, b"theirs")
            super().promote(kind, name, **options)  # type: ignore[arg-type]

    slow = Slow.open(place.store, KEY)
    with pytest.raises(Conflict):
        Rotation(slow, KIND, NAME, KeysOf(slow, place.vendor)).rotate()

    assert place.registry.load(KIND, NAME).version == 1
    assert place.step().step == "undone"


def test_one_under_way_is_not_due(place: InMemory) -> None:
    """`--due` leaves it to who is at it, until the lock has ended."""
    found: list[int] = []

    def watch() -> None:
        found.append(len(due(place.registry)))
        place.store.ahead += LOCK
        found.append(len(due(place.registry)))
        place.store.ahead -= LOCK

    meanwhile(place, "verify", watch)
    place.rotation().rotate()

    assert found == [0, 1]


def test_the_token_grows_with_each_holder(place: InMemory) -> None:
    """And the line's number with each step."""
    refused(place)
    first_number, first_step = place.registry.journal.read(KIND, NAME)
    place.rotation().rotate()
    number, step = place.registry.journal.read(KIND, NAME)

    assert (first_step.token, step.token) == (1, 2)
    assert number > first_number


def test_a_lock_of_a_clock_that_was_set_back(place: InMemory) -> None:
    """It would hold for a year: none reaches further than its length. Its holder is fenced."""
    year = 365 * 24 * 3600

    def set_back() -> None:
        place.pass_seconds(-year)
        place.vendor.during = lambda call: None
        assert place.rotation().rotate().step == "current"

    place.pass_seconds(year)
    meanwhile(place, "verify", set_back)
    with pytest.raises(Overtaken):
        place.rotation().rotate()


def test_the_lock_is_renewed_while_a_step_is_slow(place: InMemory) -> None:
    """A step may take longer than the lock."""
    tries: list[str] = []

    def slow() -> None:
        until = time.monotonic() + 1.2
        while time.monotonic() < until:
            with pytest.raises(Conflict, match="holds the lock"):
                place.rotation(lock_seconds=0.4).rotate()
            tries.append("refused")
            time.sleep(0.05)

    meanwhile(place, "verify", slow)

    assert place.rotation(lock_seconds=0.4).rotate().step == "current"
    assert len(tries) > 3
    assert not any(thread.name == "bondstone-rotation" for thread in threading.enumerate())


def test_a_registry_that_is_away_for_a_moment(place: InMemory) -> None:
    """The lock is renewed by the next try."""
    place.store.away = 2
    meanwhile(place, "verify", lambda: time.sleep(1.2))

    assert place.rotation(lock_seconds=0.6).rotate().step == "current"
    assert place.store.away == 0


@pytest.mark.parametrize("error", [AccessDenied("no"), KeyboardInterrupt(), SystemExit(1)])
def test_the_lock_is_free_after_a_failure(place: InMemory, error: BaseException) -> None:
    """Also after Ctrl-C: the next one goes on at once."""
    place.vendor.refuses["verify"] = error  # type: ignore[assignment]
    with pytest.raises(type(error)):
        place.rotation().rotate()
    place.vendor.refuses.clear()

    assert place.step().until == 0
    assert place.rotation().rotate().step == "current"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Registry, Vendor]]:
    vendor = Vendor(tmp_path / "keys")
    registry = first(Later(SqliteDatabase(tmp_path / "registry.db")), vendor)
    yield registry, vendor
    registry.close()


def test_eight_threads_at_once(disk: tuple[Registry, Vendor]) -> None:
    """One rotates; each of the others is told by whom it is done, or that it was done."""
    registry, vendor = disk
    start = threading.Barrier(8)

    def rotate(_: int) -> str:
        start.wait()
        try:
            return Rotation(registry, KIND, NAME, KeysOf(registry, vendor)).rotate().step
        except Conflict as error:
            return str(error)
        finally:
            registry.store.close()

    with ThreadPoolExecutor(8) as pool:
        said = sorted(pool.map(rotate, range(8)))

    told = [text for text in said if text != "current"]
    assert len(told) == 7
    assert all("holds the lock until" in text or "in its grace until" in text for text in told)
    assert registry.head(KIND, NAME).current == 2
    assert len(vendor.good()) == 2
    assert registry.verify_audit().whole


ROTATE = """
import sys
from pathlib import Path
from bondstone.registry import Conflict, Registry
from bondstone.registry.rotation import Rotation, due
from tests.registry.vendor import KEY, KIND, NAME, KeysOf, Later, SqliteDatabase, Vendor
folder = Path(sys.argv[1])
registry = Registry.open(Later(SqliteDatabase(folder / "registry.db")), KEY)
print("ready", flush=True); sys.stdin.readline()
try:
    print(Rotation(registry, KIND, NAME, KeysOf(registry, Vendor(folder / "keys"))).rotate().step)
except Conflict as error:
    print(error)
"""


def test_four_processes_at_once(disk: tuple[Registry, Vendor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    registry, vendor = disk

    outputs = at_once(ROTATE, [str(tmp_path)] * 4)

    assert [(err, code) for _, err, code in outputs] == [("", 0)] * 4
    told = [out for out, _, _ in outputs if out != "current\n"]
    assert len(told) == 3
    assert all("holds the lock until" in text or "in its grace until" in text for text in told)
    assert registry.head(KIND, NAME).current == 2
    assert len(vendor.good()) == 2
