"""PostgreSQL: connections, transactions and what its errors mean. Imported only for a postgresql:// registry; needs psycopg 3.

SQLAlchemy and Alembic are imported only to create or migrate.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGconn
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from bondstone.registry.errors import RegistryUnavailable, UnsupportedFormat
from bondstone.registry.listener import CHANNEL, Listener
from bondstone.registry.memo import Memo
from bondstone.registry.postgresql_errors import unavailable
from bondstone.registry.schema import SCHEMA, upgrade
from bondstone.registry.texts import POSTGRESQL

if TYPE_CHECKING:
    from sqlalchemy import Connection as CoreConnection

RIDE_OUT_SECONDS = 10.0  # how long a server that answered before may be away
_FIRST_SECONDS = 3.0  # how long one that never answered is waited for
SILENCE_SECONDS = 10.0  # in the midst of an answer, from a server whose connection stays open
TURN_SECONDS = 20.0  # the same where a writer waits for others: longer than the server's `lock_timeout` below
_SCHEMA_SECONDS = 600.0  # the same where tables are changed
_MOST_THREADS = 64
_LOCK = 0x626F6E6473746F6E  # "bondston": one writer at a time in a database

# One round trip. READ COMMITTED whatever the default is: an older snapshot would not see the end of the audit chain. A writer that is
# cut off must not hold the lock for hours, and an acknowledged save must be on the disk also where the default is not to wait for it.
_BEGIN = (
    b"""
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL lock_timeout = '15s';
SET LOCAL idle_in_transaction_session_timeout = '10s';
SELECT CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END;
SELECT pg_advisory_xact_lock(%d)
"""
    % _LOCK
)
# So that a machine that vanished is given up in seconds, not in hours.
_DEFAULTS = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
    "application_name": "bondstone",
}

_TEXTS = {name: text.encode() for name, text in POSTGRESQL.items()}  # psycopg takes a str for one with user input in it

Row = tuple[Any, ...]


class _OwnConnection(psycopg.Connection[Row]):
    """Closed with the thread that used it. One inherited by fork is left alone: a goodbye would end the parent's."""

    made_by = 0
    patience: float | None = None  # seconds, where it is not `SILENCE_SECONDS`

    def wait[T](self, gen: PQGen[T], *args: Any, **kwargs: Any) -> T:
        """What psycopg waits for the server with. A frozen one acknowledges on the wire, so TCP's own time limits do not end that."""
        patience = SILENCE_SECONDS if self.patience is None else self.patience
        return super().wait(_heard(gen, patience, self.pgconn), *args, **kwargs)

    def __del__(self, *_: object) -> None:
        if self.made_by == os.getpid():
            self.close()


def _heard[T](gen: PQGen[T], seconds: float, pgconn: PGconn) -> PQGen[T]:
    """`gen`, as long as the server says something every so many seconds; else the connection is closed, as one that is lost."""
    until = time.monotonic() + seconds
    try:
        waiting = next(gen)
        while True:
            ready = yield waiting
            if ready:
                until = time.monotonic() + seconds
            elif time.monotonic() > until:
                break
            waiting = gen.send(ready)
    except StopIteration as done:
        result: T = done.value
        return result
    pgconn.finish()
    raise psycopg.OperationalError(f"nothing was heard for {seconds:g} s")


