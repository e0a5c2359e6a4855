"""Rotations that are taken back, and people who act meanwhile."""

from pathlib import Path
from typing import Any

import pytest

from bondstone.registry import Conflict, NotFound, Registry, ServiceUnavailable
from bondstone.registry.registry import Then
from bondstone.registry.rotation import Rotation, due
from tests.registry.vendor import (
    KEY,
    KIND,
    MAX_TTL,
    NAME,
    SECOND,
    InMemory,
    KeysOf,
    meanwhile,
    refused,
    settled,
    usable,
)


@pytest.fixture
def place(tmp_path: Path) -> InMemory:
    return InMemory(tmp_path)


# --- going back ---


def test_undoing(place: InMemory) -> None:
    """What is not promoted is taken back: at the vendor, and here."""
    refused(place)
    assert place.rotation().rollback().step == "undone"

    settled(place.registry, place.vendor, current=1)
    with pytest.raises(Conflict, match="cannot be rolled back: its last rotation was undone"):
        place.rotation().rollback()


def test_undoing_touches_only_what_was_not_there_before(place: InMemory) -> None:
    """Neither a key that was listed before the first step, nor the one in use."""
    given: list[tuple[Any, ...]] = []

    class Seen(KeysOf):
        def discard(self, before: Any, new: int, current: int) -> None:
            given.append((tuple(before), new, current))
            super().discard(before, new, current)

    before = tuple(place.vendor.good())
    refused(place)
    Rotation(place.registry, KIND, NAME, Seen(place.registry, place.vendor)).rollback()

    assert given == [(before, 2, 1)]
    assert set(before) == set(place.vendor.good())


def test_the_new_key_saved_by_hand_is_promoted_by_hand(place: InMemory) -> None:
    """Somebody took the key out of the pending version: it is in use, and the old one goes after a grace."""
    refused(place)
    save = place.registry.save
    meanwhile(place, "verify", lambda: save(KIND, NAME, place.registry.load(KIND, NAME, 2).content, overwrite=True))

    step = place.rotation().rotate()

    assert (step.step, step.retires) == ("current", 1)
    place.pass_seconds(MAX_TTL + 1)
    place.rotation().finish()
    settled(place.registry, place.vendor, current=3)
    assert usable(place.registry, place.vendor)


def test_rolling_back_in_the_grace(place: InMemory) -> None:
    """The previous key is current again; the new one lives as long as it may be in use, then it is retired."""
    place.rotation().rotate()
    place.pass_seconds(10)
    place.registry.leases.take(KIND, NAME, 2, 1000)

    step = place.rotation().rollback()

    assert (step.step, step.retires, place.versions()) == ("rolled-back", 2, (1, 0, 0))
    assert round((step.retire_at - place.store.now()) / SECOND) == MAX_TTL + 1000
    with pytest.raises(Conflict, match="in its grace"):
        place.rotation().finish()
    with pytest.raises(Conflict, match="cannot be rolled back"):
        place.rotation().rollback()
    place.pass_seconds(MAX_TTL + 1001)
    place.rotation().finish()
    settled(place.registry, place.vendor, current=1)


def test_rolling_back_after_the_retirement(place: InMemory) -> None:
    """Refused: the old key is gone."""
    place.rotation().rotate(compromised=True)

    with pytest.raises(Conflict, match=r"cannot be rolled back.* the old credential is gone"):
        place.rotation().rollback()
    with pytest.raises(Conflict, match="no previous version"):
        place.registry.rollback(KIND, NAME)
    settled(place.registry, place.vendor, current=2)


def test_rolling_back_what_was_saved_over(place: InMemory) -> None:
    """The version before is another one by now."""
    place.rotation().rotate()
    place.registry.save(KIND, NAME, place.registry.load(KIND, NAME).content, overwrite=True)

    with pytest.raises(Conflict, match="somebody saved since"):
        place.rotation().rollback()

    place.pass_seconds(MAX_TTL + 1)
    place.rotation().finish()
    assert place.versions() == (3, 2, 0)  # whose key is the same
    assert len(place.vendor.good()) == 1


