"""The audit log against everybody who can write the database, and against races, kills and a registry that cannot be written."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import batched
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bondstone.registry import InvalidSettings, Registry, current_registry
from bondstone.registry import sqlite as sqlite_module
from bondstone.registry.audit_chain import AuditRow, ChainedRow
from bondstone.registry.audit_verify import MOST_FAULTS, Checkpoint, verify
from bondstone.registry.engines import run as run_of
from bondstone.registry.keyring import Keyring, RootKey
from bondstone.registry.keys import RawKey
from bondstone.registry.log import ReadLog
from bondstone.registry.memory import MemoryStore
from bondstone.registry.rekey import rotate
from bondstone.registry.seen import Seen
from bondstone.registry.settings_row import settings_context
from bondstone.registry.spool import MOST_BYTES, Spool
from bondstone.registry.sql import SqlStore
from bondstone.registry.sqlite import SqliteDatabase
from tests.conftest import Make
from tests.registry import independent_audit
from tests.registry.processes import at_once
from tests.registry.test_crash import SAVE_IN_A_LOOP, killed
from tests.vectors import generate

KIND = "secret"
VECTORS = json.loads((Path(generate.__file__).parent / "audit.json").read_text())
ROW = AuditRow(1, "me@host:1", "load", KIND, "a", 1, "ok")
KEY = RawKey("key", "a test", b"k" * 32)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
@pytest.mark.parametrize("page", [1, 2, 100])
def test_vectors(vector: dict[str, Any], page: int) -> None:
    """Bondstone and the second reader refuse the same rows, in pages of any size."""
    roots = {int(number): bytes.fromhex(key) for number, key in vector["keys"].items()}
    ring = Keyring(vector["registry_id"], [RootKey(number, 0, key) for number, key in sorted(roots.items())])
    lines = [
        ChainedRow(row["seq"], AuditRow(*(row[field] for field in AuditRow._fields)), bytes.fromhex(row["mac"]))
        for row in vector["rows"]
    ]

    pages, registry_id, chained = (
        map(list, batched(lines, page)),
        vector["registry_id"],
        "chained" in vector,
    )
    report = verify(pages, registry_id, ring.audit_key, chained=chained)
    theirs = independent_audit.refused(roots, registry_id, vector["rows"], chained=chained)

    assert [fault.seq for fault in report.faults] == theirs == vector["refused"]
    assert report.whole == (not theirs)


@pytest.fixture
def log(registry: Registry) -> Registry:
    """A registry with ten rows in its log: saves, loads, a refusal, a setting."""
    for content in (b"1", b"2", b"3"):
        registry.save(KIND, "a", content, overwrite=True)
        registry.load(KIND, "a")
        registry.flush()
    registry.rollback(KIND, "a")
    registry.set_max_ttl(60)
    registry.delete(KIND, "a")
    with pytest.raises(LookupError):
        registry.load(KIND, "a")
    assert registry.verify_audit() == (10, 0, 10, [], 0)
    return registry


@pytest.fixture
def attack(log: Registry, path: Path) -> Callable[..., None]:
    """Run SQL on the file behind the registry's back."""

    def run(*statements: str) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            for statement in statements:
                raw.execute(statement)

    return run


def faults(registry: Registry, checkpoint: Checkpoint | None = None) -> list[int]:
    return [fault.seq for fault in registry.verify_audit(checkpoint).faults]


@pytest.mark.parametrize("cell", [
    "at = at + 1", "at = 'x'", "at = -1", "at = 1e300", "actor = 'you@host:1'", "actor = x'ff'", "actor = CAST(x'ff' AS TEXT)",
    "action = 'load'", "kind = 'password'", "name = 'b'", "version = 1", "version = -1", "version = 'x'", "outcome = 'no'", "outcome = 7",
])  # fmt: skip
def test_an_edited_cell(log: Registry, attack: Callable[..., None], cell: str) -> None:
    """Any cell of any type: exactly that row is refused, and the log goes on."""
    attack(f"UPDATE audit SET {cell} WHERE seq = 7")

    assert faults(log) == [7]
    log.save(KIND, "b", b"x")
    assert faults(log) == [7]


