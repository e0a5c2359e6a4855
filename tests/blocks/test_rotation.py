"""Rotating a block: by the vendor's rotator, or by hand."""

import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import Field

from bondstone.blocks import (
    AccessDenied,
    ArraylakeToken,
    Block,
    Conflict,
    GitCredentials,
    InvalidBlock,
    InvalidName,
    InvalidSettings,
    NotFound,
    Secret,
    SecretStr,
    live,
    rotation,
)
from bondstone.blocks.rotator import Guided, Verified, rotator_of
from bondstone.registry import current_registry

SENTINEL = "sentinel-of-rotation-7c1e"


@pytest.fixture(autouse=True)
def short(home: object) -> None:
    """Nobody may use an old value for long."""
    Secret(value="other").save("other")
    current_registry().set_max_ttl(1)


def forget_the_old_max_ttl(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it had been lowered five minutes ago."""
    registry = current_registry()
    real = registry.shared_now
    monkeypatch.setattr(registry, "shared_now", lambda: real() + 301_000_000)


def test_by_hand() -> None:
    """The new value is current at once, for handles too; the old one stays where a rollback finds it; the remedy is told."""
    Secret(value="first").save("a")
    secret = live(Secret, "a", ttl=1)

    done = Secret.rotate("a", value="second")

    assert (done.step, done.version, done.retires, done.reference) == ("current", 2, 1, "secret/a")
    assert done.retire_at is not None
    assert done.retire_at > datetime.now(UTC)
    assert "revoke" in done.remedy
    assert secret.get().get() == "second"
    assert [v.state for v in Secret.history("a")] == ["previous", "current"]


def test_roll_back() -> None:
    """The previous value is current again; that is told, and both are on record."""
    Secret(value="first").save("a")
    Secret.rotate("a", value="second")

    done = Secret.rollback("a")

    assert (done.step, done.version, done.retires) == ("rolled-back", 1, 2)
    assert Secret.load("a").get() == "first"
    actions = [row.action for row in current_registry().audit(kind="secret", name="a")]
    assert {"stage", "promote", "rollback", "rotate started", "rotate verified"} <= set(actions)


def test_roll_back_a_save() -> None:
    """What was saved, not rotated, can be taken back too."""
    Secret(value="first").save("a")
    Secret(value="second").save("a", overwrite=True)

    assert Secret.rollback("a").version == 1
    assert Secret.load("a").get() == "first"
    with pytest.raises(Conflict, match="no previous version"):
        Secret.rollback("a")


def test_a_save_after_a_rotation_is_what_is_rolled_back() -> None:
    """Not the rotation before it."""
    Secret(value="first").save("a")
    Secret.rotate("a", value="second")
    Secret(value="third").save("a", overwrite=True)

    assert Secret.rollback("a").version == 2
    assert Secret.load("a").get() == "second"


def test_a_save_with_the_old_key(vendor: "Vendor", monkeypatch: pytest.MonkeyPatch) -> None:
    """Another field was changed, by somebody who had loaded the block before the rotation: the key in it is not removed."""
    before = Vended.load("v")
    Vended.rotate("v")
    Vended(token=before.token, note="changed").save("v", overwrite=True)
    forget_the_old_max_ttl(monkeypatch)

    with pytest.raises(Conflict, match="@2 is in its grace"):
        rotation.finish("test-rotation-vended/v")
    monkeypatch.setattr(current_registry(), "shared_now", lambda: int(4e15))
    rotation.finish("test-rotation-vended/v")

    assert vendor.keys == ["key-1"]


def test_after_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """`finish` ends it, not before; then nobody can go back, and the next rotation may begin."""
    Secret(value="first").save("a")
    Secret.rotate("a", value="second")
    with pytest.raises(Conflict, match="in its grace until"):
        rotation.finish("secret/a")
    with pytest.raises(Conflict, match="in its grace until"):
        Secret.rotate("a", value="third")
    assert Secret.load("a").get() == "second"

    forget_the_old_max_ttl(monkeypatch)
    done = rotation.finish("secret/a")

    assert (done.step, done.version, done.retire_at) == ("retired", 2, None)
    with pytest.raises(Conflict, match="is gone"):
        Secret.rollback("a")
    assert Secret.rotate("a", value="third").version == 3


def test_what_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, and one that fails does not stop the others."""
    for name in "abc":
        Secret(value="first").save(name)
        Secret.rotate(name, value="second")
    told: dict[str, Any] = {}
    assert rotation.rotate_due(told.__setitem__) == 0
    assert told == {}

    forget_the_old_max_ttl(monkeypatch)
    with live(Secret, "c").lease(3600):
        pass
    Secret.rollback("b")
    assert rotation.rotate_due(told.__setitem__) == 0

    assert {name: done.step for name, done in told.items()} == {"secret/a": "retired", "secret/c": "retired"}


def test_compromised() -> None:
    """The old one goes at once."""
    Secret(value="first").save("a")

    assert Secret.rotate("a", value="second", compromised=True).step == "retired"

    with pytest.raises(Conflict, match="is gone"):
        Secret.rollback("a")


def test_the_grace_is_not_shorter_than_the_use() -> None:
    """Of handles: their `max_ttl`, and the one before it was lowered; and of leases. Both numbers are told."""
    Secret(value="first").save("a")
    with (
        live(Secret, "a").lease(900),
        pytest.raises(InvalidSettings, match=r"300 s by handles.* 900 s by leases.*1200"),
    ):
        Secret.rotate("a", value="second", grace=1199)

    assert Secret.load("a").version == 1
    with live(Secret, "a").lease(900):
        done = Secret.rotate("a", value="second", grace=1250)
    assert done.retire_at is not None
    assert timedelta(seconds=1240) < done.retire_at - datetime.now(UTC) <= timedelta(seconds=1250)


def test_a_retired_version_is_not_leased() -> None:
    """Nor one that is retired before the lease would end; the current one is."""
    Secret(value="first").save("a")
    old = current_registry().head("secret", "a").current
    Secret.rotate("a", value="second")

    with pytest.raises(Conflict, match="is retired at"):
        current_registry().leases.take("secret", "a", old, 3600)
    with live(Secret, "a").lease(3600) as block:
        assert block.get() == "second"


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: Secret.rotate("a"), InvalidSettings, "replaced by hand"),
        (lambda: Secret.rotate("a", value="first"), Conflict, "holds already"),
        (lambda: Secret.rotate("a", valeu=SENTINEL), InvalidBlock, "did you mean 'value'"),
        (lambda: Secret.rotate("missing", value="x"), NotFound, "there is no secret named 'missing'"),
        (lambda: Secret.rotate("A", value="x"), InvalidName, "illegal name"),
        (lambda: rotation.rotate("secret/a@1", value="x"), InvalidName, "of a name"),
        (lambda: rotation.finish("secret/a"), Conflict, "never rotated"),
        (lambda: rotation.rollback("secret/a"), Conflict, "no previous version"),
        (lambda: ArraylakeToken.rotate("t", token=SENTINEL), InvalidBlock, "token"),
        (lambda: rotation.rotate("arraylake-token/t", token=SENTINEL), InvalidBlock, "token"),
        (lambda: rotation.rotate("arraylake-token/t@1", token=SENTINEL), InvalidName, "of a name"),
    ],
)
def test_bad_input(call: Any, error: type[Exception], text: str) -> None:
    """It is told, nothing is changed, and nothing is shown."""
    Secret(value="first").save("a")
    ArraylakeToken(token=SecretStr("ema_first")).save("t")

    with pytest.raises(error, match=text) as caught:
        call()

    ours = [frame.f_locals for frame, _ in traceback.walk_tb(caught.tb) if "tests" not in frame.f_code.co_filename]
    assert SENTINEL not in str(caught.value) + repr(ours)
    assert Secret.load("a").version == 1
    assert ArraylakeToken.load("t").version == 1