def test_a_rotation_that_was_never_begun(place: InMemory) -> None:
    """There is nothing to finish, nor to take back."""
    with pytest.raises(Conflict, match="never rotated"):
        place.rotation().finish()
    with pytest.raises(Conflict, match="never rotated"):
        place.rotation().rollback()


# --- people who act meanwhile ---


@pytest.mark.parametrize("call", ["created", "installed", "verify"])
def test_a_save_in_between_undoes_the_rotation(place: InMemory, call: str) -> None:
    """What was saved is current, the new key is gone at the vendor, and nothing is pending."""
    meanwhile(
        place, call, lambda: place.registry.save(KIND, NAME, place.registry.load(KIND, NAME).content, overwrite=True)
    )

    with pytest.raises(Conflict, match=r"somebody saved .* during its rotation, which was undone"):
        place.rotation().rotate()

    assert len(place.vendor.good()) == 1
    assert usable(place.registry, place.vendor)
    assert place.registry.head(KIND, NAME).pending == 0
    assert place.step().step == "undone"


def test_a_rotations_version_is_not_promoted_by_hand(place: InMemory) -> None:
    """It is not proved, and may be undone in this moment."""
    refused(place)

    with pytest.raises(Conflict, match="is a rotation's: 'bondstone rotate' goes on with that"):
        place.registry.promote(KIND, NAME)

    assert place.rotation().rollback().step == "undone"
    with pytest.raises(Conflict, match="no pending version"):
        place.registry.promote(KIND, NAME)
    place.registry.stage(KIND, NAME, place.registry.load(KIND, NAME).content)
    place.registry.promote(KIND, NAME)  # one's own is


def test_what_is_undone_cannot_be_promoted_meanwhile(place: InMemory) -> None:
    """It is let go before the vendor is asked to remove it."""
    refused(place)
    tried: list[str] = []

    def promote() -> None:
        with pytest.raises(Conflict, match="no pending version"):
            place.registry.promote(KIND, NAME)
        tried.append("promote")

    meanwhile(place, "discard", promote)
    place.rotation().rollback()

    assert tried == ["promote"]
    settled(place.registry, place.vendor, current=1)


def test_the_new_key_saved_by_hand_is_rolled_back(place: InMemory) -> None:
    """As one of ours: it is in use, and is not thrown away at once."""
    refused(place)
    place.registry.save(KIND, NAME, place.registry.load(KIND, NAME, 2).content, overwrite=True)

    assert place.rotation().rollback().step == "rolled-back"

    assert place.versions() == (1, 0, 0)
    assert place.good(2)


def test_rolling_back_a_compromised_one(place: InMemory) -> None:
    """That was stopped before it retired anything: nobody called the new key compromised, so that one has its grace."""

    def stop(point: str) -> None:
        if point == "current":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place.rotation(at=stop).rotate(compromised=True)
    place.rotation().rollback()

    with pytest.raises(Conflict, match=r"@2 is in its grace until"):
        place.rotation().finish()


@pytest.mark.parametrize("how", ["finish", "rotate"])
def test_rolled_back_by_hand_in_the_grace(place: InMemory, how: str) -> None:
    """The key that is current again is never retired; the other one is, after a grace of its own."""
    place.rotation().rotate()
    place.pass_seconds(MAX_TTL + 1)
    place.registry.rollback(KIND, NAME)

    with pytest.raises(Conflict, match=r"@2 is in its grace until"):
        getattr(place.rotation(), how)()
    assert place.good(1)
    assert place.good(2)
    place.pass_seconds(MAX_TTL + 1)
    place.rotation().finish()

    settled(place.registry, place.vendor, current=1)


@pytest.mark.parametrize("how", ["finish", "rotate"])
@pytest.mark.parametrize("rolled_back", [False, True])
def test_saved_with_the_old_key_in_the_grace(place: InMemory, how: str, rolled_back: bool) -> None:
    """A new version that holds the key which was to go keeps it; the other one goes, after a grace of its own."""
    place.rotation().rotate()
    old = place.registry.load(KIND, NAME, 1).content
    if rolled_back:  # then it is the new one that was to go, and is saved again
        place.rotation().rollback()
        old = place.registry.load(KIND, NAME, 2).content
    place.pass_seconds(MAX_TTL + 1)
    place.registry.save(KIND, NAME, old, overwrite=True)

    with pytest.raises(Conflict, match="is in its grace until"):
        getattr(place.rotation(), how)()
    assert place.good(3)
    place.pass_seconds(MAX_TTL + 1)
    place.rotation().finish()

    settled(place.registry, place.vendor, current=3)


