"""The PostgreSQL store keeps the promises of all stores; and what only a server can do to it."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import FrameType

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from bondstone.blocks import Block, Secret, live
from bondstone.registry import (
    Conflict,
    NoRegistry,
    NotFound,
    Registry,
    RegistryUnavailable,
    Settings,
    UnsupportedFormat,
    current_registry,
    tables,
)
from bondstone.registry import postgresql as postgresql_module
from bondstone.registry.schema import SCHEMA
from bondstone.registry.store import Store
from bondstone.registry.testing import StoreSuite
from tests.postgres import PASSWORD, ROLE, Server
from tests.registry.processes import at_once, database_of, run
from tests.registry.test_concurrency import FIRST, FORK, SAVE

pytestmark = pytest.mark.xdist_group("postgres")

KEY = "A" * 43
KIND = "secret"


class TestPostgresqlStore(StoreSuite):
    @pytest.fixture
    def store(self, postgres: Server, database: str) -> Iterator[Store]:
        self.settings = Settings(registry=postgres.url(database))
        store = self.settings.store()
        yield store
        store.close()

    def beside(self, store: Store) -> Store:
        return self.settings.store()


def opened(url: str) -> Registry:
    return Settings(registry=url, key=KEY).create()


@pytest.fixture
def url(postgres: Server, database: str) -> str:
    return postgres.url(database)


@pytest.fixture
def registry(url: str) -> Iterator[Registry]:
    """An empty registry on the server."""
    made = opened(url)
    yield made
    made.close()


@pytest.fixture
def configured(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment names the server and a key."""
    monkeypatch.setenv("BONDSTONE_REGISTRY", url)
    monkeypatch.setenv("BONDSTONE_KEY", KEY)
    return url


# --- tables and texts ---


def test_the_migrations_make_the_tables(registry: Registry, postgres: Server, database: str) -> None:
    """What the migrations make is what the tables say; names are ordered by their bytes in whatever language."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: postgres.connect(database))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        differences = compare_metadata(context, tables.metadata)
        revision = context.get_current_revision()
    engine.dispose()
    with postgres.connect(database) as raw:
        columns = raw.execute(
            "SELECT a.attname, c.collname FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation"
            " JOIN pg_class t ON t.oid = a.attrelid WHERE t.relname IN ('heads', 'versions', 'journal') AND t.relkind = 'r'"
        ).fetchall()

    assert differences == []
    assert revision == SCHEMA
    assert sorted(columns) == [("kind", "C")] * 3 + [("name", "C")] * 3


@pytest.mark.parametrize("version", ["r9999", "zzz"])
def test_a_newer_schema_is_refused(registry: Registry, postgres: Server, database: str, url: str, version: str) -> None:
    """Written by a newer bondstone: told so, and left as it is."""
    with postgres.connect(database) as raw:
        raw.execute("UPDATE alembic_version SET version_num = %s", (version,))

    with pytest.raises(UnsupportedFormat, match="newer"):
        opened(url)


@pytest.mark.parametrize("schema", ["r0001", "r0002"])
def test_an_older_schema_is_migrated(
    registry: Registry, postgres: Server, database: str, url: str, schema: str
) -> None:
    """By whoever comes first, while others wait; what is there stays."""
    registry.save(KIND, "a", b"x")
    with postgres.connect(database) as raw:
        raw.execute("DROP TABLE journal; DROP TABLE leases")
        if schema == "r0001":
            raw.execute("ALTER TABLE audit DROP COLUMN mac; ALTER TABLE audit ALTER seq TYPE integer")
        raw.execute("UPDATE alembic_version SET version_num = %s", (schema,))

    with ThreadPoolExecutor(4) as pool:
        others = list(pool.map(lambda _: opened(url), range(4)))

    assert [other.load(KIND, "a").content for other in others] == [b"x"] * 4
    assert others[0].save(KIND, "a", b"y", overwrite=True).version == 2
    assert others[0].leases.take(KIND, "a", 2, 60) in others[1].leases.all()
    with postgres.connect(database) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchall() == [(SCHEMA,)]
    for other in others:
        other.close()


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE alembic_version (version_num varchar(32)); INSERT INTO alembic_version VALUES ('abc')",
        "CREATE TABLE alembic_version (version_num varchar(32))",
        "CREATE TABLE registry (x int)",
        "CREATE TABLE versions (x int)",
    ],
)
def test_a_database_of_another_program(postgres: Server, database: str, url: str, script: str) -> None:
    """Its tables are left as they are, and none is added."""
    listing = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
    with postgres.connect(database) as raw:
        raw.execute(script)
        before = raw.execute(listing).fetchall()

        with pytest.raises(RegistryUnavailable, match=r"BONDSTONE_REGISTRY|of its own"):
            opened(url)

        assert raw.execute(listing).fetchall() == before


def test_schemas_keep_registries_apart(postgres: Server, database: str, url: str) -> None:
    """Two registries in one database, by libpq's own option in the URL."""
    with postgres.connect(database) as raw:
        raw.execute("CREATE SCHEMA one; CREATE SCHEMA two")
    one, two = (opened(f"{url}?options=-csearch_path%3D{name}") for name in ("one", "two"))

    one.save(KIND, "a", b"one")
    two.save(KIND, "a", b"two")

    assert (one.load(KIND, "a").content, two.load(KIND, "a").content) == (b"one", b"two")
    assert one.id != two.id
    one.close()
    two.close()