@pytest.mark.parametrize("mac", ["x''", "''", "'text'", "7", "zeroblob(36)", "substr(mac, 1, 35)", "mac || x'00'"])
def test_an_edited_mac(log: Registry, attack: Callable[..., None], mac: str) -> None:
    """Also of the newest row, on which the next save builds: the save works, and the row stays refused."""
    attack(f"UPDATE audit SET mac = {mac} WHERE seq = 10")

    assert faults(log) == [10]
    log.save(KIND, "b", b"x")
    assert faults(log) == [10]


@pytest.mark.parametrize(
    ("statements", "refused"),
    [
        (["DELETE FROM audit WHERE seq = 4"], [4]),
        (["DELETE FROM audit WHERE seq BETWEEN 4 AND 6"], [4]),
        (["DELETE FROM audit WHERE seq < 4"], [1]),
        (["DELETE FROM audit WHERE seq = 4", "UPDATE audit SET seq = seq - 1 WHERE seq > 4"], [4, 5, 6, 7, 8, 9]),
        ([f"UPDATE audit SET seq = {a} WHERE seq = {b}" for a, b in ((-1, 4), (4, 5), (5, -1))], [4, 5, 6]),
        (["INSERT INTO audit SELECT 11, at, actor, action, kind, name, version, outcome, mac FROM audit WHERE seq = 10"], [11]),
        (["INSERT INTO audit SELECT 11, at, actor, action, kind, name, version, outcome, x'' FROM audit WHERE seq = 10"], [11]),
        (["INSERT INTO audit SELECT -5, at, actor, action, kind, name, version, outcome, x'' FROM audit WHERE seq = 10"], [-5]),
        (["INSERT INTO audit SELECT 13, at, actor, action, kind, name, version, outcome, mac FROM audit WHERE seq = 10"], [11]),
        (["UPDATE audit SET mac = x'' WHERE seq < 6"], [1, 2, 3, 4, 5, 6]),
    ],
    ids=["one deleted", "three deleted", "the first deleted", "closed up", "swapped", "repeated", "forged", "in front", "gap", "stripped"],
)  # fmt: skip
def test_rows_moved_about(
    log: Registry, attack: Callable[..., None], statements: list[str], refused: list[int]
) -> None:
    """Deletions in the middle, renumbering, swaps and insertions are found, and where."""
    attack(*statements)

    assert faults(log) == refused


def test_a_row_of_another_registry(log: Registry, make: Make, attack: Callable[..., None], path: Path) -> None:
    """The same row under the same number, chained by another registry, is not ours."""
    other = make("other")
    other.save(KIND, "a", b"1")
    other.close()

    attack(
        f"ATTACH '{path.with_name('other.db')}' AS other",
        "UPDATE audit SET mac = (SELECT mac FROM other.audit WHERE seq = 1) WHERE seq = 1",
    )

    assert faults(log) == [1, 2]


def test_a_tail_cut_off_is_seen_with_a_checkpoint_only(log: Registry, attack: Callable[..., None]) -> None:
    """It leaves nothing behind; what was kept elsewhere shows it, also after new rows took the numbers."""
    checkpoint = Checkpoint.parse(log.audit_checkpoint().line())
    assert checkpoint == (log.id, 10, log._store.audit(limit=1)[0].mac)
    assert faults(log, checkpoint) == []
    log.save(KIND, "b", b"x")
    assert faults(log, checkpoint) == []

    attack("DELETE FROM audit WHERE seq > 8")

    assert (faults(log), faults(log, checkpoint)) == ([], [9])
    for name in "cdef":
        log.save(KIND, name, b"x")
    assert (faults(log), faults(log, checkpoint)) == ([], [10])
    attack("DELETE FROM audit")
    assert (faults(log), faults(log, checkpoint)) == ([], [1])


