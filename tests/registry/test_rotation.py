"""The rotation of one name: what it promises about graces, and about vendors that refuse."""

from pathlib import Path

import pytest

from bondstone.registry import Conflict, InvalidSettings, NotFound
from bondstone.registry.errors import AccessDenied, ServiceUnavailable
from bondstone.registry.rotation import Rotation, due
from tests.registry.vendor import (
    KIND,
    MAX_TTL,
    NAME,
    SECOND,
    InMemory,
    KeysOf,
    meanwhile,
    settled,
    usable,
)


@pytest.fixture
def place(tmp_path: Path) -> InMemory:
    return InMemory(tmp_path)


# --- the way from one key to the next ---


def test_a_rotation_from_its_beginning_to_its_end(place: InMemory) -> None:
    """Both keys are good in the grace, the new one is current, and the old one is gone after it."""
    before = set(place.vendor.good())

    assert place.rotation().rotate().step == "current"
    assert place.versions() == (2, 1, 0)
    assert sorted(place.vendor.good().values()) == [True, True]
    place.pass_seconds(MAX_TTL + 1)
    assert place.rotation().finish().step == "retired"

    settled(place.registry, place.vendor, current=2)
    assert not before & set(place.vendor.good())


def test_every_step_is_on_record(place: InMemory) -> None:
    """Who did what to which version, and never a value."""
    place.rotation().rotate()
    place.pass_seconds(MAX_TTL + 1)
    place.rotation().finish()

    rows = [row for row in reversed(place.registry.audit()) if row.action not in ("load", "save", "rotate lock")]
    assert [(row.action, row.version) for row in rows] == [
        ("rotate started", 0), ("stage", 2), ("rotate set", 2), ("rotate verified", 2), ("promote", 2),
        ("rotate retiring", 2), ("retire", 1), ("rotate disabled", 2), ("rotate retired", 2),
    ]  # fmt: skip


def test_several_rotations_one_after_the_other(place: InMemory) -> None:
    """Each ends the one before, when its grace is over."""
    for current in (2, 3, 4):
        place.rotation().rotate()
        assert place.versions() == (current, current - 1, 0)
        place.pass_seconds(MAX_TTL + 1)

    place.rotation().finish()
    settled(place.registry, place.vendor, current=4)


def test_a_name_that_is_not_there(place: InMemory) -> None:
    """Nothing is written of it, deleted or never used."""
    rotation = Rotation(place.registry, KIND, "other", KeysOf(place.registry, place.vendor))
    for act in (rotation.rotate, rotation.finish, rotation.rollback):
        with pytest.raises(NotFound):
            act()
    assert place.store.journals(("", ""), 10) == []

    place.registry.delete(KIND, NAME)
    with pytest.raises(NotFound):
        place.rotation().rotate()
    assert place.store.journals(("", ""), 10) == []


@pytest.mark.parametrize("staged", ["only", "beside"])
def test_a_pending_version_of_somebody_else(place: InMemory, staged: str) -> None:
    """A rotation does not take it over, nor write over it."""
    name = "new" if staged == "only" else NAME
    place.registry.stage(KIND, name, b"theirs")

    with pytest.raises(NotFound if staged == "only" else Conflict, match="pending version"):
        Rotation(place.registry, KIND, name, KeysOf(place.registry, place.vendor)).rotate()

    assert place.registry.head(KIND, name).pending
    assert len(place.vendor.good()) == 1


# --- the grace ---


def test_a_grace_that_is_too_short(place: InMemory) -> None:
    """Refused with both numbers before anything is written, and what would do is told."""
    place.registry.leases.take(KIND, NAME, 1, 50)

    with pytest.raises(
        InvalidSettings, match=rf"349 s is too short.* 350 s more \({MAX_TTL} s by handles.*; 50 s by leases\)"
    ):
        place.rotation().rotate(grace=MAX_TTL + 49)

    assert place.store.journals(("", ""), 10) == []
    assert place.rotation().rotate(grace=MAX_TTL + 50).step == "current"