# --- the contract, from end to end ---


def test_the_contract(configured: str, home: Path) -> None:
    """Saved, loaded, listed, overwritten, deleted: on the server all is as in a file."""
    with pytest.raises(NoRegistry):
        Secret.load("token")

    Secret(value="first").save("token")
    Secret(value="second").save("token", overwrite=True)
    with pytest.raises(Conflict):
        Secret(value="third").save("token")
    Secret(value="x").save("prod/other")
    Secret.delete("prod/other")

    assert Secret.load("token").get() == "second"
    assert Secret.load("token", version=1).get() == "first"
    assert Block.load("secret/token@1") == Secret.load("token", version=1)
    assert [item.version for item in Secret.history("token")] == [1, 2]
    assert Secret.names() == ["token"]
    with pytest.raises(NotFound):
        Secret.load("prod/other")
    assert not (home / ".local/share").exists()


def test_a_live_handle(configured: str) -> None:
    """It sees a value that another process saved."""
    Secret(value="first").save("token")
    handle = live(Secret, "token", ttl=1)
    assert handle.get().get() == "first"

    run("from bondstone.blocks import Secret; Secret(value='second').save('token', overwrite=True)")
    until = time.monotonic() + 10
    while handle.get().get() == "first":
        assert time.monotonic() < until
        time.sleep(0.05)

    assert handle.get().get() == "second"


def test_a_pickle_carries_no_password(configured: str) -> None:
    """A block and a handle travel as the URL without its password; who unpickles them has it from the settings."""
    Secret(value="the value").save("token")

    for thing in (Secret.load("token"), live(Secret, "token")):
        data = pickle.dumps(thing)

        assert ROLE.encode() in data
        assert not any(word in data for word in (PASSWORD.encode(), b"p%3Aa", b"the value"))
        assert (
            run(
                "import pickle, sys; thing = pickle.loads(bytes.fromhex(sys.argv[1]));"
                "thing = thing.get() if not hasattr(thing, 'value') else thing; print(thing.get())",
                data.hex(),
            ).strip()
            == "the value"
        )


