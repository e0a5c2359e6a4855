"""Rotation: how one name's credential is replaced at its source, step by step, so that a kill at any point can be made good.

::

    started ─→ pending ─→ set ─→ verified ─→ current ─→ retiring ─→ disabling ─→ disabled ─→ retired
       └─────────┴─────────┴────────┴─→ undoing ─→ undone     └─→ rolled-back ─→ retiring …

Every arrow is one line of the journal (`journal.py`), written before the step behind it begins. `docs/rotation.md` has the invariant.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from bondstone.registry.errors import Conflict, InvalidSettings, NotFound
from bondstone.registry.head import Head
from bondstone.registry.journal import GRACE, RESTING, RETIRING, UNPROMOTED, Step
from bondstone.registry.lock import LOCK_SECONDS, SECOND, Lock, live
from bondstone.registry.registry import Registry
from bondstone.registry.results import clock
from bondstone.registry.store import Lease

DELETED = "deleted"  # why a rotation ended


class Source(Protocol):
    """The place where a credential comes from, seen from here: versions by their numbers. What each method must do: `blocks/rotator.py`."""

    def same(self, one: int, other: int) -> bool:
        """Whether two versions hold the same credential. Nobody is asked."""
        ...

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
        lock_seconds: float = LOCK_SECONDS,
    ) -> None:
        self._registry, self._source, self._at = registry, source, at
        self._kind, self._name, self._lock_seconds = kind, name, lock_seconds

    def rotate(self, *, grace: int | None = None, compromised: bool = False) -> Step:
        """Replace the credential, or end a rotation that was interrupted; the old one is retired `grace` seconds later, by `finish`.

        Raises `InvalidSettings` for a grace shorter than somebody may hold the old credential (`compromised` skips it and retires at
        once), `Conflict` while another rotator is at work or the last rotation is still in its grace, and what the vendor's side
        raises: then nothing is promoted, and what is pending stays for inspection. What an interrupted one was asked for still counts.
        """
        if not compromised:
            self._refuse_short(grace)
        with self._lock() as lock:
            self._clear(lock, compromised)
            if lock.step.step not in UNPROMOTED:
                self._start(lock, grace, compromised)
            else:
                self._resume(lock, grace, compromised)
            self._advance(lock)
            if lock.step.compromised:
                self._retire(lock, at_once=True)
        return lock.step

    def finish(self, *, at_once: bool = False) -> Step:
        """Retire the credential whose grace is over, or end an undoing; with `at_once`, retire also one whose grace is not over.

        Raises `Conflict` before that, and while somebody holds a lease on it.
        """
        with self._lock() as lock:
            if lock.step.step == "undoing":
                self._undo(lock)
            elif lock.step.step in (*GRACE, *RETIRING):
                self._retire(lock, at_once=at_once)
            else:
                raise Conflict(f"{self._what} has no credential that waits to be retired: {_told(lock.step)}")
        return lock.step

    def rollback(self) -> Step:
        """Take a rotation back: undo one that is not promoted, or make the previous version current again while its credential lives."""
        with self._lock() as lock:
            head = self._settle(lock)
            if lock.step.step in (*UNPROMOTED, "undoing"):
                self._undo(lock)
            elif lock.step.step in ("current", "retiring"):
                self._roll_back(lock, head)
            else:
                raise Conflict(f"{self._what} cannot be rolled back: {_told(lock.step)}")
        return lock.step

    @property
    def _what(self) -> str:
        return f"{self._kind}/{self._name}"

    def _lock(self) -> AbstractContextManager[Lock]:
        return Lock(self._registry, self._kind, self._name, self._lock_seconds, self._at).held()

    def _refuse_short(self, asked: int | None) -> None:
        ttl, lease = self._registry.longest_use(self._kind, self._name)
        if asked is not None and asked < ttl + lease:
            raise InvalidSettings(
                f"a grace of {asked} s is too short: {self._what} may be in use for {ttl + lease} s more ({ttl} s by handles, max_ttl; "
                f"{lease} s by leases); give at least {ttl + lease}, or --compromised to break what uses it"
            )

    # -- the steps -----------------------------------------------------------------------------------------------------------------

    def _clear(self, lock: Lock, compromised: bool) -> None:
        """End what an earlier rotation left, so that a new one may start."""
        if lock.step.step == "undoing":
            self._undo(lock)
        elif lock.step.step in (*GRACE, *RETIRING):
            self._retire(lock, at_once=compromised)

    def _start(self, lock: Lock, grace: int | None, compromised: bool) -> None:
        head = self._registry.head(self._kind, self._name)
        if not head.current:
            raise NotFound(f"{self._what} has only a pending version: promote it first")
        if head.pending:
            raise Conflict(
                f"{self._what} has a pending version that no rotation made: promote it, or save over it first"
            )
        before = tuple(self._source.existing(head.current))
        step = Step("started", started_at=self._registry.shared_now(), base=head.current, before=before)
        lock.write(**step._replace(grace=grace or 0, compromised=compromised)._asdict())

    def _resume(self, lock: Lock, grace: int | None, compromised: bool) -> None:
        """Go on with what was interrupted: what was proved then may not be good any more."""
        step = lock.step
        lock.step = step._replace(
            step="set" if step.step == "verified" else step.step,
            grace=step.grace if grace is None else grace,
            compromised=step.compromised or compromised,
        )
        if step.step == "started":  # killed with a new credential in its hands, or before it had one
            self._look(lock)
            self._discard(lock)

    def _advance(self, lock: Lock) -> None:
        acts = {"started": self._create, "pending": self._install, "set": self._verify, "verified": self._promote}
        while lock.step.step in acts:
            lock.check()
            head = self._look(lock)
            if act := acts.get(lock.step.step):
                act(lock, head)

    def _create(self, lock: Lock, _: Head) -> None:
        self._at("create")
        content = self._source.create(lock.step.base)
        self._at("created")
        lock.move(
            lambda then: self._registry.stage(self._kind, self._name, content, then=then), step="pending", version=None
        )

    def _install(self, lock: Lock, _: Head) -> None:
        self._source.install(lock.step.version, lock.step.base)
        self._at("installed")
        lock.write(step="set")

    def _verify(self, lock: Lock, _: Head) -> None:
        self._source.verify(lock.step.version)
        self._at("proved")
        lock.write(step="verified")

    def _promote(self, lock: Lock, head: Head) -> None:
        lock.move(
            lambda then: self._registry.promote(self._kind, self._name, then=then), head, **self._promoted(lock.step)
        )

    def _promoted(self, step: Step) -> dict[str, Any]:
        least = sum(self._registry.longest_use(self._kind, self._name))
        grace = 0 if step.compromised else max(step.grace, least)
        return {"step": "current", "retires": step.base, "retire_at": self._registry.shared_now() + grace * SECOND}

    def _turned(self, step: Step, current: int) -> dict[str, Any]:
        """The other credential goes now, also after a grace: it was current, and is in use. Nobody called that one compromised."""
        least = sum(self._registry.longest_use(self._kind, self._name))
        return {
            "step": "rolled-back" if step.retires < step.version else "current",
            "retires": step.version,
            "version": current,
            "retire_at": self._registry.shared_now() + least * SECOND,
            "compromised": False,
        }

    def _settle(self, lock: Lock) -> Head:
        """Take note of what was done by hand meanwhile: the pending version promoted, or the one that was to go made current again.

        That may be by a save too, of a new version with the old credential in it.
        """
        step, head = lock.step, self._registry.any_head(self._kind, self._name)
        if step.step in UNPROMOTED and step.version and self._is_out(head, step):
            lock.write(**self._promoted(step))
        elif step.step in (*GRACE, "retiring") and self._uses(head, step.retires, step.version):
            lock.write(**self._turned(step, head.current))
        return head

    def _is_out(self, head: Head, step: Step) -> bool:
        """Whether the new credential was given out: its version promoted by hand, and perhaps saved over since."""
        return step.version in (head.current, head.previous) or self._uses(head, step.version, step.base)

    def _uses(self, head: Head, retired: int, other: int) -> bool:
        """Whether the current version holds the credential of `retired`, and not that of `other`."""
        if head.current in (0, other) or retired <= head.deleted_through:
            return False
        if head.current == retired:
            return True
        return self._source.same(head.current, retired) and not self._source.same(head.current, other)

    def _look(self, lock: Lock) -> Head:
        """The head, as this rotation left it, or promoted by hand. A save in between lets the pending version go, and so the rotation."""
        head = self._settle(lock)
        step = lock.step
        if step.step in UNPROMOTED and (head.current, head.pending) != (step.base, step.version):
            self._undo(lock)
            if lock.step.why == DELETED:
                raise NotFound(
                    f"{self._what} was deleted during its rotation: a credential that was made for it may be left at its source"
                )
            raise Conflict(
                f"somebody saved {self._what} during its rotation, which was undone: rotate again if that is still wanted"
            )
        return head

    def _retire(self, lock: Lock, *, at_once: bool) -> None:
        head = self._settle(lock)
        if lock.step.retires <= head.deleted_through:  # nothing knows the credential any more
            lock.write(step="retired", why=DELETED)
            return
        if lock.step.step in GRACE:
            self._refuse_in_use(lock, at_once=at_once or lock.step.compromised)
            self._begin_retiring(lock, head)
        if self._uses(head, lock.step.retires, lock.step.version):
            raise Conflict(
                f"{self._what}@{head.current} was saved with the credential that is being removed: save another one, then run --finish"
            )
        if lock.step.step == "disabling":
            lock.check()
            self._source.disable(lock.step.retires, head.current)
            self._at("refused")
            lock.write(step="disabled")
        lock.check()
        self._source.retire(lock.step.retires, head.current)
        self._at("removed")
        lock.write(step="retired", why="")

    def _refuse_in_use(self, lock: Lock, *, at_once: bool) -> None:
        """Raise `Conflict` while somebody may use what is to be retired.

        A lease that is taken in the same moment counts: who takes one looks at the journal afterwards, and this looks at the leases
        after it wrote there.
        """
        step = lock.step
        if not at_once:
            self._refuse_early(step)
        if step.step != "retiring":
            lock.write(step="retiring", compromised=at_once)
        if not at_once and (held := self._leases(step)):
            lock.write(step="current" if step.version > step.retires else "rolled-back")
            raise Conflict(
                f"{self._what}@{step.retires} was leased just now: {told_leases(held)}; wait, or give --compromised"
            )

    def _refuse_early(self, step: Step) -> None:
        if self._registry.shared_now() < step.retire_at:
            raise Conflict(
                f"{self._what}@{step.retires} is in its grace until {clock(step.retire_at)}: wait and run --finish, "
                "or give --compromised to retire it now"
            )
        if step.step != "retiring" and (held := self._leases(step)):
            raise Conflict(f"{self._what}@{step.retires} is leased: {told_leases(held)}; wait, or give --compromised")

    def _begin_retiring(self, lock: Lock, head: Head) -> None:
        """From here on nobody can go back to it."""
        if head.previous == lock.step.retires:
            lock.move(
                lambda then: self._registry.retire(self._kind, self._name, then=then), head, step="disabling", why=""
            )
        else:
            lock.write(step="disabling", why="")

    def _leases(self, step: Step) -> list[Lease]:
        return [lease for lease in self._registry.leases.of(self._kind, self._name) if lease.version == step.retires]

    def _roll_back(self, lock: Lock, head: Head) -> None:
        if head.previous != lock.step.retires:
            raise Conflict(
                f"{self._what}@{lock.step.retires} is not the previous version any more: somebody saved since"
            )
        facts = self._turned(lock.step, lock.step.retires)
        lock.move(lambda then: self._registry.rollback(self._kind, self._name, then=then), head, **facts)

    def _undo(self, lock: Lock) -> None:
        head = self._registry.any_head(self._kind, self._name)
        if lock.step.version and head.pending == lock.step.version:  # from here on nobody can promote it
            lock.move(lambda then: self._registry.unstage(self._kind, self._name, then=then), head, step="undoing")
        elif lock.step.step != "undoing":
            lock.write(step="undoing")
        gone = lock.step.base <= head.deleted_through
        if not gone:
            self._discard(lock)
        lock.write(step="undone", why=DELETED if gone else "")

    def _discard(self, lock: Lock) -> None:
        lock.check()
        current = self._registry.head(self._kind, self._name).current
        self._source.discard(lock.step.before, lock.step.version, current)
        self._at("discarded")


def due(registry: Registry) -> list[Due]:
    """The names whose rotation waits for something that can be done now: a grace that is over, or a rotator that was killed."""
    now, found = registry.shared_now(), []
    for kind, name, step in registry.journal.all():
        if step is None or step.step in RESTING or live(step, now):
            continue
        if step.step not in GRACE or step.compromised or step.retire_at <= now:
            found.append(Due(kind, name, step))
    return found


def told_leases(leases: Sequence[Lease]) -> str:
    """Who holds what until when, for a person."""
    return ", ".join(f"{lease.holder} until {clock(lease.until)}" for lease in leases)


def _told(step: Step) -> str:
    at = f" since {clock(step.started_at)}" if step.started_at else ""
    return {
        "": "it was never rotated",
        "retired": f"its last rotation is at its end, and the old credential is gone{at}",
        "undone": "its last rotation was undone",
    }.get(step.step, f"it is at step '{step.step}'{at}")