def test_a_checkpoint_of_another_registry(log: Registry, make: Make) -> None:
    """It proves nothing here, and is refused as such; so is what is no checkpoint."""
    other = make("other").audit_checkpoint()

    assert other.seq == 0
    with pytest.raises(InvalidSettings, match="another registry"):
        log.verify_audit(other)
    for text in (
        "",
        "{}",
        "[]",
        "7",
        '{"registry": 1, "seq": 1, "mac": ""}',
        '{"registry": "a", "seq": -1, "mac": ""}',
        "\0",
    ):
        with pytest.raises(InvalidSettings, match="no checkpoint"):
            Checkpoint.parse(text)


@pytest.fixture
def migrated(registry: Registry) -> Registry:
    """A registry as the first schema made them: its settings do not say that the log is a chain."""
    row = registry._store.settings()
    plain = b'{"max_ttl":300}'
    row = row._replace(envelope=registry._keyring.seal(settings_context(row), plain), generation=2)
    registry._store.set_settings(
        row._replace(envelope=registry._keyring.seal(settings_context(row), plain)), ROW, lambda *_: b""
    )
    return registry


def test_a_chain_that_was_taken_away(log: Registry, attack: Callable[..., None]) -> None:
    """A log without any MAC does not pass for one from before the chain, in a registry that never had such."""
    attack("UPDATE audit SET mac = ''")

    assert faults(log) == list(range(1, 11))


def test_rows_from_before_the_chain(migrated: Registry, path: Path) -> None:
    """Those that the first schema wrote are counted, and told apart; from the first chained one on nothing is forgiven."""
    registry = migrated
    columns = "at, actor, action, kind, name, version, outcome, mac"
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        for at in (1, 2):  # as the migration leaves them: the empty text, not the empty blob
            raw.execute(f"INSERT INTO audit ({columns}) VALUES ({at}, 'a@b:1', 'load', 'secret', 'a', 1, 'ok', '')")
        assert registry.verify_audit() == (3, 3, 3, [], 0)
        registry.save(KIND, "a", b"x")
        registry.save(KIND, "b", b"x")

        registry.set_max_ttl(60)
        assert registry.verify_audit() == (6, 3, 6, [], 0)
        raw.execute("DELETE FROM audit WHERE seq = 2")
        assert faults(registry) == [2]


def test_a_log_of_nonsense_is_told_in_bounded_space(log: Registry, attack: Callable[..., None]) -> None:
    """Of a thousand faults the first hundred are told, the others counted."""
    numbers = "WITH RECURSIVE n(i) AS (SELECT 11 UNION ALL SELECT i + 1 FROM n WHERE i < 1010) "
    attack(numbers + "INSERT INTO audit SELECT i, 1, '', '', '', '', 0, '', x'00' FROM n")

    told: list[tuple[int, int]] = []
    report = log.verify_audit(progress=lambda done, of: told.append((done, of)))

    assert (len(report.faults), report.faulty) == (MOST_FAULTS, 1000)
    assert told == [(1000, 1010), (1010, 1010)]


def test_a_number_at_the_end_of_all_numbers(log: Registry, attack: Callable[..., None]) -> None:
    """A planted row with the largest number is found, and numbers go on before it; behind the last usable one writing ends with a text."""
    attack(
        f"INSERT INTO audit SELECT {2**63 - 1}, at, actor, action, kind, name, version, outcome, mac FROM audit LIMIT 1"
    )

    log.save(KIND, "b", b"x")
    assert faults(log) == [2**63 - 1]
    attack(f"UPDATE audit SET seq = {2**62 - 2} WHERE seq = {2**63 - 1}")
    log.save(KIND, "c", b"x")
    with pytest.raises(ValueError, match="the end of the audit log is unreadable"):
        log.save(KIND, "d", b"x")
    assert faults(log) == [12]


SAVE_AND_LOAD = """
import sys
from bondstone.registry import current_registry
registry = current_registry()
print("ready", flush=True); sys.stdin.readline()
for turn in range(20):
    registry.save("secret", sys.argv[1], b"x", overwrite=True)
    registry.load("secret", sys.argv[1])
    if turn % 5 == 0:
        registry.flush()
"""