def test_the_command_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`init`, `ls` and `doctor` know a registry that is no file."""
    monkeypatch.setenv("BONDSTONE_REGISTRY", url)
    shown = ""
    for words in (["init"], ["ls"], ["doctor"]):
        done = subprocess.run(
            [sys.executable, "-m", "bondstone.cli", *words], capture_output=True, text=True, timeout=60
        )
        shown += done.stdout + done.stderr
        assert done.returncode == 0, shown

    assert "postgresql+psycopg://bondstone@127.0.0.1" in shown.replace("\n", "")
    assert "p%3A" not in shown
    assert PASSWORD not in shown


# --- passwords ---


def frames(error: BaseException) -> Iterator[FrameType]:
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "/bondstone/" in frame.f_code.co_filename:
            yield frame


def test_the_password_is_nowhere_to_be_seen(registry: Registry, url: str) -> None:
    """Neither in what shows the registry, nor in what `vars` shows of it."""
    settings = Settings(registry=url, key=KEY)
    store = registry._store

    shown = [repr(thing) for thing in (registry, settings, store, vars(store), vars(database_of(registry)))]

    for text in [*shown, registry.url, settings.url, str(registry.address)]:
        assert PASSWORD not in text
        assert "p%3Aa" not in text
    assert registry.url.startswith(f"postgresql+psycopg://{ROLE}@127.0.0.1:")


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (("p%3A", "wrong%3A"), "password"),
        (("/db", "/nodb"), "make that database"),
        (("127.0.0.1:", "127.0.0.1:1"), "BONDSTONE_REGISTRY must"),
        (("bondstone:", "nobody:"), "password"),
    ],
)
def test_a_refusal_says_what_to_do(url: str, change: tuple[str, str], advice: str) -> None:
    """At once where waiting does not help, without the password in the text or in our frames' locals."""
    started = time.monotonic()
    fault: Exception | None = None
    try:
        Settings(registry=url.replace(*change), key=KEY).open()
    except (RegistryUnavailable, ValueError) as error:
        fault = error

    assert fault is not None
    assert advice in str(fault)
    assert "wrong" not in str(fault).split("authentication")[0]
    assert "w#rd" not in str(fault) + "".join(repr(frame.f_locals) for frame in frames(fault))
    assert time.monotonic() - started < 2


def test_nobody_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never answered is waited for a moment, then told as away."""
    monkeypatch.setattr(postgresql_module, "_FIRST_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(RegistryUnavailable, match="does not answer"):
        Settings(registry=f"postgresql+psycopg://someone@127.0.0.1:{port}/x", key=KEY).open()


def test_the_password_from_a_file(
    registry: Registry, postgres: Server, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PGPASSFILE is libpq's own way: the URL then has none."""
    registry.save(KIND, "a", b"x")
    escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    (tmp_path / "pgpass").write_text(f"127.0.0.1:{postgres.port}:*:{ROLE}:{escaped}\n")
    (tmp_path / "pgpass").chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))

    other = opened(postgres.url(database, password=False))

    assert other.load(KIND, "a").content == b"x"
    assert other.url == registry.url
    other.close()


# --- several at once ---


def test_eight_first_saves_at_once(configured: str) -> None:
    """Eight processes make the first save of all: all succeed, in one registry."""
    words = [f"name{number}" for number in range(8)]

    outputs = at_once(FIRST, words)

    assert [(err, code) for _, err, code in outputs] == [("", 0)] * 8
    assert len({out.split()[1] for out, _, _ in outputs}) == 1
    assert [item.name for item in current_registry().list()] == words


def test_eight_processes_save_one_name(configured: str) -> None:
    """With overwrite, each of 80 saves is a version of its own, none is lost, and the audit log is one chain of them."""
    registry = current_registry(create=True)

    outputs = at_once(SAVE, [f"all{number}-10" for number in range(8)])

    assert [err for _, err, _ in outputs] == [""] * 8
    lines = [line.split() for out, _, _ in outputs for line in out.splitlines()]
    assert sorted(int(number) for number, _ in lines) == list(range(1, 81))
    assert all(registry.load(KIND, "shared", int(number)).content == text.encode() for number, text in lines)
    assert sorted(row.version for row in registry.audit() if row.action == "save") == list(range(1, 81))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_with_an_open_connection(configured: str) -> None:
    """Parent and child go on, each with a connection of its own; the reads of both are on record."""
    quiet = "import os, sys, warnings\nwarnings.simplefilter('ignore', DeprecationWarning)"

    printed = run(FORK.replace("import os, sys", quiet))

    assert int(printed) == 4
    assert [item.name for item in current_registry().list()] == ["a", "child", "parent"]


