"""SQLite: connections, transactions and what its errors mean. Imports SQLAlchemy and Alembic only to create or migrate a file."""

import os
import re
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bondstone.registry.errors import RegistryUnavailable, UnsupportedFormat
from bondstone.registry.files import publish
from bondstone.registry.memo import Memo
from bondstone.registry.schema import SCHEMA, upgrade
from bondstone.registry.texts import SQLITE

BUSY_SECONDS = 15.0
_MOST_THREADS = 64
_MOUNTS = Path("/proc/self/mounts")
_OCTAL = re.compile(r"\\([0-7]{3})")  # how a space in the name of a folder is written there
_warned: set[str] = set()

Identity = tuple[int, int]
Row = tuple[Any, ...]


class Connection(Memo):
    """One thread's connection, and a memo of what was read through it."""

    def __init__(self, path: Path, identity: Identity) -> None:
        super().__init__()
        self.identity, self.pid = identity, os.getpid()
        self.read_only = False
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

    def changes(self, statement: str, rows: Iterable[dict[str, Any]]) -> int:
        return max(0, self._cursor.executemany(SQLITE[statement], rows).rowcount)  # -1 where there were none

    def state(self) -> object:
        """The same object as long as nobody commits. Costs 3 µs."""
        version = self._cursor.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version:
            self._version, self.epoch = version, object()
        return self.epoch

    def tell(self) -> None:
        pass

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
        raw.execute("PRAGMA secure_delete=ON")  # what is purged, or sealed anew, is overwritten
    except sqlite3.Error:
        raw.close()
        raise
    return raw


class SqliteDatabase:
    """A registry file. Threads and forked children get a connection each; a replaced file gets a new one."""

    tells_changes = True
    failures: tuple[type[Exception], ...] = (sqlite3.Error,)
    duplicates: type[Exception] = sqlite3.IntegrityError

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

    def error(self, error: Exception) -> RegistryUnavailable:
        return _unavailable(self.path, str(error))

    def lost(self, error: Exception) -> bool:
        """Never: no other machine is in between."""
        return False

    def check_schema(self) -> None:
        """Migrate an older file. Raises `UnsupportedFormat` for a newer one."""
        with self.errors():
            connection = self.connection()
            raw = connection._raw
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
        if found[0] < SCHEMA and not connection.read_only:  # what only loads can do without
            migrate(self.path)

    def exists(self) -> bool:
        try:
            self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            fault = _unavailable(self.path, error.strerror or "")
        else:
            return True
        raise fault

    def warn_of_network(self, mounts: Path = _MOUNTS, say: Callable[[str], None] | None = None) -> None:
        """One line, once, if the file lies on a file system that other machines share: their locks cannot be relied on."""
        kind = network_file_system(self.path.resolve(), mounts)
        if kind and self._path not in _warned:
            _warned.add(self._path)
            line = f"bondstone: {self.path} lies on a network file system ({kind}), where SQLite can lose saves: {_INSTEAD}"
            (say or _to_stderr)(line)

    def create(self, settings: dict[str, Any], keyring: dict[str, Any]) -> bool:
        """Make the file with its first two rows, whole or not at all; False if there is one already."""

        def make(draft: Path) -> None:
            migrate(draft)
            database = SqliteDatabase(draft)
            connection = database.connection()
            with database.errors(), connection.transaction():
                connection.change("add_registry", settings)
                connection.change("add_keyring", keyring)
            database.close()

        return publish(self.path, make)

    def hint(self) -> None:
        """None is needed: a connection's `state` tells."""
        return

    def now(self) -> int:
        return time.time_ns() // 1000

    def close(self) -> None:
        """Close this thread's connection."""
        if (mine := self._connections.pop(threading.get_ident(), None)) is not None:
            mine.close()


def migrate(path: Path) -> None:
    """Bring the file to the newest schema, by Alembic. The write-ahead log is switched on here, once, and stays with the file."""
    from sqlalchemy import URL, create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    url, wait = URL.create("sqlite", database=str(path)), {"timeout": BUSY_SECONDS}
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=wait)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            connection.commit()
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # of two processes one migrates, and whole or not at all
            upgrade(connection)
            connection.commit()
    except DBAPIError as error:
        fault = _unavailable(path, str(error.orig))
    else:
        return
    finally:
        engine.dispose()
    raise fault


_NETWORKED = {
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.ceph", "fuse.glusterfs", "fuse.gcsfuse",
    "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "ocfs2", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs", "wekafs",
}  # fmt: skip
_INSTEAD = "set BONDSTONE_REGISTRY to a PostgreSQL database (postgresql+psycopg://user@host/name) or to a local path"


def network_file_system(path: Path, mounts: Path = _MOUNTS) -> str:
    """The type of the file system that `path` lies on, if it is one of a network; else nothing, also where that cannot be told."""
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:  # not Linux
        return ""
    found = Path("/"), ""
    for fields in map(str.split, lines):
        if len(fields) >= 3:
            point = Path(_OCTAL.sub(lambda code: chr(int(code[1], 8)), fields[1]))
            if path.is_relative_to(point) and len(point.parts) >= len(
                found[0].parts
            ):  # the last of several on one point
                found = point, fields[2]
    return found[1] if found[1] in _NETWORKED else ""


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")


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