def test_the_grace_counts_from_the_promotion(place: InMemory) -> None:
    """However long the vendor took, and a lease that was taken meanwhile counts."""

    def slow() -> None:
        place.pass_seconds(40)
        place.registry.leases.take(KIND, NAME, 1, 1000)

    meanwhile(place, "verify", slow)

    step = place.rotation().rotate(grace=400)

    assert round((step.retire_at - place.store.now()) / SECOND) == MAX_TTL + 1000


@pytest.mark.parametrize("seconds", [MAX_TTL, 1000])
def test_nothing_is_retired_in_the_grace(place: InMemory, seconds: int) -> None:
    """Until its last second; a longer grace than needed is kept too."""
    place.rotation().rotate(grace=seconds)
    place.pass_seconds(seconds - 1)

    for act in (place.rotation().finish, place.rotation().rotate):
        with pytest.raises(Conflict, match=r"in its grace until .* UTC: wait and run --finish"):
            act()
    assert due(place.registry) == []
    assert place.good(1)
    place.pass_seconds(2)
    assert [item.name for item in due(place.registry)] == [NAME]
    assert place.rotation().finish().step == "retired"


def test_a_lowered_max_ttl_counts_when_the_old_one_has_run_out(place: InMemory) -> None:
    """A handle that did not ask since has the old one; also if it is lowered twice."""
    place.registry.set_max_ttl(60)
    place.pass_seconds(100)
    assert place.registry.longest_use(KIND, NAME) == (MAX_TTL - 100, 0)
    place.registry.set_max_ttl(5)
    assert place.registry.longest_use(KIND, NAME) == (MAX_TTL - 100, 0)
    with pytest.raises(InvalidSettings, match="200 s by handles"):
        place.rotation().rotate(grace=60)

    place.pass_seconds(MAX_TTL)
    assert place.registry.longest_use(KIND, NAME) == (5, 0)


def test_a_raised_max_ttl_counts_at_once(place: InMemory) -> None:
    """And goes on to count."""
    place.registry.set_max_ttl(900)
    assert place.registry.longest_use(KIND, NAME) == (900, 0)
    place.pass_seconds(2000)
    assert place.registry.longest_use(KIND, NAME) == (900, 0)


def test_a_compromised_key_dies_at_once(place: InMemory) -> None:
    """Whatever is leased, and in one go."""
    place.registry.leases.take(KIND, NAME, 1, 1000)

    assert place.rotation().rotate(compromised=True).step == "retired"

    settled(place.registry, place.vendor, current=2)


def test_a_compromised_key_in_the_grace(place: InMemory) -> None:
    """The old one is retired now, by `finish` or by the next rotation, which retires the next one too."""
    place.rotation().rotate()
    assert place.rotation().finish(at_once=True).step == "retired"
    place.rotation().rotate()
    assert place.rotation().rotate(compromised=True).step == "retired"

    settled(place.registry, place.vendor, current=4)


def test_compromised_is_remembered(place: InMemory) -> None:
    """The next rotator retires it at once, unasked and whatever is leased, also if the first got no further than the promotion."""
    place.vendor.refuses["disable"] = ServiceUnavailable("down")
    for call in ("verify", "disable"):
        place.vendor.refuses = {call: ServiceUnavailable("down")}
        with pytest.raises(ServiceUnavailable):
            place.rotation().rotate(compromised=call == "verify")
    place.vendor.refuses.clear()
    place.registry.leases.take(KIND, NAME, 2, 1000)

    assert [item.step.why for item in due(place.registry)] == ["service_unavailable"]
    assert place.rotation().finish().step == "retired"
    settled(place.registry, place.vendor, current=2)


def test_a_compromised_one_that_was_stopped_after_the_promotion(place: InMemory) -> None:
    """It is due at once, and whoever retires it asks for no lease."""
    place.registry.leases.take(KIND, NAME, 1, 1000)

    def stop(point: str) -> None:
        if point == "current":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place.rotation(at=stop).rotate(compromised=True)

    assert [item.name for item in due(place.registry)] == [NAME]
    assert place.rotation().finish().step == "retired"


