"""The registry: versions, heads, listings, and the record of who did what."""

import threading
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import pytest

from bondstone.registry import (
    Conflict,
    InvalidBlock,
    InvalidName,
    InvalidSettings,
    NotFound,
    Registry,
    RegistryUnavailable,
    current_registry,
)
from bondstone.registry.keys import RawKey
from bondstone.registry.log import ReadLog
from bondstone.registry.registry import MAX_DOCUMENT
from bondstone.registry.seen import Seen
from bondstone.registry.sql import SqlStore
from bondstone.registry.sqlite import SqliteDatabase
from bondstone.registry.store import AuditRow, Sign
from tests.conftest import Make
from tests.registry.processes import run

KIND = "secret"


def states(registry: Registry, name: str) -> list[tuple[int, str]]:
    return [(line.version, "deleted" if line.deleted else line.state) for line in registry.history(KIND, name)]


def test_save_and_load(registry: Registry) -> None:
    """A document comes back with its number and time, the older ones by their numbers."""
    first = registry.save(KIND, "a", b"first")
    second = registry.save(KIND, "a", b"second", overwrite=True)

    assert (first.version, second.version) == (1, 2)
    assert registry.load(KIND, "a") == second
    assert registry.load(KIND, "a", 1) == first
    assert states(registry, "a") == [(1, "previous"), (2, "current")]


@pytest.mark.parametrize("content", [b"", b"\0", bytes(range(256)), b"x" * MAX_DOCUMENT])
def test_contents_are_bytes(registry: Registry, content: bytes) -> None:
    """Any bytes up to 1 MiB, the empty ones too."""
    registry.save(KIND, "a", content)

    assert registry.load(KIND, "a").content == content


def test_a_document_has_a_largest_size(registry: Registry) -> None:
    """A byte more than 1 MiB is refused, and nothing changed."""
    with pytest.raises(InvalidBlock, match="1 MiB"):
        registry.save(KIND, "a", b"x" * (MAX_DOCUMENT + 1))

    assert registry.list() == []


def test_a_taken_name_is_conflict(registry: Registry) -> None:
    """Without overwrite, and with a base that is not current: Conflict, nothing changed."""
    registry.save(KIND, "a", b"1")
    registry.save(KIND, "a", b"2", overwrite=True)

    with pytest.raises(Conflict):
        registry.save(KIND, "a", b"3")
    with pytest.raises(Conflict):
        registry.save(KIND, "a", b"3", overwrite=True, base=1)

    assert registry.load(KIND, "a").content == b"2"
    assert registry.save(KIND, "a", b"3", overwrite=True, base=2).version == 3


def test_kinds_do_not_meet(registry: Registry) -> None:
    """(kind, name) is unique, a name alone is not."""
    registry.save("secret", "a", b"s")
    registry.save("password", "a", b"p")

    assert registry.load("secret", "a").content == b"s"
    registry.delete("secret", "a")
    assert registry.load("password", "a").content == b"p"


def test_numbers_are_never_used_twice(registry: Registry) -> None:
    """After a deletion, and after staged versions that were let go, numbers go on."""
    registry.save(KIND, "a", b"1")
    registry.stage(KIND, "a", b"2")
    registry.delete(KIND, "a")

    assert registry.stage(KIND, "a", b"3").version == 3
    assert registry.save(KIND, "a", b"4", overwrite=True).version == 4
    registry.delete(KIND, "a")
    assert registry.save(KIND, "a", b"5").version == 5
    assert states(registry, "a") == [(1, "deleted"), (2, "deleted"), (3, "deleted"), (4, "deleted"), (5, "current")]


def test_a_deleted_name(registry: Registry) -> None:
    """It is not loaded, by name or number, listed, deleted, promoted or rolled back; its history stays."""
    registry.save(KIND, "a", b"1")
    registry.save(KIND, "a", b"2", overwrite=True)
    registry.delete(KIND, "a")

    acts: list[Callable[[], object]] = [
        lambda: registry.load(KIND, "a"), lambda: registry.load(KIND, "a", 1), lambda: registry.load(KIND, "a", 2),
        lambda: registry.delete(KIND, "a"), lambda: registry.promote(KIND, "a"), lambda: registry.rollback(KIND, "a"),
    ]  # fmt: skip
    for act in acts:
        with pytest.raises(NotFound):
            act()
    assert registry.list() == []
    assert states(registry, "a") == [(1, "deleted"), (2, "deleted")]


def test_stage_and_promote(registry: Registry) -> None:
    """A staged version is loaded by its number only, until it is promoted."""
    registry.save(KIND, "a", b"old")
    staged = registry.stage(KIND, "a", b"new")

    assert registry.load(KIND, "a").content == b"old"
    assert registry.load(KIND, "a", staged.version).content == b"new"
    assert states(registry, "a") == [(1, "current"), (2, "pending")]
    registry.promote(KIND, "a")
    assert registry.load(KIND, "a").content == b"new"
    assert states(registry, "a") == [(1, "previous"), (2, "current")]


