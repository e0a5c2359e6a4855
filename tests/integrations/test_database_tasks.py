"""Queries and tables by the name of a block, at a real PostgreSQL and SQLite."""

import os
import pickle
import sqlite3
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event

import pandas as pd
import pytest

from bondstone.blocks import (
    AccessDenied,
    BondstoneError,
    Conflict,
    DatabaseCredentials,
    InvalidName,
    InvalidSettings,
    InvalidStatement,
    NotFound,
    Secret,
    ServiceUnavailable,
)
from bondstone.cli.demo.hunt import hunt_bytes
from bondstone.integrations import database
from bondstone.integrations.database_tasks import DatabaseQuery, DataFrameToTable
from bondstone.integrations.rotators.testing import everything
from tests.integrations.conftest import elsewhere, save
from tests.integrations.paired_roles import FIRST, Pair

VALUE = "a value: senti" + "nel"
FRAME = pd.DataFrame({"day": pd.to_datetime(["2026-11-20", "2026-11-21"]), "cases": [3, 4], "mean": [1.5, None]})
MORE = pd.DataFrame({"cases": [7], "note": ["x"]})
LONG = pd.DataFrame({"cases": range(12_000)})


@pytest.fixture
def postgresql(pair: Pair) -> Pair:
    """`database-credentials/dwh`, whose roles may make tables."""
    pair.ask("GRANT CREATE ON SCHEMA public TO app")
    pair.ask(f"GRANT CREATE ON DATABASE {pair.name} TO app")
    return pair


@pytest.fixture(params=["postgresql", "sqlite"])
def dwh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """`database-credentials/dwh`, an empty database; the name of its dialect."""
    if request.param == "postgresql":
        request.getfixturevalue("postgresql")
        yield request.param
        return
    save("database-credentials/dwh", drivername="sqlite", database=str(tmp_path / "dwh.db"))
    yield request.param
    for engine in database._engines.values():
        engine.dispose()
    database._engines.clear()


def asked(sql: str) -> list[object]:
    """The first column."""
    return DatabaseQuery("dwh")(sql).iloc[:, 0].tolist()


def run(sql: str) -> None:
    """A statement that stays."""
    with database.connect("dwh").begin() as connection:
        connection.exec_driver_sql(sql)


class TestQuery:
    """Rows come out as a DataFrame."""

    def test_columns_and_types(self, dwh: str) -> None:
        """Numbers are numbers; decimals too; what is missing is missing."""
        frame = DatabaseQuery("dwh")("SELECT 1 AS a, 2.5 AS b, NULL AS c, 'x' AS d UNION ALL SELECT 2, 3.5, NULL, 'y'")

        assert frame.columns.tolist() == ["a", "b", "c", "d"]
        assert frame.to_dict("list") == {"a": [1, 2], "b": [2.5, 3.5], "c": [None, None], "d": ["x", "y"]}
        assert (str(frame.a.dtype), str(frame.b.dtype)) == ("int64", "float64")

    def test_no_rows(self, dwh: str) -> None:
        """Still has columns."""
        frame = DatabaseQuery("dwh")("SELECT 1 AS a WHERE 1 = 0")

        assert (frame.columns.tolist(), len(frame)) == (["a"], 0)

    def test_parameters_are_bound(self, dwh: str) -> None:
        """What would change a statement that is put together arrives as it is; so do colons and per cent signs in the text."""
        evil = "x'; DROP TABLE means; -- :a %s"
        DataFrameToTable("dwh")(FRAME, table="means")

        frame = DatabaseQuery("dwh")("SELECT :evil AS a, '12:30 50%' AS b", parameters={"evil": evil})

        assert frame.iloc[0].tolist() == [evil, "12:30 50%"]
        assert asked("SELECT count(*) FROM means") == [2]

    def test_it_does_not_write(self, dwh: str) -> None:
        """A statement without rows is refused; one with rows leaves nothing."""
        run("CREATE TABLE t (a int)")

        with pytest.raises(InvalidStatement, match="DatabaseQuery is for reading"):
            DatabaseQuery("dwh")("INSERT INTO t VALUES (1)")
        DatabaseQuery("dwh")("INSERT INTO t VALUES (1) RETURNING a")

        assert asked("SELECT count(*) FROM t") == [0]

    def test_it_travels_as_a_name(self, dwh: str) -> None:
        """To a process that has the registry."""
        ask = DatabaseQuery("dwh")
        ask("SELECT 1")

        assert not hunt_bytes({"password": FIRST}, pickle.dumps(ask) + repr(ask).encode(), "pickle")
        assert elsewhere("print(it('SELECT 40 + 2 AS n').n[0])", ask) == "42"