class Connection(Memo):
    """One thread's connection. A read whose connection is gone gets a new one; a transaction does not: its writer decides."""

    def __init__(self, connect: Callable[[], _OwnConnection]) -> None:
        super().__init__()
        self.pid = os.getpid()
        self._connect = connect
        self._writing = False
        self._use(connect())

    def _use(self, raw: _OwnConnection) -> None:
        self._raw = raw
        self._cursor = raw.cursor(binary=True)  # bytes as they are, not as text
        self._control = raw.cursor()  # the simple protocol, which takes several statements at once

    def rows(self, statement: str, parameters: dict[str, Any]) -> list[Row]:
        try:
            return self._cursor.execute(_TEXTS[statement], parameters).fetchall()
        except psycopg.OperationalError:
            if self._writing or not self._raw.closed:
                raise
        return riding_out(RIDE_OUT_SECONDS, lambda: self._asked_again(statement, parameters))

    def _asked_again(self, statement: str, parameters: dict[str, Any]) -> list[Row]:
        if self._raw.closed:
            self._use(self._connect())
        return self._cursor.execute(_TEXTS[statement], parameters).fetchall()

    def change(self, statement: str, parameters: dict[str, Any]) -> int:
        """How many rows it changed."""
        return self._cursor.execute(_TEXTS[statement], parameters).rowcount

    def changes(self, statement: str, rows: Iterable[dict[str, Any]]) -> int:
        self._cursor.executemany(_TEXTS[statement], rows)  # in a few round trips
        return max(0, self._cursor.rowcount)

    def state(self) -> object:
        """A new object each time: whether somebody committed costs as much to ask as the load itself."""
        self.epoch = object()
        return self.epoch

    def tell(self) -> None:
        self._control.execute(b"NOTIFY " + CHANNEL)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and on the server's disk when it ends. Writers take turns."""
        self._writing = True
        try:
            self._raw.patience = TURN_SECONDS
            self._control.execute(_BEGIN)
            self._raw.patience = None
            yield
            self._control.execute("COMMIT")
            if self._control.statusmessage != "COMMIT":  # what a failed transaction answers is ROLLBACK, and no error
                raise psycopg.InternalError("the transaction was rolled back")
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._writing, self._raw.patience = False, None

    def _roll_back(self) -> None:
        with suppress(psycopg.Error):
            if not self._raw.closed and self._raw.info.transaction_status != TransactionStatus.IDLE:
                self._control.execute("ROLLBACK")

    @property
    def closed(self) -> bool:
        return self._raw.closed

    def close(self) -> None:
        self._raw.close()