def test_a_save_lets_the_pending_version_go(registry: Registry) -> None:
    """A version staged for another current one is not promoted over a save that came between."""
    registry.save(KIND, "a", b"old")
    registry.stage(KIND, "a", b"staged")
    registry.save(KIND, "a", b"saved", overwrite=True)

    with pytest.raises(Conflict):
        registry.promote(KIND, "a")

    assert registry.load(KIND, "a").content == b"saved"


def test_a_name_with_only_a_pending_version(registry: Registry) -> None:
    """It is taken, listed, not loaded, and becomes current by promotion."""
    registry.stage(KIND, "a", b"new")

    with pytest.raises(NotFound, match="pending"):
        registry.load(KIND, "a")
    with pytest.raises(Conflict):
        registry.save(KIND, "a", b"other")
    assert [item.name for item in registry.list()] == ["a"]
    registry.promote(KIND, "a")
    assert registry.load(KIND, "a").content == b"new"
    with pytest.raises(Conflict):
        registry.rollback(KIND, "a")


def test_rollback(registry: Registry) -> None:
    """The previous version is current again, once."""
    registry.save(KIND, "a", b"1")
    registry.save(KIND, "a", b"2", overwrite=True)

    registry.rollback(KIND, "a")

    assert registry.load(KIND, "a").content == b"1"
    with pytest.raises(Conflict):
        registry.rollback(KIND, "a")
    assert registry.save(KIND, "a", b"3", overwrite=True).version == 3


def test_what_does_not_exist(registry: Registry) -> None:
    """Names and versions that never were are NotFound; numbers that cannot be are InvalidName."""
    registry.save(KIND, "a", b"1")

    for version in (2, 10**17):
        with pytest.raises(NotFound):
            registry.load(KIND, "a", version)
    for version in (0, -1, 10**18, 2**70):
        with pytest.raises(InvalidName):
            registry.load(KIND, "a", version)
    for act in (registry.load, registry.history, registry.delete, registry.promote, registry.rollback):
        with pytest.raises(NotFound, match="nothing"):
            act(KIND, "nothing")


def test_listings(registry: Registry) -> None:
    """By kind, then name; of one kind or all; by page."""
    for kind, name in (("b", "x"), ("a", "z"), ("a", "y/2"), ("a", "y"), ("b", "gone")):
        registry.save(kind, name, b"")
    registry.delete("b", "gone")

    assert [(i.kind, i.name, i.version) for i in registry.list()] == [
        ("a", "y", 1),
        ("a", "y/2", 1),
        ("a", "z", 1),
        ("b", "x", 1),
    ]
    assert [i.reference for i in registry.list("b")] == ["b/x"]
    assert [i.name for i in registry.list(limit=2, offset=1)] == ["y/2", "z"]
    assert registry.list(limit=0) == registry.list(offset=10) == registry.list("c") == []
    for limit, offset in ((-1, 0), (1, -1)):
        with pytest.raises(InvalidSettings):
            registry.list(limit=limit, offset=offset)


def test_a_clock_that_goes_backwards(tmp_path: Path) -> None:
    """Saves go on, and no later version looks older than an earlier one."""
    times = iter([1_000_000, 1_000_000, 900, 800, 700, 600, 500, 400, 300, 200, 100, *range(99, 0, -1)])
    store, key = SqlStore(SqliteDatabase(tmp_path / "r.db")), RawKey("key", "a test", bytes(32))
    registry = Registry.create(store, key, clock=lambda: next(times))

    for turn in range(4):
        registry.save(KIND, "a", b"%d" % turn, overwrite=True)

    saved_at = [line.saved_at for line in registry.history(KIND, "a")]
    assert saved_at == sorted(saved_at)
    assert registry.load(KIND, "a").content == b"3"
    registry.close()


def test_max_ttl(registry: Registry, make: Make) -> None:
    """300 s, or what was set; another process sees it at once; less than a second is refused."""
    other = make("registry")

    assert registry.max_ttl == 300
    registry.set_max_ttl(60)
    assert (registry.max_ttl, other.max_ttl) == (60, 60)
    with pytest.raises(InvalidSettings):
        registry.set_max_ttl(0)
    assert registry.max_ttl == 60


@pytest.fixture
def records(registry: Registry) -> Callable[[], list[tuple[str, str, int, str]]]:
    """What the audit log says, oldest first."""
    return lambda: [(r.action, f"{r.kind}/{r.name}", r.version, r.outcome) for r in reversed(registry.audit())]


def test_everything_is_on_record(registry: Registry, records: Callable[[], list[tuple[str, str, int, str]]]) -> None:
    """Each change, load and refusal is one line: what, which version, how it ended. (Refusals and loads are written in batches.)"""
    registry.save(KIND, "a", b"VALUE")
    registry.save(KIND, "a", b"VALUE", overwrite=True)
    registry.load(KIND, "a")
    registry.load(KIND, "a")
    registry.load(KIND, "a", 1)
    registry.stage(KIND, "a", b"VALUE")
    registry.promote(KIND, "a")
    registry.rollback(KIND, "a")
    registry.delete(KIND, "a")

    lines = records()

    changes = [line for line in lines if line[0] != "load"]
    assert [line[0] for line in changes] == ["save", "save", "stage", "promote", "rollback", "delete"]
    assert {line[3] for line in lines} == {"ok"}
    assert [line for line in lines if line[0] == "load"] == [("load", "secret/a", 2, "ok")] * 2 + [
        ("load", "secret/a", 1, "ok")
    ]
    assert "VALUE" not in str(registry.audit())
    assert all(row.actor.count("@") == 1 and row.actor.count(":") == 1 for row in registry.audit())