def test_what_was_refused_can_be_given_again() -> None:
    """What does not pass the checks begins no rotation."""
    GitCredentials(token=SecretStr("ghp_first")).save("t")
    with pytest.raises(InvalidBlock):
        GitCredentials.rotate("t", token="no token")
    assert rotation.rotations()[0].step == ""

    done = GitCredentials.rotate("t", token="ghp_second")

    assert (done.step, done.version) == ("current", 2)


class Vendor(Guided):
    """Makes keys of its own; refuses what it is told to."""

    def guided(self, block: Any) -> bool:
        return False

    def __init__(self) -> None:
        self.keys, self.refused, self.calls = ["key-1"], False, list[str]()

    def existing(self, block: Block) -> Sequence[str]:
        return list(self.keys)

    def create[B: Block](self, block: B, given: Mapping[str, Any]) -> B:
        self.keys.append(f"key-{len(self.keys) + 1}")
        return block.model_copy(update={"token": self.keys[-1]})

    def verify(self, block: Block) -> Verified:
        if self.refused:
            raise AccessDenied("the vendor refuses it")
        return Verified("the test", "somebody", "It is good.")

    def retire(self, old: Any, block: Block) -> None:
        self.keys.remove(old.token.get_secret_value())

    def discard(self, before: Sequence[str], new: Any, block: Block) -> None:
        self.keys = [key for key in self.keys if key in before]


