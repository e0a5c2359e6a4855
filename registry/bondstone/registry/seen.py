"""What this user has seen: for each name the highest generation of its head, so that an older one is not taken for new.

It lies in a small SQLite file in the user's *state* folder, apart from the registry: who can set the registry back cannot set this
back. It holds names and numbers, no secret. `docs/decisions/0040-high-water-mark.md` says why it is made like this.
"""

import os
import sqlite3
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bondstone.registry.errors import RolledBack

Key = tuple[str, str]
SETTINGS, ROOT_KEY = (
    ("", "generation of the settings"),
    ("", "newest root key"),
)  # marks of the registry itself: no kind is empty

_MOST_KNOWN = 100_000
_WAIT_SECONDS = 1.0
_DAMAGES = ("no such", "decode")  # an operational error otherwise means that the file cannot be used just now
_ALL = "SELECT kind, name, generation FROM seen"
_ONE = "SELECT generation FROM seen WHERE kind = ? AND name = ?"
_RAISE = """INSERT INTO seen VALUES (?, ?, ?)
    ON CONFLICT (kind, name) DO UPDATE SET generation = max(generation, excluded.generation)"""
_SET = "INSERT OR REPLACE INTO seen VALUES (?, ?, ?)"
_REMOVE = "DELETE FROM seen WHERE kind = ? AND name = ?"
_TABLE = """CREATE TABLE IF NOT EXISTS seen
    (kind TEXT, name TEXT, generation INTEGER NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID"""


