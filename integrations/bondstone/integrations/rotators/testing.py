"""What every rotator promises, driven against the real service. A subclass says who the vendor is, as a fixture. Needs pytest.

class TestMine(RotatorSuite):
    @pytest.fixture
    def vendor(self) -> Vendor: ...
"""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest

from bondstone.blocks import AccessDenied, Block, Conflict, SecretStr

STEPS = ("existing", "create", "install", "verify", "disable", "retire")
UNDOABLE = ("existing", "create", "install", "verify")  # later ones follow the promotion
KILLS = [(step, when) for step in STEPS for when in ("before", "after")]
EARLY_KILLS = [kill for kill in KILLS if kill[0] in UNDOABLE]


class Vendor(Protocol):
    """A running service, as its administrator sees it: not through the rotator."""

    rotator: Any
    block: Block  # whose credential is good, and the only one of its user

    def ids(self) -> set[str]:
        """The credentials that the user has now."""
        ...

    def id_of(self, block: Any) -> str: ...

    def usable(self, block: Any) -> bool:
        """Whether the service lets in who comes with this credential."""
        ...

    def revoke(self, block: Any) -> None: ...

    def lock_out(self) -> None:
        """From now on the service refuses whoever makes and revokes credentials."""


class Killed(BaseException):
    """Stands for the end of the process."""


@dataclass
class Rotation:
    """The order in which an engine calls a rotator. What it has noted here is what outlives a kill."""

    rotator: Any
    old: Block
    before: Sequence[str] | None = None
    creating: bool = False
    new: Block | None = None
    promoted: bool = False
    done: set[str] = field(default_factory=set)

    def run(self, kill: tuple[str, str] | None = None) -> None:
        """As far as it goes; what was under way at a kill is begun again."""
        if self.before is None:
            self.before = self._step("existing", kill, lambda: self.rotator.existing(self.old))
        if self.creating and self.new is None:  # made perhaps, and lost
            self.rotator.discard(self.before, None, self.old)
        self.creating = True
        if self.new is None:
            self.new = self._step("create", kill, lambda: self.rotator.create(self.old, {}))
        new = self.new
        self._once("install", kill, lambda: self.rotator.install(new, self.old))
        self._once("verify", kill, lambda: self.rotator.verify(new))
        self.promoted = True
        self._once("disable", kill, lambda: self.rotator.disable(self.old, new))
        self._once("retire", kill, lambda: self.rotator.retire(self.old, new))

    def undo(self) -> None:
        """Nothing was promoted: the old one stays."""
        assert not self.promoted
        if self.before is not None:
            self.rotator.discard(self.before, self.new, self.old)

    def _once(self, step: str, kill: tuple[str, str] | None, call: Callable[[], Any]) -> None:
        if step not in self.done:
            self._step(step, kill, call)
            self.done.add(step)

    def _step(self, step: str, kill: tuple[str, str] | None, call: Callable[[], Any]) -> Any:
        if kill == (step, "before"):
            raise Killed
        result = call()
        if kill == (step, "after"):
            raise Killed
        return result