def test_saved_with_the_old_key_when_it_is_being_removed(place: InMemory) -> None:
    """Too late to keep it, since the vendor may have been told; it is told, and ends when another one is saved."""
    place.rotation().rotate()
    old = place.registry.load(KIND, NAME, 1).content
    new = place.registry.load(KIND, NAME, 2).content
    place.pass_seconds(MAX_TTL + 1)
    place.vendor.refuses = {"disable": ServiceUnavailable("down")}
    with pytest.raises(ServiceUnavailable):
        place.rotation().finish()
    place.vendor.refuses = {}
    place.registry.save(KIND, NAME, old, overwrite=True)

    with pytest.raises(Conflict, match="was saved with the credential that is being removed: save another one"):
        place.rotation().finish()
    place.registry.save(KIND, NAME, new, overwrite=True)

    assert place.rotation().finish().step == "retired"
    assert place.vendor.good() == {new.decode(): True}


class Raced(Registry):
    """Somebody saves and stages between the rotator's last look and its transaction."""

    def promote(self, kind: str, name: str, *, then: Then | None = None) -> None:
        self.save(KIND, NAME, b"theirs", overwrite=True)
        self.stage(KIND, NAME, b"theirs, pending")
        super().promote(kind, name, then=then)

    def retire(self, kind: str, name: str, *, then: Then | None = None) -> None:
        self.save(KIND, NAME, self.load(KIND, NAME).content, overwrite=True)
        super().retire(kind, name, then=then)


def test_a_head_that_moved_in_the_same_moment(place: InMemory) -> None:
    """Another's pending version is not promoted, unproved; nor does another's previous version get lost."""
    raced = Raced.open(place.store, KEY)
    rotation = Rotation(raced, KIND, NAME, KeysOf(raced, place.vendor))
    place.rotation().rotate()
    place.pass_seconds(MAX_TTL + 1)
    with pytest.raises(Conflict, match="in this moment: run the same again"):
        rotation.finish()
    assert place.versions() == (3, 2, 0)
    rotation.finish()

    with pytest.raises(Conflict, match="in this moment: run the same again"):
        rotation.rotate()

    assert raced.load(KIND, NAME).content == b"theirs"
    assert place.versions() == (5, 3, 6)


@pytest.mark.parametrize("call", ["installed", "verify"])
def test_deleted_during_the_rotation(place: InMemory, call: str) -> None:
    """It ends, and is told: nobody knows any more with what to remove the new key."""
    meanwhile(place, call, lambda: place.registry.delete(KIND, NAME))
    if call == "verify":
        with pytest.raises(NotFound, match="@2 was deleted"):
            place.rotation().rotate()
    with pytest.raises(NotFound, match=r"was deleted during its rotation.* may be left at its source"):
        place.rotation().rotate()

    assert (place.step().step, place.step().why, place.step().until) == ("undone", "deleted", 0)
    assert due(place.registry) == []


@pytest.mark.parametrize("again", [False, True])
def test_deleted_in_the_grace(place: InMemory, again: bool) -> None:
    """Nothing knows the old key any more: its rotation ends, and says why. A name that is used again can be rotated."""
    place.rotation().rotate()
    place.registry.delete(KIND, NAME)
    place.pass_seconds(MAX_TTL + 1)
    if again:
        for key in place.vendor.good():
            place.vendor.delete(key)
        place.registry.save(KIND, NAME, place.vendor.make().encode())
    assert [item.name for item in due(place.registry)] == [NAME]

    step = place.rotation().finish()

    assert (step.step, step.why) == ("retired", "deleted")
    assert due(place.registry) == []
    if again:
        place.rotation().rotate(compromised=True)
        settled(place.registry, place.vendor, current=4)