class TestTable:
    """A DataFrame lands whole or not at all."""

    def test_a_new_table(self, dwh: str) -> None:
        """With its types; the receipt says where, without who. Names may be odd."""
        write = DataFrameToTable("dwh")

        receipt = write(FRAME, table="Order of 50%")

        there = DatabaseQuery("dwh")('SELECT day, cases, mean FROM "Order of 50%" ORDER BY day')
        assert pd.to_datetime(there.day).tolist() == FRAME.day.tolist()
        assert (there.cases.tolist(), there["mean"].isna().tolist()) == ([3, 4], [False, True])
        assert (receipt.rows, receipt.table) == (2, "Order of 50%")
        assert (receipt.block, receipt.version) == ("database-credentials/dwh", 1)
        assert receipt.uri.startswith(dwh)
        assert receipt.uri.endswith("/Order of 50%")
        assert "app_" not in receipt.uri
        write(MORE, table="Order of 50%", if_exists="replace")
        assert asked('SELECT cases FROM "Order of 50%"') == [7]

    def test_a_table_that_is_there(self, dwh: str) -> None:
        """Is a conflict, unless one says what is meant."""
        write = DataFrameToTable("dwh")
        write(FRAME, table="means")

        with pytest.raises(Conflict, match="there is a table means: pass if_exists"):
            write(MORE, table="means")
        write(FRAME, table="means", if_exists="append")
        assert asked("SELECT cases FROM means ORDER BY cases") == [3, 3, 4, 4]

        assert write(MORE, table="means", if_exists="replace").rows == 1
        assert DatabaseQuery("dwh")("SELECT * FROM means").to_dict("list") == {"cases": [7], "note": ["x"]}

    def test_a_table_that_others_need(self, postgresql: Pair) -> None:
        """Such as a view: it is not replaced, and all is as it was."""
        write = DataFrameToTable("dwh")
        write(FRAME, table="means")
        run("CREATE VIEW v AS SELECT cases FROM means")

        with pytest.raises(InvalidStatement, match="cannot drop table means because other objects depend on it"):
            write(MORE, table="means", if_exists="replace")

        assert asked("SELECT cases FROM v ORDER BY cases") == [3, 4]
        assert tables("postgresql") == ["means"]

    @pytest.mark.parametrize("how", ["append", "replace"])
    def test_the_first_time(self, how: str, dwh: str) -> None:
        """Makes it."""
        DataFrameToTable("dwh")(MORE, table="new", if_exists=how)  # type: ignore[arg-type]

        assert asked("SELECT cases FROM new") == [7]

    def test_no_rows(self, dwh: str) -> None:
        """Are a table too."""
        assert DataFrameToTable("dwh")(FRAME[:0], table="means").rows == 0

        assert asked("SELECT count(*) FROM means") == [0]

    @pytest.mark.parametrize("how", ["append", "replace"])
    def test_a_row_that_is_refused(self, how: str, dwh: str) -> None:
        """Takes the others along: those before it in other batches too, and the tables that were to hold them."""
        write = DataFrameToTable("dwh")
        write(MORE, table="means")
        bad = pd.DataFrame({"cases": [*range(11_000), {"no": "number"}]}, dtype=object)

        with pytest.raises(InvalidStatement, match="database-credentials/dwh cannot do this"):
            write(bad, table="means", if_exists=how)  # type: ignore[arg-type]
        with pytest.raises(InvalidStatement):
            write(bad, table="new")

        assert asked("SELECT cases FROM means") == [7]
        assert tables(dwh) == ["means"]

    def test_a_constraint(self, dwh: str) -> None:
        """Which refuses one row of many: Conflict, with the constraint and without the row."""
        run("CREATE TABLE t (a varchar(40) PRIMARY KEY)")
        rows = pd.DataFrame({"a": [*map(str, range(11_000)), VALUE, VALUE]})

        with pytest.raises(
            Conflict, match=r"nothing was changed \((23505|SQLITE_CONSTRAINT).*: .*(t_pkey|t\.a)"
        ) as told:
            DataFrameToTable("dwh")(rows, table="t", if_exists="append")

        assert asked("SELECT count(*) FROM t") == [0]
        assert not hunt_bytes({"value": VALUE}, everything(told.value).encode(), "error")

    def test_readers_of_a_table_that_is_replaced(self, dwh: str) -> None:
        """See all of the old rows or all of the new ones, at every moment."""
        DataFrameToTable("dwh")(LONG, table="t")
        if dwh == "sqlite":
            run("PRAGMA journal_mode=WAL")
        done, seen = Event(), set[int]()

        def read() -> int:
            reads = 0
            while not done.is_set():
                seen.add(int(DatabaseQuery("dwh")("SELECT count(*) AS n FROM t").n[0]))
                reads += 1
            return reads

        with ThreadPoolExecutor(2) as pool:
            readers = [pool.submit(read) for _ in range(2)]
            try:
                for frame in (LONG[:11_000], LONG, LONG[:11_000]):
                    DataFrameToTable("dwh")(frame, table="t", if_exists="replace")
            finally:
                done.set()

        assert min(reader.result() for reader in readers) > 3
        assert seen <= {12_000, 11_000}
        assert tables(dwh) == ["t"]

    def test_a_schema(self, postgresql: Pair) -> None:
        """Of PostgreSQL; one that is not there is told, and nothing is made."""
        run('CREATE SCHEMA "Raw data"')
        write = DataFrameToTable("dwh")

        write(FRAME, table="means", schema="Raw data")
        receipt = write(MORE, table="means", schema="Raw data", if_exists="replace")

        assert asked('SELECT cases FROM "Raw data".means') == [7]
        assert receipt.table == "Raw data.means"
        with pytest.raises(NotFound, match="no such table or schema"):
            write(FRAME, table="means", schema="nowhere")

    def test_what_is_no_table(self, dwh: str) -> None:
        """Is told before anything is asked."""
        with pytest.raises(InvalidName):
            DataFrameToTable("dwh")(FRAME, table="")
        with pytest.raises(InvalidSettings, match="if_exists"):
            DataFrameToTable("dwh")(FRAME, table="t", if_exists="truncate")  # type: ignore[arg-type]