class Vended(Block):
    """A credential that its vendor makes."""

    kind = "test-rotation-vended"

    token: SecretStr = Field(description="It.", examples=["key-1"])
    note: str = Field(default="", description="What it is for.")


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Vendor:
    """Found as an installed one is."""
    made = Vendor()

    class Entry:
        def load(self) -> Vendor:
            return made

    monkeypatch.setattr("bondstone.blocks.rotator._found", lambda: {Vended.kind: Entry()})
    Vended(token=SecretStr("key-1")).save("v")
    return made


def test_by_the_vendor(vendor: Vendor) -> None:
    """No field is given; what it said of the new key is told; the old one is removed there."""
    done = Vended.rotate("v", compromised=True)

    assert done.verified == Verified("the test", "somebody", "It is good.")
    assert vendor.keys == ["key-2"]
    assert Vended.load("v").token.get_secret_value() == "key-2"
    assert done.remedy == Guided.remedy
    with pytest.raises(Conflict, match="is made for it: leave token out"):
        Vended.rotate("v", token="mine")


def test_a_new_key_that_is_refused(vendor: Vendor) -> None:
    """Current stays what it was, the new one stays pending for a look, and the next try goes on with it; or it is undone."""
    vendor.refused = True
    with pytest.raises(AccessDenied, match="refuses it"):
        Vended.rotate("v")

    assert Vended.load("v").version == 1
    (line,) = [line for line in rotation.rotations() if line.reference == "test-rotation-vended/v"]
    assert (line.step, line.why, line.holder) == ("set", "access_denied", "")
    assert [v.state for v in Vended.history("v")] == ["current", "pending"]
    with pytest.raises(AccessDenied):
        Vended.rotate("v")
    assert vendor.keys == ["key-1", "key-2"]

    assert Vended.rollback("v").step == "undone"
    assert vendor.keys == ["key-1"]
    vendor.refused = False
    assert Vended.rotate("v").version == 3


def test_kinds_without_a_rotator_are_rotated_by_hand() -> None:
    """Every kind has one."""
    assert rotator_of("no-such-kind").guided(None) is True
    assert rotation.verify("secret/other") is None


def test_the_table() -> None:
    """Every block, what it waits for, and who has a lease on it."""
    Secret(value="first").save("a")
    Secret.rotate("a", value="second")
    with live(Secret, "a").lease(60):
        lines = {str(line.reference): line for line in rotation.rotations()}

    assert set(lines) == {"secret/a", "secret/other"}
    assert (lines["secret/a"].step, lines["secret/a"].version) == ("current", 2)
    assert lines["secret/a"].leased_until is not None
    assert lines["secret/a"].retire_at is not None
    assert (lines["secret/other"].step, lines["secret/other"].leased_until) == ("", None)


def test_two_at_once() -> None:
    """The second is told who is at it."""
    Secret(value="first").save("a")
    seen: list[str] = []

    def second(point: str) -> None:
        if point == "create":
            with pytest.raises(Conflict, match=r"is rotating secret/a .* holds the lock until") as caught:
                Secret.rotate("a", value="other")
            seen.append(str(caught.value))

    rotation.rotate("secret/a", at=second, value="second")

    assert len(seen) == 1
    assert Secret.load("a").get() == "second"
