"""Rotation: how one name's credential is replaced at its source, step by step, so that a kill at any point can be made good.

::

    started ─→ pending ─→ set ─→ verified ─→ current ─→ disabling ─→ disabled ─→ retired
       └─────────┴─────────┴────────┴─→ undoing ─→ undone     └─→ rolled-back ─→ disabling …

Every arrow is one line of the journal (`journal.py`), written before the step behind it begins. `docs/rotation.md` has the invariant.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from bondstone.registry.errors import BondstoneError, Conflict, InvalidSettings, NotFound
from bondstone.registry.head import Head
from bondstone.registry.journal import GRACE, RESTING, RETIRING, UNPROMOTED, Step
from bondstone.registry.log import actor
from bondstone.registry.registry import Registry, Then
from bondstone.registry.results import when
from bondstone.registry.store import JournalLine, Lease

LOCK_SECONDS = 60
SECOND = 1_000_000  # microseconds


class Source(Protocol):
    """The place where a credential comes from, seen from here: versions by their numbers. What each method must do: `blocks/rotator.py`."""

    def existing(self, current: int) -> Sequence[str]: ...

    def create(self, current: int) -> bytes:
        """The document with the new credential."""
        ...

    def install(self, new: int, current: int) -> None: ...

    def verify(self, new: int) -> None: ...

    def disable(self, old: int, current: int) -> None: ...

    def retire(self, old: int, current: int) -> None: ...

    def discard(self, before: Sequence[str], new: int, current: int) -> None: ...


class Due(NamedTuple):
    """What a name's rotation waits for."""

    kind: str
    name: str
    step: Step


def _nothing(point: str) -> None:
    pass


