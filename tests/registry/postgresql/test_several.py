"""Processes, threads, forks and roles that share one PostgreSQL registry."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from bondstone.registry import Registry, RegistryUnavailable, Settings, current_registry
from tests.postgres import Server
from tests.registry.postgresql.registries import KEY, KIND, opened
from tests.registry.processes import at_once, database_of, run
from tests.registry.test_concurrency import FIRST, FORK, SAVE

pytestmark = pytest.mark.xdist_group("postgres")


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
