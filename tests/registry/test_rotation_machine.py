"""Whatever rotators, people, kills and refusals do in whatever order: who loads a name, holds it or leased it has a key that is good."""

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bondstone.registry import BondstoneError, Conflict
from bondstone.registry.errors import ServiceUnavailable
from bondstone.registry.journal import UNPROMOTED
from bondstone.registry.rotation import Rotation, due
from bondstone.registry.store import Lease
from tests.registry.vendor import KIND, LOCK, MAX_TTL, NAME, SECOND, InMemory, KeysOf, Killed, settled

EFFORT = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
KILLS = st.none() | st.integers(0, 20)
CALLS = st.sampled_from(
    ["", "", "", "existing", "create", "created", "install", "verify", "disable", "retire", "discard"]
)


class Rotations(RuleBasedStateMachine):
    """Drives one name; remembers until when somebody may use each of its versions."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.used: dict[int, int] = {}
        self.leases: list[Lease] = []

    @initialize()
    def begin(self) -> None:
        self.place = InMemory(Path(self.folder.name))

    def teardown(self) -> None:
        try:
            self.in_the_end()
        finally:
            self.folder.cleanup()

    def act(self, name: str, kill: int | None, refused: str, **options: Any) -> None:
        passed: list[str] = []

        def tell(point: str) -> None:
            self.look()
            passed.append(point)
            if len(passed) - 1 == kill:
                self.place.store.dead = True
                raise Killed

        vendor = self.place.vendor
        vendor.during, vendor.refuses = lambda call: tell(f"vendor: {call}"), {refused: ServiceUnavailable("down")}
        rotation = Rotation(self.place.registry, KIND, NAME, KeysOf(self.place.registry, vendor), at=tell)
        try:
            getattr(rotation, name)(**options)
        except Killed:
            self.place.store.dead = False
        except BondstoneError:
            pass
        vendor.during, vendor.refuses = lambda call: None, {}

    @rule(kill=KILLS, refused=CALLS, grace=st.none() | st.integers(0, 1000))
    def rotate(self, kill: int | None, refused: str, grace: int | None) -> None:
        self.act("rotate", kill, refused, grace=grace)

    @rule(kill=KILLS, refused=CALLS)
    def finish(self, kill: int | None, refused: str) -> None:
        self.act("finish", kill, refused)

    @rule(kill=KILLS, refused=CALLS)
    def rollback(self, kill: int | None, refused: str) -> None:
        self.act("rollback", kill, refused)

    @rule()
    def cron(self) -> None:
        for item in due(self.place.registry):
            self.act("rotate" if item.step.step in UNPROMOTED else "finish", None, "")

    @rule(seconds=st.sampled_from([1, 61, 61, 150, MAX_TTL - 1, MAX_TTL + 1]))
    def wait(self, seconds: int) -> None:
        self.look()
        self.place.pass_seconds(seconds)

    @rule(seconds=st.sampled_from([5, 100, 600]))
    def set_max_ttl(self, seconds: int) -> None:
        self.look()
        self.place.registry.set_max_ttl(seconds)

    @rule(back=st.integers(0, 1), seconds=st.sampled_from([1, 100, 1000]))
    def lease(self, back: int, seconds: int) -> None:
        versions = self.place.versions()
        if version := versions[back]:
            with suppress(BondstoneError):
                self.leases.append(self.place.registry.leases.take(KIND, NAME, version, seconds))

    @rule()
    def save(self) -> None:
        self.place.registry.save(KIND, NAME, self.place.registry.load(KIND, NAME).content, overwrite=True)

    @rule()
    @precondition(lambda self: self.place.versions()[2])
    def promote(self) -> None:
        with suppress(Conflict):  # a rotation's own is not promoted by hand
            self.place.registry.promote(KIND, NAME)

    @rule()
    @precondition(lambda self: self.place.versions()[1])
    def go_back(self) -> None:
        self.place.registry.rollback(KIND, NAME)

    @invariant()
    def look(self) -> None:
        """Everybody who may use a version has a key that is good."""
        now, registry = self.place.store.now(), self.place.registry
        self.used[self.place.versions()[0]] = now + registry.max_ttl * SECOND
        held = [(lease.version, lease.until) for lease in self.leases]
        for version, until in (*self.used.items(), *held):
            assert now >= until or self.place.good(version), (version, self.place.step())

    def in_the_end(self) -> None:
        """Nothing is left over, at the vendor neither."""
        for _ in range(4):
            self.place.store.ahead += LOCK + 2000 * SECOND
            self.cron()
        registry = self.place.registry
        assert self.place.vendor.good() == {registry.load(KIND, NAME).content.decode(): True}
        if self.place.versions()[1:] == (0, 0):
            settled(registry, self.place.vendor)
        assert due(registry) == []


def test_nobody_fails() -> None:
    """At no point of no order."""
    run_state_machine_as_test(Rotations, settings=EFFORT)