class PostgresqlDatabase:
    """A registry in a PostgreSQL database. Threads and forked children get a connection each.

    `url` is without the password; `parameters` are libpq's, with it, if it does not come from PGPASSFILE or ~/.pgpass.
    """

    tells_changes = False
    failures: tuple[type[Exception], ...] = (psycopg.Error,)
    duplicates: type[Exception] = psycopg.errors.UniqueViolation

    def __init__(self, url: str, parameters: Mapping[str, str]) -> None:
        self.url = url
        self._connect = _connector(parameters)
        self._connections: dict[int, Connection] = {}  # by thread; see `SqliteDatabase`
        self._answered = False
        self._listener = Listener(self._connect)

    def __repr__(self) -> str:
        return f"PostgresqlDatabase({self.url!r})"

    def connection(self) -> Connection:
        """This thread's connection. Waits for a server that is starting. Raises `RegistryUnavailable`."""
        mine = self._connections.get(threading.get_ident())
        if mine is not None and mine.pid == os.getpid() and not mine.closed:
            return mine
        try:
            new = riding_out(RIDE_OUT_SECONDS if self._answered else _FIRST_SECONDS, lambda: Connection(self._connect))
        except psycopg.Error as error:
            fault = self.error(error)
        else:
            return self._keep(new)
        raise fault

    def _keep(self, new: Connection) -> Connection:
        self._answered = True
        while (
            len(self._connections) >= _MOST_THREADS
        ):  # of threads that ended; one in use is closed when its user is done
            self._connections.pop(next(iter(self._connections)), None)
        self._connections[threading.get_ident()] = new
        return new

    def lost(self, error: Exception) -> bool:
        """Whether the connection is gone, so that nobody told how it ended."""
        mine = self._connections.get(threading.get_ident())
        return isinstance(error, psycopg.OperationalError) and (mine is None or mine.closed)

    def error(self, error: Exception) -> RegistryUnavailable:
        return unavailable(self.url, error)

    def exists(self) -> bool:
        return self._ask(b"SELECT to_regclass('registry') IS NOT NULL") is True

    def check_schema(self) -> None:
        """Migrate an older registry. Raises `UnsupportedFormat` for a newer one."""
        known = b"SELECT to_regclass('alembic_version') IS NOT NULL AND to_regclass('heads') IS NOT NULL"
        found = self._ask(b"SELECT min(version_num) FROM alembic_version") if self._ask(known) else None
        if not isinstance(found, str):
            raise RegistryUnavailable(
                f"the database at {self.url} holds no bondstone registry: run 'bondstone init', or set BONDSTONE_REGISTRY to another"
            )
        if found > SCHEMA:
            raise UnsupportedFormat(f"{self.url} has schema {found}, newer than {SCHEMA}: install a newer bondstone")
        if found < SCHEMA:
            self._define(upgrade)

    def _ask(self, query: bytes) -> Any:
        """The one cell that a query without parameters gives."""
        for last in (False, True):
            connection = self.connection()
            try:
                row = connection._control.execute(query).fetchone()
            except psycopg.Error as error:
                if last or not self.lost(error):
                    raise self.error(error) from None
            else:
                return row[0] if row else None
        raise AssertionError("unreachable")

    def create(self, settings: dict[str, Any], keyring: dict[str, Any]) -> bool:
        """Make the tables with their first two rows in one transaction; False if they are there."""
        if self._ask(b"SELECT to_regclass('alembic_version') IS NOT NULL"):
            self.check_schema()  # a registry; else another program's tables, and the error says so
            return False

        def make(core: "CoreConnection") -> bool:
            if core.exec_driver_sql("SELECT to_regclass('alembic_version') IS NOT NULL").scalar_one():
                return False
            upgrade(core)
            core.exec_driver_sql(POSTGRESQL["add_registry"], settings)
            core.exec_driver_sql(POSTGRESQL["add_keyring"], keyring)
            return True

        return self._define(make)

    def _define[T](self, work: "Callable[[CoreConnection], T]") -> T:
        """Change the schema in one transaction, as the only writer."""
        import alembic.command  # noqa: F401 -- now, not while others wait
        from sqlalchemy import create_engine
        from sqlalchemy.exc import DBAPIError
        from sqlalchemy.pool import NullPool

        engine = create_engine("postgresql+psycopg://", creator=self._connect, poolclass=NullPool, hide_parameters=True)
        try:
            with engine.begin() as core:
                raw = core.connection.dbapi_connection
                assert isinstance(raw, _OwnConnection)  # noqa: S101 -- for the type checker
                raw.patience = _SCHEMA_SECONDS
                raw.execute(_BEGIN)
                return work(core)
        except DBAPIError as error:
            fault = self.error(error.orig if isinstance(error.orig, psycopg.Error) else psycopg.Error(str(error.orig)))
        except psycopg.Error as error:
            fault = self.error(error)
        finally:
            engine.dispose()
        raise fault

    def hint(self) -> object:
        """What others tell by NOTIFY. The first call begins to listen."""
        return self._listener.epoch()

    def now(self) -> int:
        """By the server's clock: those of its clients may differ."""
        return int(self._ask(b"SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"))

    def close(self) -> None:
        """Close this thread's connection."""
        if (mine := self._connections.pop(threading.get_ident(), None)) is not None and mine.pid == os.getpid():
            mine.close()


def _connector(parameters: Mapping[str, str]) -> Callable[[], _OwnConnection]:
    """What connects. The password is in this closure only, not in an attribute that `vars` would show."""

    address = make_conninfo(**{**_DEFAULTS, **parameters})

    def connect() -> _OwnConnection:
        raw = _OwnConnection.connect(address, autocommit=True)
        raw.made_by = os.getpid()
        return raw

    return connect


def riding_out[T](seconds: float, attempt: Callable[[], T]) -> T:
    """Try until a server that is away for a moment is back, at most about `seconds`."""
    retrying = Retrying(
        stop=stop_after_delay(seconds),
        wait=wait_random_exponential(multiplier=0.05, max=0.5),
        retry=retry_if_exception(_passing),
        reraise=True,
    )
    return retrying(attempt)


_GONE = ("08", "25P03", "57P")  # connection exception, idle in transaction for too long, server going down or coming up


def _passing(error: BaseException) -> bool:
    """Whether the server is away and may be back soon. One that asked for a password is there: it will say the same again."""
    if not isinstance(error, psycopg.OperationalError):
        return False
    asked = error.pgconn is not None and (error.pgconn.used_password or error.pgconn.needs_password)
    answered = asked and "FATAL" in str(error) and "terminating" not in str(error)
    return not answered and (error.sqlstate is None or error.sqlstate.startswith(_GONE))
