"""The lock of a rotation: the name's line in the journal, held by one process, renewed while it works, fenced when it lost it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bondstone.registry.errors import BondstoneError, Conflict
from bondstone.registry.head import Head
from bondstone.registry.journal import GRACE, RESTING, Step
from bondstone.registry.log import actor
from bondstone.registry.registry import Registry, Then
from bondstone.registry.results import clock
from bondstone.registry.store import JournalLine, Overtaken, overtaken

LOCK_SECONDS = 60
SECOND = 1_000_000  # microseconds
_ATTEMPTS = 20


def live(step: Step, now: int, seconds: float = LOCK_SECONDS) -> bool:
    """Whether somebody holds the lock. None reaches further than its length: such a one is from before the clock was set back."""
    return now < step.until <= now + round(seconds * SECOND)


class Lock:
    """What this rotator wrote last. The thread that renews the lock and the one that works take turns.

    Every write is a compare-and-swap on the line's number: who lost the lock gets `Overtaken` from the first one, and must stop.
    """

    def __init__(self, registry: Registry, kind: str, name: str, seconds: float, at: Callable[[str], None]) -> None:
        self._registry, self._kind, self._name, self._seconds, self._at = registry, kind, name, seconds, at
        self._mutex = threading.RLock()
        self._failed = ""
        self._number, self.step = 0, Step()

    @contextmanager
    def held(self) -> Iterator["Lock"]:
        """Be the one rotator of this name. Raises `Conflict` that says who is, and until when; `NotFound`, with nothing written."""
        self._take()
        done = threading.Event()
        renewal = threading.Thread(target=self._renew, args=(done,), daemon=True, name="bondstone-rotation")
        renewal.start()
        try:
            self._at("locked")
            yield self
        except Exception as error:
            self._failed = error.code if isinstance(error, BondstoneError) else BondstoneError.code
            raise
        finally:
            done.set()
            renewal.join()
            self._release()

    def _take(self) -> None:
        for attempt in range(_ATTEMPTS):
            self._number, step = self._registry.journal.read(self._kind, self._name)
            if not self._number:
                self._registry.head(self._kind, self._name)  # a name that never was has no journal
            self._refuse_live(step)
            self.step = step._replace(token=step.token + 1, holder=actor(), why="")
            try:
                self.renew()
            except Overtaken:  # in this moment: the next look shows by whom
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return

    def _refuse_live(self, step: Step) -> None:
        if live(step, self._registry.shared_now(), max(self._seconds, LOCK_SECONDS)):
            raise Conflict(
                f"{step.holder} is rotating {self._kind}/{self._name} (step '{step.step or 'begun'}') and holds the lock "
                f"until {clock(step.until)}: wait for it"
            )

    def check(self) -> None:
        """Raise `Overtaken` if somebody took over: a process that was stopped for a while must not begin another step."""
        with self._mutex:
            number, step = self._registry.journal.read(self._kind, self._name)
            if number != self._number:
                raise overtaken(self._kind, self._name)
            if step.until <= self._registry.shared_now():
                self.renew()

    def renew(self) -> None:
        """Hold it for as long again."""
        with self._mutex:
            self._put(self.step, "lock", self._seconds)

    def write(self, **changes: Any) -> None:
        """Go to another step, or note something of this one."""
        with self._mutex:
            step = self.step._replace(**changes)
            self._put(step, step.step, self._seconds)
        self._at(step.step)

    def move(self, act: Callable[[Then], object], seen: Head | None = None, **changes: Any) -> None:
        """Move the head, and go to another step in the same transaction.

        With `seen`, only from that head: `Conflict`, and no change, if somebody moved it since. A `version` of None is the pending one.
        """
        written = self.step

        def then(head: Head) -> JournalLine:
            nonlocal written
            if seen is not None and head.generation != seen.generation + 1:
                raise Conflict(f"somebody changed {self._kind}/{self._name} in this moment: run the same again")
            version = {"version": head.pending} if changes.get("version", 0) is None else {}
            written = self._step(self.step._replace(**changes | version), self._seconds)
            return self._line(written)

        with self._mutex:
            act(then)
            self._wrote(written)
        self._at(written.step)

    def _renew(self, done: threading.Event) -> None:
        while not done.wait(self._seconds / 3):
            try:
                self.renew()
            except Conflict:  # the next step finds out
                return
            except BondstoneError:  # the registry may be back in a moment
                continue
            finally:
                self._registry.store.close()

    def _release(self) -> None:
        """Let the next one in. Where somebody took over, there is nothing to release; else the lock ends by itself."""
        try:
            with self._mutex:
                kept = self.step.step in (*RESTING, *GRACE)  # nothing was begun that failed
                self._put(self.step._replace(why=self.step.why if kept else self._failed), "lock", 0)
        except BondstoneError:
            return

    def _put(self, step: Step, news: str, seconds: float) -> None:
        step = self._step(step, seconds)
        self._registry.write_journal(lambda: self._line(step), f"rotate {news}", step.version)
        self._wrote(step)

    def _wrote(self, step: Step) -> None:
        self._number, self.step = self._number + 1, step

    def _step(self, step: Step, seconds: float) -> Step:
        until = self._registry.shared_now() + round(seconds * SECOND) if seconds else 0
        return step._replace(token=self.step.token, holder=self.step.holder, until=until)

    def _line(self, step: Step) -> JournalLine:
        now = self._registry.shared_now()
        return self._registry.journal.line(self._kind, self._name, self._number + 1, step, now)
