"""Database tasks: picklable callables that hold the name of a `DatabaseCredentials` block."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Literal

from bondstone.blocks import (
    BondstoneError,
    Conflict,
    DatabaseCredentials,
    InvalidName,
    InvalidSettings,
    InvalidStatement,
    live,
)
from bondstone.blocks.errors import guarded
from bondstone.integrations.database import connect
from bondstone.integrations.database_errors import told
from bondstone.integrations.extras import need
from bondstone.integrations.receipts import TableReceipt

if TYPE_CHECKING:
    from pandas import DataFrame
    from sqlalchemy import Connection, Engine

IfExists = Literal["fail", "append", "replace"]
_TRANSACTIONAL = ("postgresql", "sqlite")  # tables are made and renamed in transactions, and both are tested


@dataclass(frozen=True)
class DatabaseQuery:
    """Ask a database by SQL. What the statement changes is rolled back: it is for reading."""

    database: str  # the name of a DatabaseCredentials block
    ttl: float | None = None

    @guarded
    def __call__(self, sql: str, /, *, parameters: Mapping[str, Any] | None = None) -> "DataFrame":
        """The rows, as a DataFrame. `parameters` are for names such as ``:since`` in `sql`, and are bound, never put into the text.

        Raises `AccessDenied`, `NotFound` (no such table), `InvalidStatement`, `ServiceUnavailable`, `MissingExtra`.
        """
        values = dict(parameters or {})
        return _connected(self, lambda connection: _rows(connection, sql, values), values.values())


@dataclass(frozen=True)
class DataFrameToTable:
    """Write a DataFrame into a table: all of it, or nothing."""

    database: str  # the name of a DatabaseCredentials block
    ttl: float | None = None

    @guarded
    def __call__(
        self, frame: "DataFrame", /, *, table: str, schema: str | None = None, if_exists: IfExists = "fail"
    ) -> TableReceipt:
        """Write the columns of `frame`, not its index, in one transaction; the table is made if there is none.

        With ``replace``, others read the old rows until all the new ones are there; grants, indexes and views of the old table do not
        come along, as with pandas. Raises as `DatabaseQuery`, and `Conflict` if the table is there and must not be, or refuses the rows.
        """
        _check(table, if_exists)
        written = _Write(frame, table, schema, if_exists)
        engine = _connected(self, written)
        block = live(DatabaseCredentials, self.database, ttl=self.ttl).get()
        place = engine.url.set(query={}).render_as_string()
        return TableReceipt(
            f"{place}/{written.shown}", str(block.reference), block.version or 0, written.shown, len(frame)
        )


def _check(table: str, if_exists: str) -> None:
    if not table or "\0" in table:
        raise InvalidName("a table has a name")
    if if_exists not in ("fail", "append", "replace"):
        raise InvalidSettings("if_exists is one of 'fail', 'append', 'replace'")


def _connected[T](
    task: DatabaseQuery | DataFrameToTable, work: "Callable[[Connection], T]", values: Iterable[Any] = ()
) -> T:
    """What `work` gives, by a connection of its own."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with connect(task.database, ttl=task.ttl).connect() as connection:
            return work(connection)
    except BondstoneError:
        raise
    except (SQLAlchemyError, OSError, TypeError, ValueError, OverflowError) as error:  # pandas' is an OSError
        raise told(error, f"database-credentials/{task.database}", values) from None


def _rows(connection: "Connection", sql: str, values: Mapping[str, Any]) -> "DataFrame":
    from sqlalchemy import text

    pandas = need("pandas", "demo")
    result = connection.execute(text(sql), values)
    if not result.returns_rows:
        raise InvalidStatement("the statement gives no rows, and was rolled back: DatabaseQuery is for reading")
    rows, columns = result.fetchall(), list(result.keys())
    return pandas.DataFrame.from_records(rows, columns=columns, coerce_float=True)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Write:
    frame: "DataFrame"
    table: str
    schema: str | None
    if_exists: IfExists

    @property
    def shown(self) -> str:
        return f"{self.schema}.{self.table}" if self.schema else self.table

    def __call__(self, connection: "Connection") -> "Engine":
        from sqlalchemy import inspect

        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # by itself it would begin after the table was made
        there = inspect(connection).has_table(self.table, schema=self.schema)
        if there and self.if_exists == "fail":
            raise Conflict(f"there is a table {self.shown}: pass if_exists='append' or 'replace'")
        if there and self.if_exists == "replace":
            self._replace(connection)
        else:
            self._insert(connection, self.table)
        connection.commit()
        return connection.engine

    def _insert(self, connection: "Connection", table: str) -> None:
        self.frame.to_sql(table, connection, schema=self.schema, if_exists="append", index=False, chunksize=10_000)

    def _replace(self, connection: "Connection") -> None:
        """Beside the old table, which is locked only for the change of names: who reads it meanwhile need not wait."""
        if connection.dialect.name not in _TRANSACTIONAL:
            raise InvalidSettings(
                f"replace would leave readers without a table on {connection.dialect.name}: delete the rows, then append"
            )
        draft = f"bondstone_{token_hex(8)}"
        self._insert(connection, draft)
        quoted = connection.dialect.identifier_preparer.quote
        prefix = f"{quoted(self.schema)}." if self.schema else ""
        connection.exec_driver_sql(f"DROP TABLE {prefix}{quoted(self.table)}")
        connection.exec_driver_sql(f"ALTER TABLE {prefix}{quoted(draft)} RENAME TO {quoted(self.table)}")