def test_refusals_are_on_record(registry: Registry, records: Callable[[], list[tuple[str, str, int, str]]]) -> None:
    """A refused change or load is recorded with its code; a name that looks like a key is not."""
    registry.save(KIND, "a", b"1")
    acts: list[Callable[[], object]] = [
        lambda: registry.save(KIND, "a", b"2"), lambda: registry.load(KIND, "nothing"), lambda: registry.load(KIND, "a", 9),
        lambda: registry.load(KIND, "a", 2**70), lambda: registry.delete(KIND, "nothing"), lambda: registry.rollback(KIND, "a"),
        lambda: registry.load(KIND, "ema_SENTINEL12"), lambda: registry.save(KIND, "AKIASENTINEL1234", b""),
        lambda: registry.save(KIND, "\ud800", b""),
    ]  # fmt: skip
    for act in acts:
        with pytest.raises((Conflict, NotFound, InvalidName)):
            act()

    lines = records()

    assert lines[1:] == [
        ("save", "secret/a", 0, "conflict"),
        ("load", "secret/nothing", 0, "not_found"),
        ("load", "secret/a", 9, "not_found"),
        ("load", "secret/a", 0, "invalid_name"),
        ("delete", "secret/nothing", 0, "not_found"),
        ("rollback", "secret/a", 0, "conflict"),
        ("load", "secret/(not shown)", 0, "invalid_name"),
        ("save", "secret/(not shown)", 0, "invalid_name"),
        ("save", "secret/(not shown)", 0, "invalid_name"),
    ]


READ = """
import atexit, sys
from bondstone.registry import current_registry
registry = current_registry(create=True)
registry.save("secret", "a", b"x", overwrite=True)
how = sys.argv[1]
if how == "in atexit":
    atexit.register(registry.load, "secret", "a")
else:
    registry.load("secret", "a")
if how == "after a second":
    import time; time.sleep(1.001)
"""


@pytest.mark.parametrize("how", ["end", "in atexit", "after a second"])
def test_reads_are_on_record_when_a_process_has_ended(how: str) -> None:
    """A process that only reads, and ends at once, leaves its reads in the log."""
    for _ in range(2):
        run(READ, how)

    assert [row.action for row in current_registry().audit() if row.action == "load"] == ["load"] * 2


def test_a_registry_that_is_let_go_keeps_its_reads(registry: Registry, path: Path) -> None:
    """Reads of a registry that nobody holds any more are recorded within the second all the same."""
    registry.save(KIND, "a", b"x")
    store = SqlStore(SqliteDatabase(path))
    Registry.open(store, RawKey("key", "a test", b"k" * 32)).load(KIND, "a")

    for _ in range(40):
        if len(registry.audit()) == 2:
            break
        time.sleep(0.1)
    assert [row.action for row in registry.audit()] == ["load", "save"]


class SlowStore(SqlStore):
    """A store whose audit log takes its time."""

    def __init__(self) -> None:
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.written: list[AuditRow] = []

    def record(self, rows: Sequence[AuditRow], sign: Sign) -> None:
        self.entered.set()
        self.go_on.wait(10)
        self.written += rows


def test_a_flush_waits_for_a_batch_that_is_on_its_way() -> None:
    """The end of a process flushes while the thread may be writing: it waits, or that batch would be lost with the thread."""
    store = SlowStore()
    log = ReadLog(store, lambda seq, previous, row: b"", lambda: 1, Seen())
    log.add(KIND, "a", 1, "ok")
    first, second = threading.Thread(target=log.flush), threading.Thread(target=log.flush)

    first.start()
    store.entered.wait(10)
    second.start()
    second.join(0.1)
    waits = second.is_alive()
    store.go_on.set()
    first.join()
    second.join()
    log.close()

    assert waits
    assert len(store.written) == 1


def test_a_registry_that_went_away(registry: Registry, path: Path) -> None:
    """Without its file, loads and saves are RegistryUnavailable, not an empty registry."""
    registry.save(KIND, "a", b"x")
    path.rename(path.with_name("elsewhere.db"))

    with pytest.raises(RegistryUnavailable):
        registry.load(KIND, "a")
    with pytest.raises(RegistryUnavailable):
        registry.save(KIND, "b", b"x")

    path.with_name("elsewhere.db").rename(path)
    assert registry.load(KIND, "a").content == b"x"


def test_names_with_wildcards_are_names(registry: Registry) -> None:
    """`_` and `-` are letters of a name, nothing else."""
    for name, content in zip(("a_b", "a-b", "aab", "_", "0"), count(), strict=False):
        registry.save(KIND, name, str(content).encode())

    assert registry.load(KIND, "a_b").content == b"0"
    assert registry.load(KIND, "_").content == b"3"