@pytest.mark.parametrize("at_once", [False, True])
def test_a_retirement_that_was_begun_at_once_goes_on_so(place: InMemory, at_once: bool) -> None:
    """Killed right after it was begun: `--due` goes on with one that somebody asked for, and waits with any other."""

    def stop(point: str) -> None:
        if point == "retiring":
            raise KeyboardInterrupt

    place.rotation().rotate()
    place.pass_seconds(0 if at_once else MAX_TTL + 1)
    with pytest.raises(KeyboardInterrupt):
        place.rotation(at=stop).finish(at_once=at_once)
    place.pass_seconds(0 if at_once else -MAX_TTL)  # as a clock that is set back

    assert len(due(place.registry)) == at_once
    if at_once:
        assert place.rotation().finish().step == "retired"
    else:
        with pytest.raises(Conflict, match="in its grace"):
            place.rotation().finish()


def test_the_grace_that_was_asked_for_is_remembered(place: InMemory) -> None:
    """Also by a rotator that goes on with it and is asked for nothing."""
    place.vendor.refuses["verify"] = AccessDenied("no")
    with pytest.raises(AccessDenied):
        place.rotation().rotate(grace=5000)
    place.vendor.refuses.clear()

    step = place.rotation().rotate()

    assert round((step.retire_at - place.store.now()) / SECOND) == 5000


def test_a_clock_that_goes_backwards(place: InMemory) -> None:
    """The grace is longer then, never shorter."""
    place.rotation().rotate()
    place.pass_seconds(-3600)

    with pytest.raises(Conflict, match="in its grace"):
        place.rotation().finish()
    place.pass_seconds(3600 + MAX_TTL + 1)
    place.rotation().finish()

    settled(place.registry, place.vendor)


# --- a vendor that refuses ---


@pytest.mark.parametrize("error", [AccessDenied("no"), ServiceUnavailable("down"), RuntimeError("a bug")])
@pytest.mark.parametrize(
    ("call", "step"),
    [("existing", ""), ("create", "started"), ("created", "started"), ("install", "pending"), ("verify", "set")],
)
def test_a_vendor_that_refuses_the_new_key(place: InMemory, call: str, step: str, error: Exception) -> None:
    """The current one stays, what is pending is kept, why is told, and the lock is free."""
    place.vendor.refuses[call] = error
    with pytest.raises(type(error)):
        place.rotation().rotate()

    assert usable(place.registry, place.vendor)
    assert place.versions() == (1, 0, 2 if step in ("pending", "set") else 0)
    assert (place.step().step, place.step().until) == (step, 0)
    assert place.step().why == (getattr(error, "code", "error") if step else "")
    place.vendor.refuses.clear()
    assert place.rotation().rotate().step == "current"
    assert place.step().why == ""
    assert len(place.vendor.good()) == 2


@pytest.mark.parametrize("call", ["disable", "retire"])
def test_a_vendor_that_does_not_retire(place: InMemory, call: str) -> None:
    """The new key is current; nobody can go back any more; the next one retires the old key."""
    place.rotation().rotate()
    place.pass_seconds(MAX_TTL + 1)
    place.vendor.refuses[call] = ServiceUnavailable("down")
    with pytest.raises(ServiceUnavailable):
        place.rotation().finish()

    assert place.versions() == (2, 0, 0)
    assert place.step().why == "service_unavailable"
    with pytest.raises(Conflict, match="cannot be rolled back"):
        place.rotation().rollback()
    with pytest.raises(Conflict):
        place.registry.rollback(KIND, NAME)
    place.vendor.refuses.clear()
    place.rotation().rotate()
    assert place.versions() == (3, 2, 0)
    assert len(place.vendor.good()) == 2


def test_what_was_proved_is_proved_again(place: InMemory) -> None:
    """A key that was verified before the rotator stopped may have died since: it is not promoted unseen."""
    rotation = place.rotation(at=lambda point: pytest.fail("stop") if point == "verified" else None)
    with pytest.raises(pytest.fail.Exception):
        rotation.rotate()
    place.vendor.delete(place.registry.load(KIND, NAME, 2).content.decode())
    place.store.ahead += 61 * SECOND

    with pytest.raises(AccessDenied):
        place.rotation().rotate()

    assert place.versions() == (1, 0, 2)