CHILD = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from bondstone.registry import current_registry
registry = current_registry(create=True)
registry.save("secret", "a", b"x")
def backend():
    return registry._store.session()._raw.info.backend_pid
mine = backend()
child = os.fork()
if not child:
    registry.load("secret", "a")
    assert backend() != mine
    registry.close()  # the child's own connection; the parent's is only let go
    sys.stdout.flush()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert registry._store.session()._cursor.execute(b"SELECT pg_backend_pid()").fetchone() == (mine,)
registry.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_leaves_the_connection_of_its_parent(configured: str) -> None:
    """The child says no goodbye on it: the parent goes on with the very same one."""
    run(CHILD)


def test_whatever_the_database_is_set_to(postgres: Server, database: str, url: str) -> None:
    """Defaults that would let two writers miss each other, or a save be lost, are not taken."""
    with postgres.connect("postgres") as raw:
        raw.execute(f"ALTER DATABASE {database} SET default_transaction_isolation = 'serializable'")
        raw.execute(f"ALTER DATABASE {database} SET synchronous_commit = off")
        raw.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
        raw.execute(f"ALTER DATABASE {database} SET bytea_output = 'escape'")
    registry = opened(url)

    def save(number: int) -> int:
        try:
            return registry.save(KIND, "shared", b"%d" % number, overwrite=True).version
        finally:
            registry._store.close()

    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(save, range(20)))
    with database_of(registry).connection().transaction():
        kept = database_of(registry).connection()._raw.execute("SHOW synchronous_commit").fetchone()

    assert sorted(numbers) == list(range(1, 21))
    assert kept == ("on",)
    registry.close()


def test_a_role_that_may_only_read(registry: Registry, postgres: Server, database: str, url: str) -> None:
    """Loads work; a save says what is missing."""
    registry.save(KIND, "a", b"x")
    with postgres.connect(database) as raw:
        raw.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'")
        raw.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    reader = Settings(registry=f"postgresql+psycopg://reader:reader@{url.partition('@')[2]}", key=KEY).open()
    try:
        assert reader.load(KIND, "a").content == b"x"
        with pytest.raises(RegistryUnavailable, match="ask its owner"):
            reader.save(KIND, "a", b"y", overwrite=True)
        assert reader.load(KIND, "a").content == b"x"
    finally:
        reader._reads._rows.clear()  # it cannot record them
        reader.close()
        with postgres.connect(database) as raw:
            raw.execute("DROP OWNED BY reader; DROP ROLE reader")


# --- a server that goes away ---


def test_a_restart_is_ridden_out(registry: Registry, postgres: Server) -> None:
    """What was open is not: the next load and the next save make a new connection, and nobody notices."""
    registry.save(KIND, "a", b"one")
    for how in (signal.SIGINT, signal.SIGQUIT):
        postgres.end(how)
        postgres.start()
        assert registry.load(KIND, "a").content == b"one"

        postgres.end(how)
        postgres.start()
        registry.save(KIND, "a", b"one", overwrite=True)

    assert registry.load(KIND, "a").version == 3


def test_a_load_waits_for_a_server_that_is_starting(registry: Registry, postgres: Server) -> None:
    """Asked while it is away, a load comes back as soon as it is back."""
    registry.save(KIND, "a", b"one")
    postgres.end()

    def load() -> bytes:
        with closing(registry._store):
            return registry.load(KIND, "a").content

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(load)
        time.sleep(0.5)
        assert not asked.done()
        postgres.start()

        assert asked.result(15) == b"one"


