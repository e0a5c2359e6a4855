"""Engines by the name of a block: SQLAlchemy's own, whose new connections have the password of the moment."""

import os
import pickle
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from psycopg import sql
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError, StatementError

from bondstone.blocks import AccessDenied, DatabaseCredentials, InvalidBlock, InvalidSettings, MissingExtra, NotFound
from bondstone.cli.demo.hunt import hunt_bytes
from bondstone.integrations import database
from tests.integrations.conftest import elsewhere, save
from tests.postgres import Server

FIRST, SECOND = "the first: p@ss/w%rd", "the second: p@ss/w%rd"
SECRETS = {"first": FIRST, "second": SECOND}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL with a user `flow`."""
    running = Server()
    try:
        running.start()
        with running.connect("postgres") as administrator:
            administrator.execute("CREATE ROLE flow LOGIN")
        yield running
    finally:
        running.close()


@pytest.fixture(autouse=True)
def closed(home: Path) -> Iterator[None]:
    """Pools end with their test."""
    yield
    for engine in database._engines.values():
        engine.dispose()
    database._engines.clear()


@pytest.fixture
def dwh(server: Server, home: Path) -> Server:
    """Its database as `database-credentials/dwh`."""
    password(server, FIRST)
    publish(server, FIRST)
    return server


def password(server: Server, new: str) -> None:
    with server.connect("postgres") as administrator:
        administrator.execute(sql.SQL("ALTER ROLE flow LOGIN PASSWORD {}").format(sql.Literal(new)))


def publish(server: Server, new: str) -> None:
    place = {"drivername": "postgresql+psycopg", "host": "127.0.0.1", "port": server.port, "database": "postgres"}
    save("database-credentials/dwh", **place, username="flow", password=new)


def asked(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.execute(text("SELECT session_user")).scalar_one())


class TestConnecting:
    """What comes out is SQLAlchemy's engine."""

    def test_a_query(self, dwh: Server) -> None:
        """By the user of the block."""
        assert asked(database.connect("dwh")) == "flow"

    def test_one_engine_per_name(self, dwh: Server) -> None:
        """A task that connects at each call keeps one pool; another process has its own."""
        assert database.connect("dwh") is database.connect("dwh")
        program = "from bondstone.integrations import database\nprint(database.connect('dwh').connect().closed)"
        assert elsewhere(program) == "False"

    def test_sqlite(self, home: Path, tmp_path: Path) -> None:
        """A database without users."""
        save("database-credentials/file", drivername="sqlite", database=str(tmp_path / "x.db"))

        with database.connect("file").begin() as connection:
            connection.execute(text("CREATE TABLE t (a)"))

        assert (tmp_path / "x.db").is_file()
        database.connect("file").dispose()

    def test_a_driver_that_is_not_here(self, home: Path) -> None:
        """What to install is told."""
        save("database-credentials/dwh", drivername="mysql+pymysql", host="127.0.0.1")
        with pytest.raises(MissingExtra, match="pip install 'pymysql'"):
            database.connect("dwh")

        save("database-credentials/dwh", drivername="nodatabase", host="127.0.0.1")
        with pytest.raises(InvalidBlock, match="no dialect nodatabase here"):
            database.connect("dwh")

    def test_no_block_of_that_name(self, dwh: Server) -> None:
        """The nearest one is offered."""
        with pytest.raises(NotFound, match="did you mean 'dwh'"):
            database.connect("dhw")