def tables(dialect: str) -> list[object]:
    catalog = "sqlite_master WHERE type = 'table'" if dialect == "sqlite" else "pg_tables WHERE schemaname = 'public'"
    return asked(f"SELECT {'name' if dialect == 'sqlite' else 'tablename'} FROM {catalog}")


class TestRotation:
    """Of the password, while tasks run."""

    def test_in_the_middle(self, postgresql: Pair) -> None:
        """Each statement is by whoever may, before and after; the table belongs to the owner of both."""
        ask, write, users = DatabaseQuery("dwh", ttl=0), DataFrameToTable("dwh", ttl=0), []
        for number in range(6):
            if number == 3:
                DatabaseCredentials.rotate("dwh")
            users.append(ask("SELECT session_user AS u").u[0])
            write(MORE, table="t", if_exists="append")

        assert users == ["app_a"] * 3 + ["app_b"] * 3
        assert asked("SELECT count(*) FROM t") == [6]

    def test_while_others_ask(self, postgresql: Pair) -> None:
        """Nobody fails, and nobody goes on by the old role when `ttl` is over."""
        stop = Event()

        def loop() -> list[str]:
            users = []
            while not stop.is_set():
                users.append(str(DatabaseQuery("dwh", ttl=0)("SELECT session_user AS u").u[0]))
            return users

        with ThreadPoolExecutor(3) as pool:
            loops = [pool.submit(loop) for _ in range(3)]
            try:
                DatabaseCredentials.rotate("dwh")
            finally:
                stop.set()
            users = [loop.result() for loop in loops]

        assert all(set(mine) <= {"app_a", "app_b"} for mine in users)
        assert asked("SELECT session_user") == ["app_b"]


