"""Rotators are killed at every point of a rotation, by SIGKILL in a process of its own, against the real service; then run again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from bondstone.blocks import ArraylakeToken, Block, Secret, rotation
from bondstone.registry import current_registry
from tests.integrations.arraylake_stand_in import Service
from tests.integrations.killed import Run, rotators
from tests.integrations.paired_roles import Pair
from tests.integrations.test_rotators_aws import vendor as aws
from tests.integrations.test_rotators_gitlab import vendor as gitlab

__all__ = ["aws", "gitlab"]  # fixtures

ROTATE = ["locked", "started", "create", "created", "pending", "installed", "set", "proved", "verified", "current"]
FINISH = ["locked", "retiring", "disabling", "refused", "disabled", "removed", "retired"]
UNDO = ["locked", "undoing", "discarded", "undone"]
BACK = ["locked", "rolled-back"]


class Told:
    """A person at Arraylake, who makes the new token, and revokes the one that is not needed."""

    given = {"token": "ema_second-token"}  # noqa: RUF012

    def __init__(self, service: Service) -> None:
        self.service = service
        self.block = ArraylakeToken(token="ema_first-token", service_uri=service.uri).save("prod")
        service.accept("ema_first-token", "ema_second-token")

    def ids(self) -> set[str]:
        return set(self.service.known()["tokens"])

    def id_of(self, block: ArraylakeToken) -> str:
        return block.token.get_secret_value()

    def usable(self, block: ArraylakeToken) -> bool:
        try:
            urlopen(Request(f"{self.service.uri}/user", headers={"Authorization": f"Bearer {self.id_of(block)}"}))
        except HTTPError:
            return False
        return True

    def heed(self, block: ArraylakeToken) -> None:
        self.service.accept(self.id_of(block))


class Noted:
    """A person with a secret of whatever it is: there is nobody to ask, so the two that are good are noted here."""

    given = {"value": "second"}  # noqa: RUF012

    def __init__(self) -> None:
        self.block, self.good = Secret(value="first").save("prod"), {"first", "second"}

    def ids(self) -> set[str]:
        return self.good

    def id_of(self, block: Secret) -> str:
        return str(block.get())

    def usable(self, block: Secret) -> bool:
        return block.get() in self.good

    def heed(self, block: Secret) -> None:
        self.good = {block.get()}


@pytest.fixture
def postgresql(pair: Pair) -> Pair:
    return pair


@pytest.fixture
def arraylake(arraylake_process: Service, home: Path) -> Told:
    arraylake_process.begin()
    return Told(arraylake_process)


@pytest.fixture
def secret(home: Path) -> Noted:
    return Noted()


@pytest.fixture(scope="session")
def run() -> Iterator[Run]:
    with rotators() as run:
        yield run


class Place:
    """The block and its vendor, and who runs rotators there."""

    def __init__(self, vendor: Any, run: Run) -> None:
        self.vendor, self._run, self.first = vendor, run, vendor.block
        self.name, self.given = vendor.block.reference, getattr(vendor, "given", {})

    def current(self) -> Block:
        """What everybody is given. It is good at any time."""
        block = Block.load(self.name)
        assert self.vendor.usable(block)
        return block

    def kill(self, act: str, points: list[str], at: str) -> None:
        """Kill a rotator there; it had passed all points before."""
        fields = self.given if act == "rotate" else {}
        assert self._run(act, str(self.name), fields, kill_at=at) == points[: points.index(at) + 1]
        self.current()

    def run(self, act: str) -> list[str]:
        return self._run(act, str(self.name), self.given if act == "rotate" else {})

    def step(self) -> str:
        return current_registry().journal.read(self.name.kind, self.name.name)[1].step

    def settled(self, *, changed: bool) -> None:
        """One credential is usable, the block's; there is no other at the vendor, no way back to it, and no fault in the audit log."""
        block = self.current()
        if self.given:
            self.vendor.heed(block)
        head = current_registry().head(self.name.kind, self.name.name)
        assert self.vendor.ids() == {self.vendor.id_of(block)}
        assert self.vendor.usable(block)
        assert (block != self.first) == changed
        assert self.vendor.usable(self.first) != changed
        assert (head.pending, head.previous) == (0, 0)
        assert self.step() in ("retired", "undone", "")
        assert current_registry().verify_audit().faults == []


@pytest.fixture(params=["aws", "gitlab", "postgresql", "arraylake", "secret"])
def place(request: pytest.FixtureRequest, run: Run) -> Place:
    return Place(request.getfixturevalue(request.param), run)


def test_the_points(place: Place) -> None:
    """These are all; the tests below kill at each that there is."""
    assert place.run("rotate") == ROTATE
    assert place.run("rollback") == BACK
    assert place.run("finish") == FINISH
    place.settled(changed=False)


@pytest.mark.parametrize("point", ROTATE)
def test_a_killed_rotation_is_ended_by_the_next(place: Place, point: str) -> None:
    """Wherever it was: one usable credential in the end, which is the block's, and no orphan."""
    place.kill("rotate", ROTATE, point)

    if point != "current":
        rotation.rotate(place.name, **place.given)
    assert place.vendor.usable(place.first)
    assert place.current() != place.first
    rotation.finish(place.name, at_once=True)

    place.settled(changed=True)


@pytest.mark.parametrize("point", ROTATE[:-1])
def test_a_killed_rotation_is_undone(place: Place, point: str) -> None:
    """Or taken back: the credential from before is the only one."""
    place.kill("rotate", ROTATE, point)

    if point != "locked":
        assert rotation.rollback(place.name).step == "undone"

    place.settled(changed=False)


@pytest.mark.parametrize("point", FINISH)
def test_a_killed_retirement_is_ended_by_the_next(place: Place, point: str) -> None:
    """The old credential is gone, the new one is not."""
    rotation.rotate(place.name, **place.given)
    place.kill("finish", FINISH, point)

    if point != "retired":
        rotation.finish(place.name, at_once=True)

    place.settled(changed=True)


@pytest.mark.parametrize("point", UNDO)
def test_a_killed_undoing_is_ended_by_the_next(place: Place, point: str) -> None:
    """A kill while a killed one is made good."""
    place.kill("rotate", ROTATE, "verified")
    place.kill("rollback", UNDO, point)

    if point != "undone":
        assert rotation.rollback(place.name).step == "undone"

    place.settled(changed=False)


@pytest.mark.parametrize("point", BACK)
def test_a_killed_way_back_is_ended_by_the_next(place: Place, point: str) -> None:
    """The credential from before is current again, and in the end the only one."""
    rotation.rotate(place.name, **place.given)
    place.kill("rollback", BACK, point)

    if point != "rolled-back":
        rotation.rollback(place.name)
    assert place.vendor.usable(place.first)
    rotation.finish(place.name, at_once=True)

    place.settled(changed=False)