class TestRotation:
    """A password that is replaced stops nobody who goes by the name."""

    def test_new_connections_have_the_new_password(self, dwh: Server) -> None:
        """The same engine goes on; what was open stays open."""
        engine = database.connect("dwh")
        with engine.connect() as held:
            held.execute(text("SELECT 1"))
            password(dwh, SECOND)
            publish(dwh, SECOND)

            assert asked(engine) == "flow"
            assert held.execute(text("SELECT 1")).scalar_one() == 1

    def test_a_password_that_is_saved_while_the_server_refuses(self, dwh: Server) -> None:
        """The handle shows the old one, as it may for `ttl`: it is read again, once."""
        stale = DatabaseCredentials.load("dwh")
        password(dwh, SECOND)
        publish(dwh, SECOND)
        again: list[int] = []

        def fresh() -> DatabaseCredentials:
            again.append(1)
            return DatabaseCredentials.load("dwh")

        engine = database.engine(lambda: stale, fresh, 60)

        assert asked(engine) == "flow"
        assert again == [1]
        engine.dispose()

    def test_a_connection_that_the_server_ended(self, dwh: Server) -> None:
        """Is not handed out."""
        engine = database.connect("dwh")
        asked(engine)
        with dwh.connect("postgres") as administrator:
            administrator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'flow'")

        assert asked(engine) == "flow"

    def test_connections_are_not_older_than_ttl(self, dwh: Server) -> None:
        """Here 0: each is new."""
        engine = database.connect("dwh", ttl=0)
        pids = set()
        for _ in range(2):
            with engine.connect() as connection:
                pids.add(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())

        assert len(pids) == 2

    def test_a_block_that_becomes_another_database(self, dwh: Server, tmp_path: Path) -> None:
        """An engine speaks one dialect: connecting anew gives the right one."""
        engine = database.connect("dwh")
        save("database-credentials/dwh", drivername="sqlite", database=str(tmp_path / "x.db"))

        with pytest.raises(InvalidSettings, match="is for sqlite now: connect anew"):
            engine.connect()
        with database.connect("dwh").connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
        database.connect("dwh").dispose()


class TestFailing:
    """No error shows the password: not in its text, its attributes, its causes or the locals of a frame of ours."""

    @pytest.mark.parametrize("how", ["password", "NOLOGIN"])
    def test_a_user_that_is_refused(self, how: str, dwh: Server) -> None:
        """The block to renew is named."""
        engine = database.connect("dwh")
        with dwh.connect("postgres") as administrator:
            administrator.execute("ALTER ROLE flow " + ("PASSWORD 'another'" if how == "password" else "NOLOGIN"))

        error = fails(AccessDenied, lambda: engine.connect())

        assert str(error) == (
            "database 'postgres' at 127.0.0.1 refused flow: save a new version of database-credentials/dwh"
        )

    def test_nobody_listens(self, dwh: Server) -> None:
        """SQLAlchemy's own error, which programs know. Psycopg's, which is its cause, would hold the password."""
        fields = {"host": "127.0.0.1", "port": 9, "database": "postgres"}
        save("database-credentials/down", drivername="postgresql+psycopg", username="flow", password=FIRST, **fields)

        error = fails(OperationalError, lambda: database.connect("down").connect())

        assert "Connection refused" in str(error)
        assert getattr(error.__cause__, "pgconn", None) is None

    def test_parameters_are_not_shown(self, dwh: Server) -> None:
        """Of a statement that fails."""
        engine = database.connect("dwh")

        with engine.connect() as connection, pytest.raises(StatementError) as caught:
            connection.execute(text("SELECT nothing FROM nowhere WHERE a = :a"), {"a": "a value"})

        assert "a value" not in str(caught.value)

    def test_an_engine_does_not_show_it(self, dwh: Server) -> None:
        """After use; it does not pickle, and does not show who connects either."""
        engine = database.connect("dwh")
        asked(engine)

        shown = f"{engine!r} {engine.url!r} {engine.url.render_as_string(hide_password=False)} {vars(engine)}"

        assert not hunt_bytes(SECRETS, shown.encode(), "engine")
        with pytest.raises((TypeError, pickle.PicklingError, AttributeError)):
            pickle.dumps(engine)


def fails(kind: type[Exception], call: Callable[[], object]) -> Exception:
    with pytest.raises(kind) as caught:
        call()
    error: BaseException | None = caught.value
    shown = ""
    while error is not None:
        ours = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        shown += f"{error} {vars(error)} {getattr(error, 'pgconn', None)}"
        shown += "".join(str(frame.f_locals) for frame in ours if "integrations/bondstone" in frame.f_code.co_filename)
        error = error.__cause__ or error.__context__
    assert not hunt_bytes(SECRETS, shown.encode(), "error")
    return caught.value


def test_importing_it_needs_no_sqlalchemy() -> None:
    """Its 40 ms are paid by those who connect."""
    program = "import sys, bondstone.integrations.database\nprint('sqlalchemy' in sys.modules)"
    assert elsewhere(program, PATH=os.environ["PATH"], PYTHONPATH=os.pathsep.join(sys.path)) == "False"