class Rotation:
    """The rotation of one name, by one process.

    `at` is told each point that is passed, before and after every step; a test kills the process there. Times are the store's, which all
    processes share.
    """

    def __init__(
        self,
        registry: Registry,
        kind: str,
        name: str,
        source: Source,
        *,
        at: Callable[[str], None] = _nothing,
        now: Callable[[], int] | None = None,
        lock_seconds: float = LOCK_SECONDS,
    ) -> None:
        self._registry, self._source, self._at = registry, source, at
        self._kind, self._name = kind, name
        self._now = now or registry.shared_now
        self._lock_seconds = lock_seconds

    def rotate(self, *, grace: int | None = None, compromised: bool = False) -> Step:
        """Replace the credential, or end a rotation that was interrupted; the old one is retired `grace` seconds later, by `finish`.

        Raises `InvalidSettings` for a grace shorter than somebody may hold the old credential (`compromised` skips it and retires at
        once), `Conflict` while another rotator is at work or the last rotation is still in its grace, and what the vendor's side
        raises: then nothing is promoted, and what is pending stays for inspection.
        """
        grace = 0 if compromised else self._grace(grace)
        with self._locked() as lock:
            self._clear(lock, compromised)
            if lock.step.step not in UNPROMOTED:
                self._start(lock, grace, compromised)
            else:
                lock.step = lock.step._replace(grace=grace, compromised=compromised)
                if lock.step.step == "started":  # killed with a new credential in its hands, or before it had one
                    self._discard(lock)
            self._advance(lock)
            if compromised:
                self._retire(lock, at_once=True)
        return lock.step

    def finish(self, *, at_once: bool = False) -> Step:
        """Retire the credential whose grace is over; with `at_once`, also one whose is not.

        Raises `Conflict` before that, and while somebody holds a lease on it.
        """
        with self._locked() as lock:
            if lock.step.step not in (*GRACE, *RETIRING):
                raise Conflict(f"{self._what} has no credential that waits to be retired: {_told(lock.step)}")
            self._retire(lock, at_once=at_once)
        return lock.step

    def rollback(self) -> Step:
        """Take a rotation back: undo one that is not promoted, or make the previous version current again while its credential lives."""
        with self._locked() as lock:
            if lock.step.step in (*UNPROMOTED, "undoing"):
                self._undo(lock)
            elif lock.step.step == "current":
                self._roll_back(lock)
            else:
                raise Conflict(f"{self._what} cannot be rolled back: {_told(lock.step)}")
        return lock.step

    @property
    def _what(self) -> str:
        return f"{self._kind}/{self._name}"

    def _grace(self, asked: int | None) -> int:
        ttl, lease = self._registry.longest_use(self._kind, self._name)
        least = ttl + lease
        if asked is not None and asked < least:
            raise InvalidSettings(
                f"a grace of {asked} s is too short: {self._what} may be in use for {least} s more ({ttl} s by handles, max_ttl; "
                f"{lease} s by leases); give at least {least}, or --compromised to break what uses it"
            )
        return least if asked is None else asked

    # -- the steps -----------------------------------------------------------------------------------------------------------------

    def _clear(self, lock: "_Lock", compromised: bool) -> None:
        """End what an earlier rotation left, so that a new one may start."""
        if lock.step.step == "undoing":
            self._undo(lock)
        elif lock.step.step in RETIRING:
            self._retire(lock, at_once=True)
        elif lock.step.step in GRACE:
            self._retire(lock, at_once=compromised)

    def _start(self, lock: "_Lock", grace: int, compromised: bool) -> None:
        head = self._registry.head(self._kind, self._name)
        if not head.current:
            raise NotFound(f"{self._what} has only a pending version: promote it first")
        if head.pending:
            raise Conflict(
                f"{self._what} has a pending version that no rotation made: promote it, or save over it first"
            )
        before = tuple(self._source.existing(head.current))
        now = self._now()
        self._write(
            lock,
            Step("started", started_at=now, base=head.current, before=before, grace=grace, compromised=compromised),
        )

    def _advance(self, lock: "_Lock") -> None:
        acts = {"started": self._create, "pending": self._install, "set": self._verify, "verified": self._promote}
        while act := acts.get(lock.step.step):
            act(lock)

    def _create(self, lock: "_Lock") -> None:
        self._still(lock)
        self._at("create")
        content = self._source.create(lock.step.base)
        self._at("created")
        self._move(lock, "pending", lambda then: self._registry.stage(self._kind, self._name, content, then=then))

    def _install(self, lock: "_Lock") -> None:
        self._still(lock)
        self._source.install(lock.step.version, lock.step.base)
        self._at("installed")
        self._write(lock, lock.step._replace(step="set"))

    def _verify(self, lock: "_Lock") -> None:
        self._still(lock)
        self._source.verify(lock.step.version)
        self._at("proved")
        self._write(lock, lock.step._replace(step="verified"))

    def _promote(self, lock: "_Lock") -> None:
        self._still(lock)
        grace = (
            0
            if lock.step.compromised
            else max(lock.step.grace, sum(self._registry.longest_use(self._kind, self._name)))
        )
        facts = {"retires": lock.step.base, "retire_at": self._now() + grace * SECOND}
        self._move(lock, "current", lambda then: self._registry.promote(self._kind, self._name, then=then), **facts)

    def _still(self, lock: "_Lock") -> None:
        """Whether the name is as this rotation left it. A save in between lets the pending version go, and so the rotation."""
        head = self._registry.head(self._kind, self._name)
        if (head.current, head.pending) != (lock.step.base, lock.step.version):
            self._undo(lock)
            raise Conflict(
                f"somebody saved {self._what} during its rotation, which was undone: rotate again if that is still wanted"
            )

    def _retire(self, lock: "_Lock", *, at_once: bool) -> None:
        step = lock.step
        head = self._registry.head(self._kind, self._name)
        if step.retires <= head.deleted_through:  # nothing knows the credential any more
            self._write(lock, step._replace(step="retired", why="deleted"))
            return
        if head.current == step.retires:
            raise Conflict(
                f"{self._what}@{step.retires} is current again, so it is not retired: rotate again, or save the new one"
            )
        if step.step in GRACE:
            self._refuse_early(step, at_once)
            self._write(lock, step._replace(step="disabling"))
            self._postpone(lock, step, at_once)
        if lock.step.step == "disabling":
            self._source.disable(step.retires, head.current)
            self._at("refused")
            self._write(lock, lock.step._replace(step="disabled"))
        self._source.retire(step.retires, head.current)
        self._at("removed")
        self._end(lock, head)

    def _end(self, lock: "_Lock", head: Head) -> None:
        if head.previous == lock.step.retires:
            self._move(lock, "retired", lambda then: self._registry.retire(self._kind, self._name, then=then))
        else:
            self._write(lock, lock.step._replace(step="retired"))

    def _refuse_early(self, step: Step, at_once: bool) -> None:
        if not at_once and self._now() < step.retire_at:
            raise Conflict(
                f"{self._what}@{step.retires} is in its grace until {_time(step.retire_at)}: wait and run --finish, "
                "or give --compromised to retire it now"
            )
        if held := self._leases(step) if not at_once else []:
            raise Conflict(f"{self._what}@{step.retires} is leased: {told_leases(held)}; wait, or give --compromised")

    def _postpone(self, lock: "_Lock", before: Step, at_once: bool) -> None:
        """A lease that was taken in the same moment counts: who takes one looks at the journal afterwards, and this looks at the leases."""
        if not at_once and (held := self._leases(before)):
            self._write(lock, lock.step._replace(step=before.step))
            raise Conflict(
                f"{self._what}@{before.retires} was leased just now: {told_leases(held)}; wait, or give --compromised"
            )

    def _leases(self, step: Step) -> list[Lease]:
        return [lease for lease in self._registry.leases.of(self._kind, self._name) if lease.version == step.retires]

    def _roll_back(self, lock: "_Lock") -> None:
        step, head = lock.step, self._registry.head(self._kind, self._name)
        if head.previous != step.retires:
            raise Conflict(f"{self._what}@{step.retires} is not the previous version any more: somebody saved since")
        ttl, lease = self._registry.longest_use(self._kind, self._name)
        facts = {"retires": step.version, "retire_at": self._now() + (ttl + lease) * SECOND, "version": step.retires}
        self._move(
            lock, "rolled-back", lambda then: self._registry.rollback(self._kind, self._name, then=then), **facts
        )

    def _undo(self, lock: "_Lock") -> None:
        if lock.step.step != "undoing":
            self._write(lock, lock.step._replace(step="undoing"))
        self._discard(lock)
        head = self._registry.head(self._kind, self._name)
        if lock.step.version and head.pending == lock.step.version:
            self._move(lock, "undone", lambda then: self._registry.unstage(self._kind, self._name, then=then))
        else:
            self._write(lock, lock.step._replace(step="undone"))

    def _discard(self, lock: "_Lock") -> None:
        current = self._registry.head(self._kind, self._name).current
        self._source.discard(lock.step.before, lock.step.version, current)
        self._at("discarded")

    # -- the lock ------------------------------------------------------------------------------------------------------------------

    @contextmanager
    def _locked(self) -> "Iterator[_Lock]":
        """Be the one rotator of this name. Raises `Conflict` that says who is, and until when."""
        number, step = self._registry.journal.read(self._kind, self._name)
        now = self._now()
        if step.until > now:
            raise Conflict(
                f"{step.holder} is rotating {self._what} (step '{step.step}') and holds the lock until {_time(step.until)}"
            )
        lock = _Lock(number, step._replace(token=step.token + 1, holder=actor(), why=""))
        self._write(lock, lock.step)
        done = threading.Event()
        renewal = threading.Thread(target=self._renew, args=(lock, done), daemon=True, name="bondstone-rotation")
        renewal.start()
        try:
            yield lock
        except BondstoneError as error:
            lock.failed = error.code if lock.step.step in UNPROMOTED else ""
            raise
        finally:
            done.set()
            renewal.join()
            self._release(lock)

    def _renew(self, lock: "_Lock", done: threading.Event) -> None:
        while not done.wait(self._lock_seconds / 3):
            try:
                self._write(lock, None)
            except BondstoneError:  # the next step finds out
                return
            finally:
                self._registry.store.close()

    def _release(self, lock: "_Lock") -> None:
        """Let the next one in. Where somebody took over, there is nothing to release; else the lock ends by itself."""
        try:
            self._write(lock, lock.step._replace(why=lock.failed), hold=0)
        except BondstoneError:
            return

    def _write(self, lock: "_Lock", step: Step | None, *, hold: float | None = None) -> None:
        """Replace the journal's line. `Conflict` if another rotator took over: then this one must stop at once."""
        with lock.mutex:
            step = lock.step if step is None else step
            news = step.step if step.step != lock.step.step else "lock"
            step = self._held(lock, step, self._lock_seconds if hold is None else hold)
            self._registry.write_journal(lambda: self._line(lock, step), f"rotate {news}", step.version)
            lock.wrote(step)
        if news != "lock":
            self._at(step.step)

    def _move(self, lock: "_Lock", step: str, act: Callable[[Then], object], **facts: Any) -> None:
        """Move the head, and write the journal's line in the same transaction."""
        written = lock.step

        def then(head: Head) -> JournalLine:
            nonlocal written
            more = {"version": head.pending} if step == "pending" else facts
            written = self._held(lock, lock.step._replace(step=step, **more), self._lock_seconds)
            return self._line(lock, written)

        with lock.mutex:
            act(then)
            lock.wrote(written)
        self._at(step)

    def _held(self, lock: "_Lock", step: Step, seconds: float) -> Step:
        until = self._now() + round(seconds * SECOND) if seconds else 0
        return step._replace(token=lock.step.token, holder=lock.step.holder, until=until)

    def _line(self, lock: "_Lock", step: Step) -> JournalLine:
        return self._registry.journal.line(self._kind, self._name, lock.number + 1, step, self._now())


