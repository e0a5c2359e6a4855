"""The audit log's writer for reads: off the hot path, in batches of at most a second, and once more when the process ends.

A kill may lose the last second of *reads*; writes are recorded in their own transaction. What cannot be recorded now is spooled and
tried again (`spool.py`).
"""

import atexit
import getpass
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING

from bondstone.registry.engines import run
from bondstone.registry.errors import BondstoneError
from bondstone.registry.seen import Seen
from bondstone.registry.store import AuditRow, Sign, Store

if TYPE_CHECKING:
    from bondstone.registry.spool import Spool

BATCH_SECONDS = 1.0
TRANSACTION = 2000  # rows: other writers wait for some 20 ms
MOST_WAITING = 200_000  # in memory; no process loads as often in a second
MOST_KEPT = 10_000  # in memory, where there is no folder for a spool
_LONGEST_PAUSE = 60.0
_LONGEST_ACTOR = 255


def actor() -> str:
    """Who this is, for the audit log: ``user@host:pid``, and the run of an engine where this is part of one."""
    return _actor(run())


def _actor(run: str) -> str:
    return f"{_user_and_host()}:{os.getpid()}{run}"[:_LONGEST_ACTOR]


@lru_cache(maxsize=1)
def _user_and_host() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        user = str(os.getuid())
    # What socket.gethostname gives, without its 2 ms of imports. In ASCII: names may hold bytes that are no text.
    return ascii(f"{user}@{os.uname().nodename}")[1:-1][:120]


class ReadLog:
    """Collects rows and appends them to the store's audit log from a thread of its own, which also writes down what was seen."""

    def __init__(
        self, store: Store, sign: Sign, clock: Callable[[], int], seen: Seen, spool: Path | None = None
    ) -> None:
        self._store, self._sign, self._clock, self._seen = store, sign, clock, seen
        self._rows: deque[tuple[int, str, str, str, str, int, str]] = deque(maxlen=MOST_WAITING)
        self._kept: list[AuditRow] = []  # what could be neither recorded nor spooled
        self._path = spool
        self._late = spool is not None  # whether rows may wait for a registry that can be written
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._pid = 0
        self._open = True
        self._warned = False
        _open_logs.add(self)

    def add(self, kind: str, name: str, version: int, outcome: str, action: str = "load") -> None:
        """Note one load, or one refusal. Costs half a microsecond; the row is in the store within a second."""
        if self._pid != os.getpid():
            self._start()
        self._rows.append((self._clock(), run(), action, kind, name, version, outcome))
        if not self._wake.is_set():
            self._wake.set()

    def flush(self) -> None:
        """Append what is collected, now. What cannot be is spooled; if that fails too, standard error is told once, and reading goes on."""
        self._seen.flush()
        if self._pid != os.getpid():  # the parent records its own rows
            return
        with self._lock:  # so that the end of the process waits for a batch that is on its way
            rows = [self._rows.popleft() for _ in range(len(self._rows))]
            if len(rows) == MOST_WAITING:
                self._warn("too many at once")
            waiting = [*self._kept, *(AuditRow(row[0], _actor(row[1]), *row[2:]) for row in rows)]
            self._kept = []
            if waiting or self._late:
                self._write(waiting)

    def _write(self, rows: list[AuditRow]) -> None:
        done = 0
        try:
            self._drain()
            for batch in batched(rows, TRANSACTION):
                self._store.record(batch, self._sign)
                done += len(batch)
        except BondstoneError as error:
            self._keep(rows[done:], error)

    def _drain(self) -> None:
        """Record what waits in the spool."""
        if self._late and self._path is not None and self._path.exists():
            with suppress(OSError, ImportError):
                _spool(self._path).drain(lambda rows: self._store.record(rows, self._sign))
        self._late = False

    def _keep(self, rows: Sequence[AuditRow], error: BondstoneError) -> None:
        """For the next time, or for the next process."""
        self._late, spooled = True, 0
        if rows and self._path is not None:
            with suppress(OSError, ImportError):
                spooled = _spool(self._path).add(rows)
        self._kept = list(rows[spooled:])
        if self._kept:
            self._warn(str(error))
        del self._kept[MOST_KEPT:]

    def _warn(self, reason: str) -> None:
        if not self._warned:
            sys.stderr.write(f"bondstone: reads are not recorded in the audit log: {reason}\n")
        self._warned = True

    def close(self) -> None:
        """Append what is collected, and end the thread."""
        self.flush()
        self._open, self._pid = False, 0
        self._wake.set()

    def _start(self) -> None:
        """One thread per process: threads do not survive a fork, and the parent records its own rows."""
        with _starting:
            if self._pid == os.getpid():
                return
            self._rows, self._lock, self._wake = deque(maxlen=MOST_WAITING), threading.Lock(), threading.Event()
            self._kept, self._open = [], True
            thread = threading.Thread(target=self._run, args=(self._wake,), daemon=True, name="bondstone-audit")
            with suppress(RuntimeError):  # no new threads while the process ends; `flush_all` is still to come
                thread.start()
            self._pid = os.getpid()

    def _run(self, wake: threading.Event) -> None:
        pause: float | None = None
        while True:
            wake.wait(pause)
            if not self._open or self._wake is not wake:
                return
            wake.clear()
            threading.Event().wait(BATCH_SECONDS)
            self.flush()
            pause = min(2 * (pause or BATCH_SECONDS), _LONGEST_PAUSE) if self._late else None


def _spool(path: Path) -> "Spool":
    from bondstone.registry.spool import Spool  # when it is needed, which is seldom

    return Spool(path)


_starting = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_starting.acquire, after_in_parent=_starting.release, after_in_child=_starting.release)
_open_logs: "weakref.WeakSet[ReadLog]" = weakref.WeakSet()


def flush_all() -> None:
    """Append what every log of this process has collected."""
    for log in list(_open_logs):
        log.flush()


atexit.register(flush_all)