def test_eight_writers_make_one_chain() -> None:
    """Saves and batches of reads of eight processes at once: every row is there, and the chain is whole."""
    registry = current_registry(create=True)

    outputs = at_once(SAVE_AND_LOAD, [f"name-{number}" for number in range(8)])

    assert outputs == [("", "", 0)] * 8
    assert registry.verify_audit() == (320, 0, 320, [], 0)
    assert sum(row.action == "load" for row in registry.audit()) == 160


def test_threads_make_one_chain(registry: Registry) -> None:
    """Reads of one thread in batches between the saves of others."""
    registry.save(KIND, "a", b"x")

    def work(thread: int) -> None:
        for _ in range(20):
            registry.load(KIND, "a")
            registry.save(KIND, f"own-{thread}", b"x", overwrite=True)
            registry.flush()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    assert registry.verify_audit() == (161, 0, 161, [], 0)


def test_a_kill_leaves_a_whole_chain(registry: Registry, path: Path) -> None:
    """Ten kills of a process that saves in a loop: the chain is whole, and has a row for each acknowledged save."""
    saved = 0
    for turn in range(10):
        saved += len(killed(SAVE_IN_A_LOOP, str(path), after=turn * 0.01))

    report = registry.verify_audit()

    assert report.whole
    assert saved <= report.rows <= saved + 10


def test_the_chain_outlives_its_root_key(log: Registry, make: Make, attack: Callable[..., None]) -> None:
    """After a rotation that removed the old root key, its rows are proved still; an edit there is found."""
    checkpoint = log.audit_checkpoint()
    old = log._keyring._keys[1]

    rotated = rotate(log._store, [KEY])

    after = make("registry")
    assert rotated.removed == [1]
    assert after._keyring.root_keys[0][0] == 2
    assert (faults(log, checkpoint), faults(after, checkpoint)) == ([], [])
    assert {row.mac[3] for row in after._store.audit()} == {1, 2}
    thief = Keyring(log.id, [old])
    last = after._store.audit(limit=1)[0]
    mac = thief._chain(1, last.seq + 1, last.mac, last.row)
    attack(
        "INSERT INTO audit SELECT seq + 1, at, actor, action, kind, name, version, outcome, "
        f"x'{mac.hex()}' FROM audit WHERE seq = {last.seq}"
    )
    assert faults(after) == [last.seq + 1]
    attack(f"DELETE FROM audit WHERE seq = {last.seq + 1}", "UPDATE audit SET version = 9 WHERE seq = 3")
    assert faults(after) == [3]


def test_who_still_holds_the_old_root_key_writes_under_the_new_one(registry: Registry, make: Make) -> None:
    """A process that was open before a rotation catches up when it writes: the chain never goes back to an older key."""
    reader = make("registry")
    rotate(registry._store, [KEY])

    with pytest.raises(LookupError):  # of a name that is there it would learn of the new key before
        reader.load(KIND, "a")
    reader.flush()

    assert registry.verify_audit().whole
    assert registry._store.audit(limit=1)[0].mac[:4] == (2).to_bytes(4)


# What cannot be recorded now


