"""The SQLite store keeps the promises of all stores; and what only a file can do to it."""

import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bondstone.registry import Registry, Settings
from bondstone.registry import settings as settings_module
from bondstone.registry.journal import Step
from bondstone.registry.schema import SCHEMA
from bondstone.registry.sql import SqlStore
from bondstone.registry.sqlite import SqliteDatabase, network_file_system
from bondstone.registry.store import Store
from bondstone.registry.testing import StoreSuite
from tests.registry.processes import at_once

FIXTURES = Path(__file__).parents[1] / "fixtures"


class TestSqliteStore(StoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        store = SqlStore(SqliteDatabase(tmp_path / "registry.db"))
        yield store
        store.close()

    def beside(self, store: Store) -> Store:
        assert isinstance(store, SqlStore)
        assert isinstance(store.database, SqliteDatabase)
        return SqlStore(SqliteDatabase(store.database.path))


def test_a_file_under_a_new_name(tmp_path: Path) -> None:
    """A store looks at the name with each read: another file there is read, and one that is gone is told."""
    stores = [SqlStore(SqliteDatabase(tmp_path / name)) for name in ("one.db", "two.db")]
    for number, store in enumerate(stores):
        TestSqliteStore().save(_made(store), "a", b"%d" % number)
        store.close()
    one = stores[0]
    session = one.session()
    assert (one.history("secret", "a")[0].envelope[7:8], one.session() is session) == (b"0", True)
    state = one.state(session)

    (tmp_path / "two.db").replace(tmp_path / "one.db")

    assert one.session() is not session
    assert one.state(one.session()) is not state
    assert one.history("secret", "a")[0].envelope[7:8] == b"1"
    one.close()


def _made(store: SqlStore) -> SqlStore:
    from bondstone.registry.testing.store_suite import KEYRING, SETTINGS

    assert store.create(SETTINGS, KEYRING)
    return store


@pytest.mark.parametrize(("seq", "mac"), [(2**63 - 1, b""), (77, "text"), (77, 5), (77, b"x")])
def test_a_planted_audit_row_stops_nobody(registry: Registry, path: Path, seq: int, mac: object) -> None:
    """Whatever lies at the end of the log, saves and loads go on and are recorded."""
    registry.save("secret", "a", b"x")
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("INSERT INTO audit VALUES (?, 1, 'who', 'load', 'secret', 'a', 1, 'ok', ?)", (seq, mac))

    registry.save("secret", "a", b"y", overwrite=True)
    registry.load("secret", "a")
    registry.flush()

    assert [row.action for row in registry.audit() if row.actor != "who"] == ["load", "save", "save"]


# --- files from before ---


@pytest.fixture
def r0001(tmp_path: Path) -> Settings:
    """A copy of a registry that the first bondstone wrote."""
    return copied("r0001", tmp_path)


def copied(schema: str, folder: Path) -> Settings:
    shutil.copy(FIXTURES / schema / "registry.db", folder)
    (folder / "registry.db").chmod(0o600)
    key = (FIXTURES / schema / "key").read_text().strip()
    return Settings(registry=f"sqlite:///{folder}/registry.db", key=key)


def content(text: str) -> bytes:
    return b'{"fields":{"value":"%s"},"schema_version":1}' % text.encode()


@pytest.mark.parametrize("schema", ["r0001", "r0002"])
def test_a_registry_of_an_older_schema_opens(schema: str, tmp_path: Path) -> None:
    """Migrated when it is opened: every version, name, setting and audit row is there, and what is new works."""
    older = copied(schema, tmp_path)
    with closing(sqlite3.connect(older.path)) as raw:
        before = raw.execute("SELECT * FROM audit ORDER BY seq").fetchall()
        assert raw.execute("SELECT version_num FROM alembic_version").fetchall() == [(schema,)]

    registry = older.open()

    assert [registry.load("secret", "token", number).content for number in (1, 2, 3)] == [
        content(f"value {number}") for number in (1, 2, 3)
    ]
    assert registry.load("secret", "rolled-back").content == content("one")
    assert registry.load("secret", "staged").content == content("current")
    assert [line.state for line in registry.history("secret", "staged")] == ["current", "pending"]
    assert [line.deleted for line in registry.history("secret", "prod/deleted")] == [True]
    assert [item.name for item in registry.list()] == ["rolled-back", "staged", "token"]
    assert registry.max_ttl == 120
    assert registry.save("secret", "token", content("value 4"), overwrite=True).version == 4
    assert registry.verify_audit().whole
    assert registry.journal.read("secret", "token") == (0, Step())
    assert registry.leases.take("secret", "token", 4, 60) in registry.leases.all()
    assert registry.longest_use("secret", "token") == (120, 60)
    registry.close()
    with closing(sqlite3.connect(older.path)) as raw:
        after = raw.execute(
            "SELECT seq, at, actor, action, kind, name, version, outcome, mac FROM audit ORDER BY seq"
        ).fetchall()
        assert raw.execute("SELECT version_num FROM alembic_version").fetchall() == [(SCHEMA,)]
    first = [row if schema > "r0001" else (*row, b"") for row in before]  # rows from before there was a chain
    assert after[: len(before)] == first
    assert all(row[-1] for row in after[len(before) :])


def test_a_read_only_registry_of_the_first_schema_loads(r0001: Settings, shared: Path) -> None:
    """It cannot be migrated, and need not be, to be read."""
    code = (
        "import os, sys\nfrom bondstone.registry import Settings\nimport bondstone.registry.seen\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "print(Settings(registry=sys.argv[1], key=sys.argv[2]).open().load('secret', 'token').version)"
    )
    path = shared / "registry.db"
    shutil.copy(r0001.path, path)
    path.chmod(0o444)

    done = subprocess.run([sys.executable, "-c", code, f"sqlite:///{path}", r0001.key], capture_output=True, text=True)

    assert done.stdout == "3\n", done.stderr


MIGRATE = """
import sys
from bondstone.registry import Settings
settings = Settings(*sys.argv[1].split(" ")[:1], key=sys.argv[1].split(" ")[1])
print("ready", flush=True); sys.stdin.readline()
registry = settings.open()
print(registry.load("secret", "token").version, registry.save("secret", "token", b"{}", overwrite=True).version)
"""


def test_several_processes_migrate_at_once(r0001: Settings) -> None:
    """One of them does, the others wait for it; all of them load and save."""
    with closing(sqlite3.connect(r0001.path, isolation_level=None, check_same_thread=False)) as raw:
        raw.execute("BEGIN IMMEDIATE")  # until all of them have seen that there is something to do
        release = threading.Timer(5, raw.execute, ["ROLLBACK"])
        release.start()
        outputs = at_once(MIGRATE, [f"{r0001.registry} {r0001.key}"] * 4)
        release.join()

    assert [(code, err) for _, err, code in outputs] == [(0, "")] * 4
    assert sorted(int(out.split()[1]) for out, _, _ in outputs) == list(range(4, 8))


# --- network file systems ---

MOUNTS = """\
/dev/vda / ext4 rw 0 0
proc /proc proc rw 0 0
server:/export /home nfs4 rw,vers=4.2 0 0
tmpfs /home/local tmpfs rw 0 0
//server/share /mnt/my\\040share cifs rw 0 0
host /mnt/over ext4 rw 0 0
me@host: /mnt/over fuse.sshfs rw 0 0
odd line
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    (tmp_path / "mounts").write_text(MOUNTS)
    return tmp_path / "mounts"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me/registry.db", "nfs4"),
        ("/homework/registry.db", ""),
        ("/home/local/registry.db", ""),
        ("/mnt/my share/registry.db", "cifs"),
        ("/mnt/over/registry.db", "fuse.sshfs"),
        ("/var/registry.db", ""),
    ],
)
def test_network_file_systems_are_recognised(mounts: Path, path: str, kind: str) -> None:
    """By the mount that the path lies below, the longest and the last."""
    assert network_file_system(Path(path), mounts) == kind
    assert network_file_system(Path(path), mounts.with_name("none")) == ""


def test_a_network_file_system_is_told_once(mounts: Path) -> None:
    """One line that suggests PostgreSQL, once per file; nothing for a file of this machine."""
    said: list[str] = []

    for path in ("/home/me/registry.db", "/var/registry.db"):
        for _ in range(2):
            SqliteDatabase(Path(path)).warn_of_network(mounts, said.append)

    assert len(said) == 1
    assert "nfs4" in said[0]
    assert "postgresql+psycopg://" in said[0]


def test_this_machine_is_not_warned_of(registry: Registry, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The tests' own folder, by the real list of mounts."""
    Settings(registry=f"sqlite:///{tmp_path}/x.db").store()

    assert "network" not in capfd.readouterr().err
    assert settings_module._opened == {}