def test_a_server_that_stays_away(registry: Registry, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for a bounded time, then told; once it is back all goes on."""
    monkeypatch.setattr(postgresql_module, "RIDE_OUT_SECONDS", 0.5)
    registry.save(KIND, "a", b"one")
    postgres.end()
    try:
        with pytest.raises(RegistryUnavailable, match="does not answer"):
            registry.load(KIND, "a")
        with pytest.raises(RegistryUnavailable, match="does not answer"):
            registry.save(KIND, "a", b"two", overwrite=True)
    finally:
        postgres.start()

    assert registry.load(KIND, "a").content == b"one"
    assert registry.save(KIND, "a", b"two", overwrite=True).version == 2


def test_killed_under_load() -> None:
    """Three crashes while four threads save and two load: every acknowledged save is there, no number is used twice, none fails."""
    server = Server(fsync="on", full_page_writes="on")
    try:
        server.start()
        registry = opened(server.url(server.database()))
        acknowledged, errors = _under_load(registry, server)

        assert errors == []
        assert len(acknowledged) > 50
        assert len({(name, version) for name, version, _ in acknowledged}) == len(acknowledged)
        for name, version, content in acknowledged:
            assert registry.load(KIND, name, version).content == content
        for name in ("0", "1", "shared"):
            versions = [line.version for line in registry.history(KIND, name)]
            assert versions == sorted(version for saved, version, _ in acknowledged if saved == name)
        saves = [(row.name, row.version) for row in registry.audit() if row.action == "save"]
        assert sorted(saves) == sorted((name, version) for name, version, _ in acknowledged)
        registry.close()
    finally:
        server.close()


def _under_load(registry: Registry, server: Server) -> tuple[list[tuple[str, int, bytes]], list[Exception]]:
    acknowledged: list[tuple[str, int, bytes]] = []
    errors: list[Exception] = []
    over = threading.Event()

    def work(act: str, number: int) -> None:
        name = "shared" if number > 1 else str(number)
        while not over.is_set():
            content = os.urandom(8).hex().encode()
            try:
                if act == "save":
                    acknowledged.append((name, registry.save(KIND, name, content, overwrite=True).version, content))
                else:
                    registry.load(KIND, "shared")
            except NotFound:
                pass
            except Exception as error:  # noqa: BLE001 -- all of them are told by the test
                errors.append(error)
        registry._store.close()

    with ThreadPoolExecutor(6) as pool:
        working = [
            pool.submit(work, act, number) for act, number in [*(("save", n) for n in range(4)), *[("load", 9)] * 2]
        ]
        for _ in range(3):
            time.sleep(0.5)
            server.end(signal.SIGQUIT)
            server.start()
        time.sleep(0.5)
        over.set()
        for one in working:
            one.result(60)
    return acknowledged, errors


# --- an answer that never comes ---

_COMMIT = b"COMMIT\0"


class Wire:
    """Stands between a client and the server and can cut the connection in the moment of a COMMIT.

    The COMMIT is not passed on ("before"), passed on ("after"), or passed on when the client has another connection ("late").
    """

    def __init__(self, port: int) -> None:
        self.cut, self.stay_away, self.seen = "", False, 0
        self._server = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.stay_away:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._server))
                threading.Thread(target=self._pass_on, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, asks: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if asks and self.cut and _COMMIT in data:
                    self._cut(source, target, data)
                    break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()

    def _cut(self, client: socket.socket, server: socket.socket, data: bytes) -> None:
        self.seen += 1
        how, self.cut = self.cut, ""
        client.shutdown(socket.SHUT_RDWR)  # the answer cannot come any more
        if how == "late":
            time.sleep(0.7)  # the client is back before the server has the COMMIT
        if how != "before":
            server.sendall(data)
            time.sleep(0.2)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def wire(postgres: Server) -> Iterator[Wire]:
    wire = Wire(postgres.port)
    yield wire
    wire.close()


@contextmanager
def over_the(wire: Wire, url: str) -> Iterator[Registry]:
    registry = opened(url.replace(url.partition("@")[2].partition("/")[0], f"127.0.0.1:{wire.port}"))
    yield registry
    wire.cut = ""
    registry.close()


@pytest.mark.parametrize("cut", ["before", "after", "late"])
def test_a_commit_without_an_answer(wire: Wire, url: str, cut: str) -> None:
    """Whether it happened is found out: the save is done once, and recorded once."""
    with over_the(wire, url) as registry:
        registry.save(KIND, "a", b"one")

        wire.cut = cut
        saved = registry.save(KIND, "a", b"two", overwrite=True)
        wire.cut = cut
        registry.delete(KIND, "a")

        assert wire.seen == 2
        assert saved.version == 2
        assert [(line.version, line.deleted) for line in registry.history(KIND, "a")] == [(1, True), (2, True)]
        assert [row.action for row in registry.audit()] == ["delete", "save", "save"]


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_commit_of_which_nothing_is_heard(wire: Wire, url: str, cut: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server does not come back, the error says that it is unknown whether the save was made. It was, or it was not."""
    monkeypatch.setattr(postgresql_module, "RIDE_OUT_SECONDS", 0.3)
    with over_the(wire, url) as registry:
        registry.save(KIND, "a", b"one")

        wire.cut, wire.stay_away = cut, True
        with pytest.raises(RegistryUnavailable, match="unknown whether"):
            registry.save(KIND, "a", b"two", overwrite=True)
        wire.cut, wire.stay_away = "", False

        expected = (b"two", 2) if cut == "after" else (b"one", 1)
        assert (registry.load(KIND, "a").content, registry.load(KIND, "a").version) == expected


@pytest.mark.parametrize("cut", ["before", "after"])
def test_other_changes_without_an_answer(wire: Wire, url: str, cut: str) -> None:
    """Settings and reads on record are changed once, too."""
    with over_the(wire, url) as registry:
        registry.save(KIND, "a", b"one")

        wire.cut = cut
        registry.set_max_ttl(77)
        registry.load(KIND, "a")
        wire.cut = cut
        registry.flush()

        assert registry.max_ttl == 77
        assert [row.action for row in registry.audit()] == ["load", "settings", "save"]


# --- what it costs to import ---

IMPORTS = """
import sys
from bondstone.blocks import Secret
assert Secret.load("a").get() == "value"
print(sorted(name for name in sys.modules if name.partition(".")[0] in ("sqlalchemy", "alembic", "typer", "rich")))
"""

WITHOUT_PSYCOPG = """
import sys
sys.modules["psycopg"] = None
from bondstone.blocks import MissingExtra, Secret
try:
    Secret.load("a")
except MissingExtra as error:
    print(error)
"""


def test_a_load_imports_no_sqlalchemy(configured: str) -> None:
    """A cold load pays for neither SQLAlchemy nor Alembic."""
    Secret(value="value").save("a")

    assert run(IMPORTS) == "[]\n"


def test_without_psycopg(configured: str) -> None:
    """The error names the extra to install, and not the password."""
    printed = run(WITHOUT_PSYCOPG)

    assert "pip install 'bondstone[postgres]'" in printed
    assert "p%3A" not in printed


def test_a_library_that_does_not_use_it_does_not_import_it(home: Path) -> None:
    """An SQLite registry needs no psycopg, and no suite."""
    code = (
        "import sys; from bondstone.blocks import Secret; Secret(value='x').save('a'); print([name for name in sys.modules"
        " if name.startswith(('psycopg', 'bondstone.registry.testing', 'pytest', 'bondstone.registry.postgresql'))])"
    )

    assert run(code) == "[]\n"


def test_psycopg_errors_are_ours(registry: Registry, postgres: Server, database: str) -> None:
    """Tables that are gone: an error of ours, whatever is asked."""
    registry.save(KIND, "a", b"x")
    with postgres.connect(database) as raw:
        raw.execute("DROP TABLE versions")

    for ask in (registry.load, registry.history, registry.delete):
        with suppress(RegistryUnavailable):
            ask(KIND, "a")
    with pytest.raises(RegistryUnavailable) as caught:
        registry.load(KIND, "a")

    assert not isinstance(caught.value, psycopg.Error)
    assert "restore it from a backup" in str(caught.value)