@contextmanager
def locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Somebody holds the file for writing, for longer than a writer waits."""
    monkeypatch.setattr(sqlite_module, "BUSY_SECONDS", 0.02)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        yield


def opened(path: Path, state: Path | None) -> Registry:
    return Registry.open(SqlStore(SqliteDatabase(path)), KEY, state=state)


def spool_of(registry: Registry, state: Path) -> Path:
    return state / f"{registry.id}.spool.jsonl"


def loads(registry: Registry) -> list[int]:
    return [row.at for row in reversed(registry.audit()) if row.action == "load"]


def test_reads_of_a_busy_registry_are_recorded_later(
    registry: Registry, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They wait in a file that only its owner reads, in their order, and none is lost or recorded twice."""
    registry.save(KIND, "a", b"VALUE")
    with locked(path, monkeypatch):
        reader = opened(path, tmp_path / "state")
        for _ in range(3):
            reader.load(KIND, "a")
            reader.flush()
        spool = spool_of(reader, tmp_path / "state")
        waiting = spool.read_text()

    reader.load(KIND, "a")
    reader.flush()

    assert len(waiting.splitlines()) == 3
    assert "VALUE" not in waiting
    assert spool.stat().st_mode & 0o777 == 0o600
    assert spool.read_text() == ""
    assert len(loads(registry)) == 4
    assert loads(registry) == sorted(loads(registry))
    assert registry.verify_audit().whole
    assert capsys.readouterr().err == ""
    reader.close()