class RotatorSuite:
    """Inherit, and say what `vendor` is."""

    @pytest.fixture
    def vendor(self) -> Any:
        """A `Vendor` with one good credential."""
        raise NotImplementedError

    @pytest.fixture
    def rotation(self, vendor: Vendor) -> Rotation:
        return Rotation(vendor.rotator, vendor.block)

    def test_the_new_one_is_made_beside_the_old_one(self, vendor: Vendor) -> None:
        """Both are good; the new one has a value of its own, and differs in nothing but the credential."""
        before = vendor.rotator.existing(vendor.block)

        new = vendor.rotator.create(vendor.block, {})

        assert set(before) == {vendor.id_of(vendor.block)}
        assert vendor.ids() == {vendor.id_of(vendor.block), vendor.id_of(new)}
        assert vendor.usable(new)
        assert vendor.usable(vendor.block)
        assert type(new) is type(vendor.block)
        assert not set(_secrets(new)) & set(_secrets(vendor.block))

    def test_each_call_twice(self, vendor: Vendor, rotation: Rotation) -> None:
        """What is done already is no error, and nothing more comes of it."""
        rotator, old = vendor.rotator, vendor.block
        rotator.existing(old)
        before = rotator.existing(old)
        new = rotator.create(old, {})
        for _ in range(2):
            rotator.install(new, old)
        assert rotator.verify(new) == rotator.verify(new)
        for _ in range(2):
            rotator.disable(old, new)
        for _ in range(2):
            rotator.retire(old, new)
        for _ in range(2):
            rotator.discard(before, new, new)

        assert vendor.ids() == {vendor.id_of(new)}
        assert vendor.usable(new)
        assert not vendor.usable(old)

    @pytest.mark.parametrize("kill", KILLS, ids="-".join)
    def test_killed_and_resumed(self, vendor: Vendor, rotation: Rotation, kill: tuple[str, str]) -> None:
        """One usable credential, the new one; no orphan."""
        with pytest.raises(Killed):
            rotation.run(kill)

        rotation.run()

        assert vendor.ids() == {vendor.id_of(rotation.new)}
        assert vendor.usable(rotation.new)
        assert not vendor.usable(vendor.block)

    @pytest.mark.parametrize("kill", EARLY_KILLS, ids="-".join)
    def test_killed_and_undone(self, vendor: Vendor, rotation: Rotation, kill: tuple[str, str]) -> None:
        """One usable credential, the old one; no orphan, also when the undoing is done twice."""
        with pytest.raises(Killed):
            rotation.run(kill)

        rotation.undo()
        rotation.undo()

        assert vendor.ids() == {vendor.id_of(vendor.block)}
        assert vendor.usable(vendor.block)
        assert rotation.new is None or not vendor.usable(rotation.new)

    def test_undoing_leaves_what_was_there_before(self, vendor: Vendor) -> None:
        """Whatever else the user has is not ours to delete."""
        rotator, new = vendor.rotator, vendor.rotator.create(vendor.block, {})

        rotator.discard(sorted(vendor.ids()), None, vendor.block)

        assert vendor.usable(new)
        assert vendor.usable(vendor.block)

    def test_the_current_one_is_never_revoked(self, vendor: Vendor) -> None:
        """Whoever calls it with the same block twice is told."""
        with pytest.raises(Conflict):
            vendor.rotator.disable(vendor.block, vendor.block)
        with pytest.raises(Conflict):
            vendor.rotator.retire(vendor.block, vendor.block)
        vendor.rotator.discard([], None, vendor.block)

        assert vendor.usable(vendor.block)

    def test_verify_refuses_a_revoked_one(self, vendor: Vendor) -> None:
        """`AccessDenied`; before that it told who it is."""
        assert vendor.rotator.verify(vendor.block).identity

        vendor.revoke(vendor.block)

        self._refused(vendor.block, lambda: vendor.rotator.verify(vendor.block))

    def test_whoever_may_not_makes_nothing(self, vendor: Vendor) -> None:
        """And no error shows a secret, not even in the locals of its frames."""
        vendor.lock_out()

        self._refused(vendor.block, lambda: vendor.rotator.existing(vendor.block))
        self._refused(vendor.block, lambda: vendor.rotator.create(vendor.block, {}))

        assert vendor.ids() <= {vendor.id_of(vendor.block)}

    def _refused(self, block: Block, call: Callable[[], Any]) -> None:
        with pytest.raises(AccessDenied) as caught:
            call()
        shown = everything(caught.value)
        assert not [secret for secret in _secrets(block) if secret in shown]


def everything(error: BaseException | None) -> str:
    """An error as the most talkative of reporters shows it: with what it came from, and the locals of every frame but the tests' own."""
    shown = ""
    while error is not None:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        theirs = [frame for frame in frames if not frame.f_globals["__name__"].startswith(("tests.", __name__))]
        shown += repr(error) + "".join(repr(frame.f_locals) for frame in theirs)
        error = error.__context__
    return shown


def _secrets(block: Block) -> list[str]:
    return [value.get_secret_value() for _, value in block if isinstance(value, SecretStr)]
