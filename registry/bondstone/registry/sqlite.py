"""SQLite: connections, transactions and what its errors mean. Imports SQLAlchemy and Alembic only to create or migrate a file."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bondstone.registry.errors import RegistryUnavailable, UnsupportedFormat
from bondstone.registry.files import publish
from bondstone.registry.texts import SQLITE

SCHEMA = "r0001"  # the newest migration; a test compares
BUSY_SECONDS = 15.0
_MEMO_SIZE = 1024
_MOST_THREADS = 64

Identity = tuple[int, int]
Row = tuple[Any, ...]


class Connection:
    """One thread's connection, and a memo of what was read through it."""

    def __init__(self, path: Path, identity: Identity) -> None:
        self.identity, self.pid = identity, os.getpid()
        self.read_only = False
        self.memo: dict[tuple[str, str], Any] = {}
        self.epoch = object()  # what `state` gave last
        self._raw = self._connect(path)
        self._cursor = self._raw.cursor()  # a new one for each statement costs a microsecond
        self._version = -1

    def _connect(self, path: Path) -> sqlite3.Connection:
        if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
            return _open(path, "mode=rw")
        self.read_only = True
        # Without a writable folder SQLite cannot make the shared memory of its log: a file nobody writes needs none.
        logged = path.with_name(path.name + "-wal").exists()
        return _open(path, "mode=ro" if logged or os.access(path.parent, os.W_OK) else "mode=ro&immutable=1")

    def rows(self, statement: str, parameters: dict[str, Any]) -> list[Row]:
        try:
            return self._cursor.execute(SQLITE[statement], parameters).fetchall()
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
        # A planted text that is no UTF-8 must not hide its neighbours. Decoding this way always would slow every load.
        self._raw.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        return self._cursor.execute(SQLITE[statement], parameters).fetchall()

    def change(self, statement: str, parameters: dict[str, Any]) -> int:
        """How many rows it changed."""
        return self._cursor.execute(SQLITE[statement], parameters).rowcount

    def state(self) -> object:
        """The same object as long as nobody commits. Costs 3 µs."""
        version = self._cursor.execute("PRAGMA data_version").fetchall()[0][0]
        if version != self._version:
            self._version, self.epoch = version, object()
        return self.epoch

    def remember(self, key: tuple[str, str], value: Any) -> None:
        if len(self.memo) >= _MEMO_SIZE:
            self.memo.clear()
        self.memo[key] = value

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and on the disk when it ends (synchronous=FULL)."""
        self._raw.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._raw.execute("COMMIT")
        except BaseException:
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")
            raise
        finally:
            self.epoch = object()  # the counter of a connection does not count its own commits

    def close(self) -> None:
        self._raw.close()

    def __del__(self) -> None:
        # The connection of a thread that has ended. One inherited by fork is left alone: closing it would touch the parent's locks.
        if self.pid == os.getpid() and hasattr(self, "_raw"):
            self._raw.close()


def _open(path: Path, options: str) -> sqlite3.Connection:
    raw = sqlite3.connect(
        f"file:{quote(str(path))}?{options}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        raw.execute("PRAGMA synchronous=FULL")
    except sqlite3.Error:
        raw.close()
        raise
    return raw


class SqliteDatabase:
    """A registry file. Threads and forked children get a connection each; a replaced file gets a new one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"
        # Not `threading.local`: a thread that is not Python's (icechunk's, obstore's) forgets its locals with each call into Python.
        self._connections: dict[int, Connection] = {}
        self._path = str(path)

    def connection(self) -> Connection:
        """This thread's connection to the file that has the name now. Raises `RegistryUnavailable`."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 -- half the cost of Path.stat, on every load
        except OSError as error:
            raise _unavailable(self.path, error.strerror or "") from None
        identity = (status.st_dev, status.st_ino)
        mine = self._connections.get(threading.get_ident())
        if mine is not None and mine.identity == identity and mine.pid == os.getpid():
            return mine
        return self._reconnect(mine, identity)

    def _reconnect(self, old: Connection | None, identity: Identity) -> Connection:
        # A connection inherited by fork is abandoned, not closed: closing it would touch the parent's locks.
        if old is not None and old.pid == os.getpid():
            old.close()
        with self.errors():
            new = Connection(self.path, identity)
        while (
            len(self._connections) >= _MOST_THREADS
        ):  # of threads that ended; one in use is closed when its user is done
            self._connections.pop(next(iter(self._connections)), None)
        self._connections[threading.get_ident()] = new
        return new

    @contextmanager
    def errors(self) -> Iterator[None]:
        """SQLite's errors as ours, without their parameters."""
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise self.error(error) from None

    def error(self, error: sqlite3.Error) -> RegistryUnavailable:
        return _unavailable(self.path, str(error))

    def check_schema(self) -> None:
        """Migrate an older file. Raises `UnsupportedFormat` for a newer one."""
        with self.errors():
            raw = self.connection()._raw
            tables = {row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            found = (
                raw.execute("SELECT version_num FROM alembic_version").fetchone()
                if "alembic_version" in tables
                else None
            )
        if found is None or type(found[0]) is not str or not {"registry", "heads"} <= tables:
            raise RegistryUnavailable(
                f"{self.path} is not a bondstone registry: set BONDSTONE_REGISTRY to one, or to a new path"
            )
        if found[0] > SCHEMA:
            raise UnsupportedFormat(
                f"{self.path} has schema {found[0]}, newer than {SCHEMA}: install a newer bondstone"
            )
        if found[0] < SCHEMA:
            migrate(self.path)

    def create(self, fill: Callable[["SqliteDatabase"], None]) -> bool:
        """Make the file, with what `fill` writes into it, whole or not at all; False if there is one already."""

        def make(draft: Path) -> None:
            migrate(draft)
            database = SqliteDatabase(draft)
            fill(database)
            database.close()

        return publish(self.path, make)

    def close(self) -> None:
        """Close this thread's connection."""
        if (mine := self._connections.pop(threading.get_ident(), None)) is not None:
            mine.close()


_migrating = threading.Lock()  # Alembic has one context for all threads
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_migrating.acquire, after_in_parent=_migrating.release, after_in_child=_migrating.release
    )


def migrate(path: Path) -> None:
    """Bring the file to the newest schema, by Alembic. The write-ahead log is switched on here, once, and stays with the file."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import URL, create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=NullPool, hide_parameters=True)
    try:
        with _migrating, engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            connection.commit()
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except DBAPIError as error:
        fault = _unavailable(path, str(error.orig))
    else:
        return
    finally:
        engine.dispose()
    raise fault


def _unavailable(path: Path, reason: str) -> RegistryUnavailable:
    advice = {
        "locked": "another process writes it; try again",
        "readonly": "it is read-only; copy it, or set BONDSTONE_REGISTRY to a path that you can write",
        "unable to open": "set BONDSTONE_REGISTRY to a file that you can read and write",
        "full": "the disk is full; nothing was saved",
        "not a database": "it is another kind of file; set BONDSTONE_REGISTRY to a registry, or to a new path",
        "malformed": "the file is damaged; restore it from a backup",
    }
    hint = next(
        (text for word, text in advice.items() if word in reason),
        "set BONDSTONE_REGISTRY to a file that you can read and write",
    )
    return RegistryUnavailable(f"registry {path} is unavailable ({reason}): {hint}")