class TestFailing:
    """One line of ours, without a value."""

    @pytest.mark.parametrize(
        ("sql", "kind", "match"),
        [
            ("SELEC 1", InvalidStatement, "SELEC"),
            ("SELECT * FROM nowhere", NotFound, "nowhere"),
            ("SELECT :missing", InvalidStatement, "A value is required for bind parameter 'missing'"),
            ("SELECT nothing FROM t WHERE a = :value", InvalidStatement, "nothing"),
        ],
    )
    def test_a_statement(self, sql: str, kind: type[BondstoneError], match: str, dwh: str) -> None:
        """What is wrong with it is shown, its parameters are not."""
        run("CREATE TABLE t (a int)")

        with pytest.raises(kind, match=match) as told:
            DatabaseQuery("dwh")(sql, parameters={"value": VALUE})

        assert "database-credentials/dwh" in str(told.value)
        assert "\n" not in str(told.value)
        assert not hunt_bytes({"value": VALUE, "password": FIRST}, everything(told.value).encode(), "error")

    def test_a_value_in_what_the_database_says(self, postgresql: Pair) -> None:
        """PostgreSQL repeats what is no number, in the text of the error: only the code is told."""
        with pytest.raises(InvalidStatement, match=r"cannot do this \(22P02\)") as told:
            DatabaseQuery("dwh")("SELECT CAST(:value AS integer)", parameters={"value": VALUE})
        run("CREATE TABLE t (a text, b int GENERATED ALWAYS AS (a::int) STORED)")
        with pytest.raises(InvalidStatement, match=r"cannot do this \(22P02\)") as also:
            DataFrameToTable("dwh")(pd.DataFrame({"a": [VALUE]}), table="t", if_exists="append")

        shown = everything(told.value) + everything(also.value)
        assert not hunt_bytes({"value": VALUE}, shown.encode(), "errors")

    def test_a_secret_in_what_the_database_says(self, dwh: str) -> None:
        """A token that stands in the SQL itself is masked."""
        save("secret/token", value="sentinel_of_a_token")
        token = Secret.load("token").get()

        with pytest.raises(BondstoneError) as told:
            DatabaseQuery("dwh")(f"SELECT * FROM {token}")

        assert "**********" in str(told.value)
        assert token not in str(told.value)

    def test_a_permission(self, postgresql: Pair) -> None:
        """That the user has not."""
        with pytest.raises(AccessDenied, match=r"does not permit this \(42501"):
            DatabaseQuery("dwh")("SELECT * FROM pg_authid")

    def test_a_connection_that_ends(self, postgresql: Pair) -> None:
        """In the middle of a statement: try again."""
        with ThreadPoolExecutor(1) as pool:
            sleeping = pool.submit(DatabaseQuery("dwh"), "SELECT pg_sleep(20)")
            until = time.monotonic() + 10
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(20)'"
            while not postgresql.ask(ended) and time.monotonic() < until:
                time.sleep(0.02)

            with pytest.raises(ServiceUnavailable, match=r"57P01.*try again"):
                sleeping.result()

        assert asked("SELECT 1") == [1]

    def test_a_file_that_is_locked(self, tmp_path: Path) -> None:
        """Of SQLite, by somebody who writes; nothing is changed."""
        options = {"timeout": "0.1"}
        save("database-credentials/dwh", drivername="sqlite", database=str(tmp_path / "x.db"), query=options)
        with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as other, disposed():
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(ServiceUnavailable, match="SQLITE_BUSY: database is locked"):
                DataFrameToTable("dwh")(FRAME, table="t")

    def test_a_number_that_is_too_large(self, tmp_path: Path) -> None:
        """For SQLite, whose driver raises Python's own error."""
        save("database-credentials/dwh", drivername="sqlite", database=str(tmp_path / "x.db"))

        with disposed(), pytest.raises(InvalidStatement, match="OverflowError"):
            DatabaseQuery("dwh")("SELECT :n", parameters={"n": 2**70})


@contextmanager
def disposed() -> Iterator[None]:
    yield
    for engine in database._engines.values():
        engine.dispose()
    database._engines.clear()


def test_importing_it_needs_neither_pandas_nor_sqlalchemy() -> None:
    """They are paid by those who ask."""
    program = "import sys, bondstone.integrations.database_tasks\nprint({'pandas', 'sqlalchemy'} & {*sys.modules})"
    assert elsewhere(program, PATH=os.environ["PATH"], PYTHONPATH=os.pathsep.join(sys.path)) == "set()"
