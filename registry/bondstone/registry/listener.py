"""A hint from PostgreSQL that somebody moved a head: NOTIFY, heard by one thread with a connection of its own. Needs psycopg 3.

It only shortens what `ttl` allows. A proxy that pools transactions swallows it, and nothing is promised about it.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg

CHANNEL = b"bondstone"
_POLL_SECONDS = 60.0  # a dead connection is noticed then
_LONGEST_PAUSE = 30.0
_START_SECONDS = 0.5


class Listener:
    """Listens once it is asked, in each process that asks."""

    def __init__(self, connect: Callable[[], "psycopg.Connection[Any]"]) -> None:
        self._connect = connect
        self._epoch, self._pid = object(), 0
        self._starting = threading.Lock()

    def epoch(self) -> object:
        """The same object as long as nothing was heard."""
        if self._pid != os.getpid():
            self._start()
        return self._epoch

    def _start(self) -> None:
        if self._pid and self._pid != os.getpid():
            self._starting = threading.Lock()  # forked: the parent's may be held
        with self._starting:
            if self._pid != os.getpid():
                listening = threading.Event()
                thread = threading.Thread(target=self._run, args=(listening,), daemon=True, name="bondstone-listener")
                with suppress(RuntimeError):  # no new threads while the process ends
                    thread.start()
                    listening.wait(_START_SECONDS)  # so that what is read from here on is not missed
                self._pid = os.getpid()

    def _run(self, listening: threading.Event) -> None:
        pause = 1.0
        while True:
            with suppress(psycopg.Error):
                self._listen(listening)
                pause = 1.0
            self._epoch = object()  # what came meanwhile was missed
            threading.Event().wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _listen(self, listening: threading.Event) -> None:
        with self._connect() as raw:
            raw.execute(b"LISTEN " + CHANNEL)
            listening.set()
            while True:
                for _ in raw.notifies(timeout=_POLL_SECONDS, stop_after=1):
                    self._epoch = object()
                raw.execute(b"")
