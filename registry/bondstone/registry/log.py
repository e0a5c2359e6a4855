"""The audit log's writer for reads: off the hot path, in batches of at most a second, and once more when the process ends.

A kill may lose the last second of *reads*; writes are recorded in their own transaction.
"""

import atexit
import getpass
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache

from bondstone.registry.errors import BondstoneError
from bondstone.registry.store import AuditRow, SqlStore

BATCH_SECONDS = 1.0


def actor() -> str:
    """Who this process is, for the audit log: ``user@host:pid``."""
    return f"{_user_and_host()}:{os.getpid()}"


@lru_cache(maxsize=1)
def _user_and_host() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        user = str(os.getuid())
    return f"{user}@{os.uname().nodename}"  # what socket.gethostname gives, without its 2 ms of imports


class ReadLog:
    """Collects rows and appends them to the store's audit log from a thread of its own."""

    def __init__(self, store: SqlStore, clock: Callable[[], int]) -> None:
        self._store, self._clock = store, clock
        self._rows: deque[tuple[int, str, str, str, int, str]] = deque()
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
        self._rows.append((self._clock(), action, kind, name, version, outcome))
        if not self._wake.is_set():
            self._wake.set()

    def flush(self) -> None:
        """Append what is collected, now. A registry that cannot be written is told once, on standard error: reading goes on."""
        if self._pid != os.getpid():  # the parent records its own rows
            return
        with self._lock:  # so that the end of the process waits for a batch that is on its way
            rows = [self._rows.popleft() for _ in range(len(self._rows))]
            if not rows:
                return
            who = actor()
            try:
                self._store.record([AuditRow(row[0], who, *row[1:]) for row in rows])
            except BondstoneError as error:
                if not self._warned:
                    sys.stderr.write(f"bondstone: reads are not recorded in the audit log: {error}\n")
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
            self._rows, self._lock, self._wake, self._open = deque(), threading.Lock(), threading.Event(), True
            thread = threading.Thread(target=self._run, args=(self._wake,), daemon=True, name="bondstone-audit")
            with suppress(RuntimeError):  # no new threads while the process ends; `flush_all` is still to come
                thread.start()
            self._pid = os.getpid()

    def _run(self, wake: threading.Event) -> None:
        while wake.wait() and self._open and self._wake is wake:
            wake.clear()
            threading.Event().wait(BATCH_SECONDS)
            self.flush()


_starting = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_starting.acquire, after_in_parent=_starting.release, after_in_child=_starting.release)
_open_logs: "weakref.WeakSet[ReadLog]" = weakref.WeakSet()


def flush_all() -> None:
    """Append what every log of this process has collected."""
    for log in list(_open_logs):
        log.flush()


atexit.register(flush_all)