class Seen:
    """The marks of one registry: in memory, and in `path` too unless that is None.

    Whoever has the head of a name looks into `known` first, which is the hot path's whole cost; a number that differs goes through
    `highest` and `note`. Other processes' marks arrive with `flush`.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.known: dict[Key, int] = {}
        self._all_known = False  # whether `known` has all that the file has
        self._news: dict[Key, int] = {}  # what is not in the file yet
        self._path, self._warned = path, False
        self._file: _File | None = None
        self._renew()
        _all.add(self)

    def __repr__(self) -> str:
        return f"Seen({str(self._path) if self._path else None!r})"

    def _renew(self) -> None:
        """Also in a forked child: another thread of the parent may have held the locks."""
        self._lock, self._using = threading.Lock(), threading.RLock()
        if self._file is not None:
            _abandoned.append(self._file)  # closing it here would touch the parent's locks
        self._file = None

    def highest(self, kind: str, name: str) -> int:
        """The highest generation seen; 0 for none."""
        known = self.known.get((kind, name))
        if known is None:
            found = 0 if self._all_known else self._reading(lambda file: file.one(kind, name), 0)
            with self._lock:
                known = self.known[kind, name] = max(found, self.known.get((kind, name), 0))
        return known

    def note(self, kind: str, name: str, generation: int) -> None:
        """A head of this generation was proved, or committed."""
        with self._lock:
            if generation > self.known.get((kind, name), 0):
                self.known[kind, name] = self._news[kind, name] = generation

    def know_all(self) -> None:
        """Read all marks at once: a listing asks for each of them."""
        nothing: dict[Key, int] = {}
        found = self._reading(_File.all, nothing)
        with self._lock:
            for key, generation in found.items():
                self.known[key] = max(generation, self.known.get(key, 0))
            self._all_known = bool(found)  # an empty one may be a file that could not be read

    def marks(self) -> Iterator[tuple[str, str, int]]:
        """All of them, by kind, then name."""
        self.flush()
        self.know_all()
        return ((*key, generation) for key, generation in sorted(self.known.items()) if generation)

    def flush(self) -> None:
        """Write what is new, and forget what other processes may know better."""
        if self._path is None:
            return
        with self._using:
            with self._lock:
                news, self._news = self._news, {}
            if not self._using_file(self._path, lambda file: self._exchange(file, news)):
                with self._lock:
                    self._news = {**news, **self._news}

    def _exchange(self, file: "_File", news: dict[Key, int]) -> bool:
        if news:
            file.write(_RAISE, [(*key, generation) for key, generation in news.items()])
        if file.changed() or len(self.known) > _MOST_KNOWN:
            with self._lock:
                self.known, self._all_known = dict(self._news), False
        return True

    def accept(self, kind: str, name: str, generation: int) -> None:
        """Take this generation for the highest; 0 if there is to be none."""
        with self._lock:
            self.known[kind, name] = generation
            self._news.pop((kind, name), None)
        row = (kind, name, generation)
        self._reading(lambda file: file.write(*((_SET, [row]) if generation else (_REMOVE, [row[:2]]))), None)

    def close(self) -> None:
        """Write what is new, and close the file."""
        self.flush()
        with self._using:
            if self._file is not None:
                self._file.close()
            self._file = None

    def _reading[T](self, use: "Callable[[_File], T]", otherwise: T) -> T:
        if self._path is None:
            return otherwise
        with self._using:
            return self._using_file(self._path, use) or otherwise

    def _using_file[T](self, path: Path, use: "Callable[[_File], T]") -> T | None:
        """What `use` gives; None, with one warning, where the file cannot be used. A damaged one is made anew from what is known here."""
        try:
            return use(self._opened(path))
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and not any(word in str(error) for word in _DAMAGES):
                self._failed(str(error))
                return None
        except OSError as error:
            self._failed(error.strerror or "")
            return None
        try:
            return use(self._rebuilt(path))
        except (sqlite3.Error, OSError) as error:
            self._failed(str(error))
            return None

    def _opened(self, path: Path) -> "_File":
        if self._file is not None and self._file.is_at(path):
            return self._file
        removed = self._file is not None
        if self._file is not None:
            self._file.close()
            self._file = None
        self._file = _File(path)
        if removed:
            self._refill(self._file)
        return self._file

    def _rebuilt(self, path: Path) -> "_File":
        """In place of a damaged file, which stays beside it, a new one."""
        self._warn(f"{path} is damaged, and is made anew: what was seen before is known no more")
        if self._file is not None:
            self._file.close()
            self._file = None
        path.replace(path.with_suffix(".damaged"))
        self._file = _File(path)
        self._refill(self._file)
        return self._file

    def _refill(self, file: "_File") -> None:
        with self._lock:
            rows = [(*key, generation) for key, generation in self.known.items() if generation]
        file.write(_RAISE, rows)

    def _failed(self, reason: str) -> None:
        if "locked" not in reason:  # another process is slow: the next flush is soon
            self._warn(f"cannot remember what was seen in this registry, in {self._path} ({reason})")
            if self._file is None:
                self._path = None

    def _warn(self, line: str) -> None:
        if not self._warned:
            sys.stderr.write(f"bondstone: {line}\n")
        self._warned = True


class _File:
    """A connection to the file. Another user can neither read nor write it."""

    def __init__(self, path: Path) -> None:
        self._pid = os.getpid()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o600))
        status = path.stat()
        self._identity = (status.st_dev, status.st_ino)
        # Rollback journal, not WAL: a home on a network file system is used by many hosts, and WAL is for one.
        self._raw = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            # Truncated, not kept: each lookup would read the old journal first, which doubles its cost.
            self._raw.execute("PRAGMA journal_mode=TRUNCATE").close()
            self._raw.execute("PRAGMA synchronous=OFF").close()  # a kill loses nothing; a power failure may lose marks
            if not self._raw.execute("SELECT 1 FROM sqlite_master").fetchall():
                self._raw.execute(_TABLE)
            self._version = self._data_version()
        except sqlite3.Error:
            self._raw.close()
            raise

    def is_at(self, path: Path) -> bool:
        try:
            status = os.stat(path)  # noqa: PTH116 -- Path.stat costs half as much again, on the first load of every name
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def one(self, kind: str, name: str) -> int:
        rows = self._raw.execute(_ONE, (kind, name)).fetchall()
        return _whole(rows[0][0]) if rows else 0

    def all(self) -> dict[Key, int]:
        return {(kind, name): _whole(generation) for kind, name, generation in self._raw.execute(_ALL)}

    def write(self, statement: str, rows: Sequence[tuple[str | int, ...]]) -> None:
        if not rows:
            return
        self._raw.execute("BEGIN IMMEDIATE")
        try:
            self._raw.executemany(statement, rows)
            self._raw.execute("COMMIT")
        except sqlite3.Error:
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")
            raise

    def changed(self) -> bool:
        """Whether another process wrote since the last time."""
        before, self._version = self._version, self._data_version()
        return before != self._version

    def _data_version(self) -> object:
        return self._raw.execute("PRAGMA data_version").fetchall()[0][0]

    def close(self) -> None:
        self._raw.close()

    def __del__(self) -> None:
        if self._pid == os.getpid() and hasattr(self, "_raw"):
            self._raw.close()


def _whole(cell: object) -> int:
    if type(cell) is int:
        return cell
    raise sqlite3.DatabaseError("not a number")


def rolled_back(kind: str, name: str, seen: int, found: int) -> RolledBack:
    """The refusal of a head that is older than one seen before."""
    now = f"is at generation {found}" if found else "is gone"
    return RolledBack(
        f"{kind}/{name} was set back: it {now}, and generation {seen} was seen here; "
        "if the registry was restored from a backup, run 'bondstone doctor --accept-restored'"
    )


def registry_rolled_back(what: str, seen: int, found: int) -> RolledBack:
    """The refusal of settings or root keys that are older than those seen before."""
    return RolledBack(
        f"the {what} of this registry was set back: {found} is there, and {seen} was seen here; "
        "if the registry was restored from a backup, run 'bondstone doctor --accept-restored'"
    )


_all: "weakref.WeakSet[Seen]" = weakref.WeakSet()
_abandoned: list[_File] = []


def _after_fork() -> None:
    for seen in list(_all):
        seen._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
