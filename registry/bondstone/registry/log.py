"""The audit log's writer for reads: off the hot path, in batches of at most a second, and once more when the process ends.

A kill may lose the last second of *reads*; writes are recorded in their own transaction.
"""

import atexit
import getpass
import os
import socket
import sys
import threading
import weakref
from collections.abc import Callable
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
    return f"{user}@{socket.gethostname()}"


class ReadLog:
    """Collects rows and appends them to the store's audit log from a thread of its own."""

    def __init__(self, store: SqlStore, clock: Callable[[], int]) -> None:
        self._store, self._clock = store, clock
        self._rows: list[tuple[int, str, str, int, str]] = []
        self._wake = threading.Event()
        self._pid = 0
        self._warned = False
        _open_logs.add(self)

    def add(self, kind: str, name: str, version: int, outcome: str) -> None:
        """Note one load. Costs half a microsecond; the row is in the store within a second."""
        if self._pid != os.getpid():
            self._start()
        self._rows.append((self._clock(), kind, name, version, outcome))
        if not self._wake.is_set():
            self._wake.set()

    def flush(self) -> None:
        """Append what is collected, now. A registry that cannot be written is told once, on standard error: reading goes on."""
        rows, self._rows = self._rows, []
        if not rows or self._pid != os.getpid():
            return
        try:
            self._store.record(
                [
                    AuditRow(at, actor(), "load", kind, name, version, outcome)
                    for at, kind, name, version, outcome in rows
                ]
            )
        except BondstoneError as error:
            if not self._warned:
                sys.stderr.write(f"bondstone: reads are not recorded in the audit log: {error}\n")
            self._warned = True

    def _start(self) -> None:
        """Threads do not survive a fork, and the parent records its own rows."""
        self._pid, self._rows, self._wake = os.getpid(), [], threading.Event()
        threading.Thread(target=_run, args=(weakref.ref(self), self._wake), daemon=True, name="bondstone-audit").start()


def _run(log: "weakref.ref[ReadLog]", wake: threading.Event) -> None:
    while wake.wait() and (_open := log()) is not None:
        del _open
        wake.clear()
        threading.Event().wait(BATCH_SECONDS)
        if (collector := log()) is not None:
            collector.flush()
        del collector


_open_logs: "weakref.WeakSet[ReadLog]" = weakref.WeakSet()


def flush_all() -> None:
    """Append what every log of this process has collected."""
    for log in list(_open_logs):
        log.flush()


atexit.register(flush_all)