class _Lock:
    """What this rotator wrote last. The thread that renews the lock and the one that works take turns."""

    def __init__(self, number: int, step: Step) -> None:
        self.number, self.step = number, step
        self.mutex = threading.RLock()
        self.failed = ""

    def wrote(self, step: Step) -> None:
        self.number, self.step = self.number + 1, step


def due(registry: Registry) -> list[Due]:
    """The names whose rotation waits for something that can be done now: a grace that is over, or a rotator that was killed."""
    now, found = registry.shared_now(), []
    for kind, name, step in registry.journal.all():
        if step is None or step.step in RESTING or step.until > now:
            continue
        if step.step not in GRACE or step.retire_at <= now:
            found.append(Due(kind, name, step))
    return found


def told_leases(leases: Sequence[Lease]) -> str:
    """Who holds what until when, for a person."""
    return ", ".join(f"{lease.holder} until {_time(lease.until)}" for lease in leases)


def _told(step: Step) -> str:
    at = f" since {_time(step.started_at)}" if step.started_at else ""
    return {
        "": "it was never rotated",
        "retired": f"its last rotation is at its end, and the old credential is gone{at}",
        "undone": "its last rotation was undone",
    }.get(step.step, f"it is at step '{step.step}'{at}")


def _time(microseconds: int) -> str:
    return f"{when(microseconds):%Y-%m-%d %H:%M:%S} UTC"