def test_reads_are_recorded_by_the_next_process(
    registry: Registry, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that ended while the registry could not be written left them behind; the next one that reads records them."""
    registry.save(KIND, "a", b"x")
    with locked(path, monkeypatch):
        reader = opened(path, tmp_path / "state")
        reader.load(KIND, "a")
        reader.close()

    later = opened(path, tmp_path / "state")
    later.load(KIND, "a")
    later.close()

    assert len(loads(registry)) == 2


def test_without_a_folder_reads_wait_in_memory_and_are_told_once(
    registry: Registry, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are recorded when the registry can be written again."""
    registry.save(KIND, "a", b"x")
    with locked(path, monkeypatch):
        reader = opened(path, None)
        for _ in range(3):
            reader.load(KIND, "a")
            reader.flush()
    reader.flush()

    assert len(loads(registry)) == 3
    assert capsys.readouterr().err.count("reads are not recorded") == 1
    reader.close()


def test_a_folder_that_is_a_file(
    registry: Registry, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no spool can be made it is told, and reading goes on."""
    registry.save(KIND, "a", b"x")
    (tmp_path / "state").write_text("")
    log = ReadLog(registry._store, registry._keyring.sign, lambda: 1, Seen(), tmp_path / "state/spool.jsonl")
    with locked(path, monkeypatch):
        registry.close()
        log.add(KIND, "a", 1, "ok")
        log.flush()
    log.close()

    assert len(loads(registry)) == 1
    assert capsys.readouterr().err.count("reads are not recorded") == 1


def test_a_spool_has_a_largest_size(tmp_path: Path) -> None:
    """What there is no room for is given back."""
    spool = Spool(tmp_path / "spool.jsonl")
    rows = [ROW] * (MOST_BYTES // 40)

    fit = spool.add(rows)

    assert 0 < fit < len(rows)
    assert spool.path.stat().st_size <= MOST_BYTES
    assert spool.add(rows) == 0


def test_a_spool_that_was_cut_or_written_by_others(tmp_path: Path) -> None:
    """Whole rows are recorded, the rest is let go: a line of another form could never be recorded and would hold up all others."""
    spool = Spool(tmp_path / "spool.jsonl")
    spool.add([ROW, ROW])
    bad = [
        b"7",
        b"[]",
        b'[1,"a","b","c","d",1]',
        b"\xff\xfe",
        json.dumps([*ROW[:6], "x" * 33]).encode(),
        json.dumps([2**70, *ROW[1:]]).encode(),
    ]
    with spool.path.open("ab") as file:
        file.write(b"\n".join(bad) + b"\n" + json.dumps(ROW).encode() + b'\n[1, "me')
    taken: list[AuditRow] = []

    spool.drain(taken.extend)

    assert taken == [ROW] * 3
    assert spool.path.read_bytes() == b""


def test_a_spool_stays_full_if_it_cannot_be_recorded(tmp_path: Path) -> None:
    """Nothing is thrown away before it is in the log; and two processes do not record the same rows."""
    spool = Spool(tmp_path / "spool.jsonl")
    spool.add([ROW])
    taken: list[AuditRow] = []

    def refuse(rows: Sequence[AuditRow]) -> None:
        Spool(spool.path).drain(taken.extend)
        raise InvalidSettings("not now")

    with pytest.raises(InvalidSettings):
        spool.drain(refuse)

    assert taken == []
    spool.drain(taken.extend)
    assert taken == [ROW]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A spool that somebody made a link to another file is not written."""
    (tmp_path / "target").write_text("mine")
    (tmp_path / "spool.jsonl").symlink_to(tmp_path / "target")

    with pytest.raises(OSError, match="symbolic"):
        Spool(tmp_path / "spool.jsonl").add([ROW])

    assert (tmp_path / "target").read_text() == "mine"


def test_more_reads_than_a_process_can_make(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits in memory is bounded; that rows are lost is told."""
    monkeypatch.setattr("bondstone.registry.log.MOST_WAITING", 10)
    store = MemoryStore()
    log = ReadLog(store, lambda seq, previous, row: b"", lambda: 1, Seen())
    for _ in range(11):
        log.add(KIND, "a", 1, "ok")

    log.close()

    assert len(store.audit()) == 10
    assert "too many at once" in capsys.readouterr().err


# Who


IN_A_FLOW = """
import os
os.environ["PREFECT__FLOW_RUN_ID"] = "11111111-2222-3333-4444-555555555555"
import prefect.runtime
from bondstone.registry import current_registry
registry = current_registry(create=True)
registry.save("secret", "a", b"x")
registry.load("secret", "a")
"""


IN_A_TASK = """
import distributed
from bondstone.registry import current_registry
def work():
    current_registry().load("secret", "a")
current_registry(create=True).save("secret", "a", b"x")
with distributed.LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as cluster:
    with distributed.Client(cluster) as client:
        client.submit(work, key="my-key").result()
"""


def test_the_dask_task_is_in_the_actor() -> None:
    """Of what its worker does; what the client does is part of none."""
    done = subprocess.run([sys.executable, "-c", IN_A_TASK], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    rows = [(row.action, row.actor.partition(" ")[2]) for row in current_registry().audit()]
    assert rows == [("load", "dask-task:my-key"), ("save", "")]


def test_the_flow_run_is_in_the_actor() -> None:
    """Of saves and loads; the rest of the actor stays as it is."""
    done = subprocess.run([sys.executable, "-c", IN_A_FLOW], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    actors = {row.actor.partition(" ")[2] for row in current_registry().audit()}
    assert actors == {"flow-run:11111111-2222-3333-4444-555555555555"}


@pytest.mark.parametrize(
    ("name", "told"), [("S3Upload-0b5", " task:s3upload-0b5"), (None, ""), ("ema_SENTINEL12", " task:(not shown)")]
)
def test_the_task_is_in_the_actor(name: str | None, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the load is in a task of the flow; a key-shaped name is not recorded."""
    runtime = SimpleNamespace(flow_run=SimpleNamespace(id="1-2"), task_run=SimpleNamespace(name=name))
    monkeypatch.setitem(sys.modules, "prefect.runtime", runtime)

    assert run_of() == f" flow-run:1-2{told}"


def test_an_airflow_task_is_in_the_actor(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the variables that Airflow sets while a task runs."""
    monkeypatch.setitem(sys.modules, "airflow", object())
    assert run_of() == ""

    for name, value in {"DAG_ID": "daily", "TASK_ID": "upload", "DAG_RUN_ID": "manual-1"}.items():
        monkeypatch.setenv(f"AIRFLOW_CTX_{name}", value)

    assert run_of() == " airflow:daily.upload manual-1"


def test_an_engine_that_fails_fails_no_load(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half imported, or of another version: nothing is said of a run, and a key-shaped id is not recorded."""
    registry.save(KIND, "a", b"x")

    class Runtime:
        class flow_run:  # noqa: N801
            id = "ema_SENTINEL12"

    for engine, told in ((object(), ""), (Runtime, " flow-run:(not shown)")):
        monkeypatch.setitem(sys.modules, "prefect.runtime", engine)
        assert run_of() == told
        registry.load(KIND, "a")
