"""Leases: a version that somebody holds for long is not retired under them."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from bondstone.registry import Conflict, InvalidSettings, NotFound
from bondstone.registry.log import actor
from bondstone.registry.rotation import Rotation
from bondstone.registry.sqlite import SqliteDatabase
from bondstone.registry.store import Lease
from tests.registry.processes import database_of
from tests.registry.vendor import KIND, MAX_TTL, NAME, InMemory, KeysOf, Later, Vendor, first, settled

DAY = 24 * 3600


@pytest.fixture
def place(tmp_path: Path) -> InMemory:
    return InMemory(tmp_path)


def test_a_lease_from_taking_to_releasing(place: InMemory) -> None:
    """It says who holds what until when, and is on record."""
    lease = place.registry.leases.take(KIND, NAME, 1, 60)

    assert (lease.kind, lease.name, lease.version, lease.holder) == (KIND, NAME, 1, actor())
    assert lease.until - lease.taken_at == 60_000_000
    assert place.registry.leases.all() == place.registry.leases.of(KIND, NAME) == [lease]
    assert place.registry.leases.of(KIND, "other") == []
    assert place.registry.audit()[0].action == "lease"
    longer = place.registry.leases.extend(lease, 500)
    assert place.registry.leases.all() == [longer]
    place.registry.leases.release(longer)
    assert place.registry.leases.all() == []
    with pytest.raises(Conflict, match="is gone: take a new one"):
        place.registry.leases.extend(longer, 60)


def test_a_lease_on_what_is_in_use_already(place: InMemory) -> None:
    """It says since when, and lasts from now on."""
    now = place.registry.shared_now()

    lease = place.registry.leases.take(KIND, NAME, 1, 60, since=now - 5_000_000)

    assert lease.taken_at == now - 5_000_000
    assert lease.until >= now + 60_000_000
    assert place.registry.leases.all() == [lease]


def test_a_lease_ends_by_itself(place: InMemory) -> None:
    """From then on it protects nothing, and cannot be extended; after a day it is forgotten."""
    lease = place.registry.leases.take(KIND, NAME, 1, 60)
    place.pass_seconds(61)

    assert place.registry.leases.all() == []
    assert place.registry.longest_use(KIND, NAME) == (MAX_TTL, 0)
    with pytest.raises(Conflict, match="is gone"):
        place.registry.leases.extend(lease, 60)
    place.pass_seconds(DAY)
    place.registry.leases.take(KIND, NAME, 1, 60)
    assert len(place.store.leases()) == 1


@pytest.mark.parametrize("seconds", [0, -1, 7 * DAY + 1, float("inf"), float("nan")])
def test_a_lease_of_no_length(place: InMemory, seconds: float) -> None:
    """Or of one that would stop rotations for ever."""
    lease = place.registry.leases.take(KIND, NAME, 1, 7 * DAY)
    with pytest.raises(InvalidSettings, match="7 days"):
        place.registry.leases.take(KIND, NAME, 1, seconds)
    with pytest.raises(InvalidSettings, match="7 days"):
        place.registry.leases.extend(lease, seconds)

    assert place.registry.leases.all() == [lease]


def test_a_lease_on_what_is_not_there(place: InMemory) -> None:
    """No such name, no such version, a deleted one."""
    for name, version in [("other", 1), (NAME, 0), (NAME, 2), (NAME, -1)]:
        with pytest.raises(NotFound):
            place.registry.leases.take(KIND, name, version, 60)
    place.registry.delete(KIND, NAME)
    place.registry.save(KIND, NAME, b"x")
    with pytest.raises(NotFound):
        place.registry.leases.take(KIND, NAME, 1, 60)

    assert place.store.leases() == []


def test_a_lease_postpones_the_retirement(place: InMemory) -> None:
    """The version that is to be retired is used for longer than its grace: who and until when is told."""
    place.rotation().rotate(grace=400)
    lease = place.registry.leases.take(KIND, NAME, 1, 399)
    place.pass_seconds(399.5)
    place.store.extend_lease(lease.id, place.store.now() + 60_000_000)  # as a client with a slow clock
    place.pass_seconds(1)

    for _ in range(2):
        with pytest.raises(Conflict, match=r"@1 is leased: .* until 20.* UTC; wait, or give --compromised"):
            place.rotation().finish()
    with pytest.raises(Conflict, match="is leased"):
        place.rotation().rotate()
    assert place.step().step == "current"
    place.pass_seconds(61)
    place.rotation().finish()
    settled(place.registry, place.vendor, current=2)


def test_a_lease_on_another_version_postpones_nothing(place: InMemory) -> None:
    """The new one may be leased as long as anybody likes."""
    place.rotation().rotate()
    place.registry.leases.take(KIND, NAME, 2, 7 * DAY)
    place.pass_seconds(MAX_TTL + 1)

    assert place.rotation().finish().step == "retired"


def test_a_lease_that_would_outlast_the_credential(place: InMemory) -> None:
    """Refused, taken or extended: when it is retired is told, or that it is gone."""
    lease = place.registry.leases.take(KIND, NAME, 1, 60)
    place.rotation().rotate(grace=400)
    acts: list[Callable[[], Lease]] = [
        lambda: place.registry.leases.take(KIND, NAME, 1, 401),
        lambda: place.registry.leases.extend(lease, 401),
    ]
    for act in acts:
        with pytest.raises(Conflict, match=r"is retired at 20.* UTC: use the current version"):
            act()
    assert place.registry.leases.all() == [lease]
    place.registry.leases.extend(lease, 390)
    place.pass_seconds(401)
    place.rotation().finish()

    with pytest.raises(Conflict, match="credential is gone"):
        place.registry.leases.take(KIND, NAME, 1, 1)
    assert len(place.store.leases()) == 1  # the one that ended


@pytest.mark.parametrize("point", ["retiring", "disabling", "vendor: disable", "vendor: retire"])
def test_a_lease_while_it_is_retired(place: InMemory, point: str) -> None:
    """From the moment in which the rotator looks at the leases, none is given."""
    refusals: list[str] = []

    def take(passed: str) -> None:
        if passed == point:
            with pytest.raises(Conflict) as caught:
                place.registry.leases.take(KIND, NAME, 1, 1)
            refusals.append(str(caught.value))

    place.rotation().rotate()
    place.vendor.during = lambda call: take(f"vendor: {call}")
    place.rotation(at=take).finish(at_once=True)

    assert len(refusals) == 1
    assert place.store.leases() == []


@pytest.mark.parametrize("extended", [False, True])
def test_a_rotator_that_begins_to_retire_in_the_same_moment(place: InMemory, extended: bool) -> None:
    """Between the first look at the journal and the lease: it is refused, and what was is left behind."""
    place.rotation().rotate()
    lease = place.registry.leases.take(KIND, NAME, 1, 60)

    def retire() -> None:
        with suppress(Conflict):
            place.rotation().finish(at_once=True)

    place.store.between = retire
    leases = place.registry.leases
    with pytest.raises(Conflict, match="credential is gone"):
        leases.extend(lease, 100) if extended else leases.take(KIND, NAME, 1, 100)

    assert place.store.leases() == [lease]


@pytest.mark.parametrize("killed", [False, True])
def test_a_lease_that_was_taken_in_the_same_moment(place: InMemory, killed: bool) -> None:
    """After the rotator's first look at the leases, before its line in the journal: it counts, also for the one that takes over."""
    place.rotation().rotate()
    place.pass_seconds(MAX_TTL + 1)
    lease = Lease("f" * 32, KIND, NAME, 1, "someone@there:1", place.store.now(), place.store.now() + 200_000_000)

    def at(point: str) -> None:
        if point == "retiring":
            place.registry.write_lease(lease)
            if killed:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt if killed else Conflict):
        place.rotation(at=at).finish()
    with pytest.raises(Conflict, match=r"leased.*someone@there:1 until"):
        place.rotation().finish()

    assert place.step().step == "current"
    assert place.versions() == (2, 1, 0)
    assert place.good(1)
    assert place.rotation().rollback().step == "rolled-back"


def test_a_rotation_killed_while_retiring_can_be_rolled_back(place: InMemory) -> None:
    """Nothing was refused at the vendor yet."""

    def at(point: str) -> None:
        if point == "retiring":
            raise KeyboardInterrupt

    place.rotation().rotate()
    place.pass_seconds(MAX_TTL + 1)
    with pytest.raises(KeyboardInterrupt):
        place.rotation(at=at).finish()

    assert place.rotation().rollback().step == "rolled-back"
    place.pass_seconds(MAX_TTL + 1)
    with pytest.raises(KeyboardInterrupt):
        place.rotation(at=at).finish()
    with pytest.raises(Conflict, match="somebody saved since"):
        place.rotation().rollback()
    place.rotation().finish()
    settled(place.registry, place.vendor, current=1)


def test_leases_and_rotators_at_once(tmp_path: Path) -> None:
    """Threads take leases on what is current while it is rotated: nobody who got one finds its key dead before it ends."""
    vendor = Vendor(tmp_path / "keys")
    registry = first(Later(SqliteDatabase(tmp_path / "registry.db")), vendor)
    registry.set_max_ttl(1)
    done, dead, taken = threading.Event(), [], []

    def use() -> None:
        while not done.is_set():
            document = registry.load(KIND, NAME)
            with suppress(Conflict, NotFound):
                lease = registry.leases.take(KIND, NAME, document.version, 0.02)
                taken.append(lease)
                if not vendor.good().get(document.content.decode()) and registry.store.now() < lease.until:
                    dead.append(lease)
                registry.leases.release(lease)
        registry.store.close()

    with ThreadPoolExecutor(3) as pool:
        users = [pool.submit(use) for _ in range(3)]
        try:
            for _ in range(15):
                rotation = Rotation(registry, KIND, NAME, KeysOf(registry, vendor))
                rotation.rotate()
                for _ in range(1000):
                    with suppress(Conflict):
                        registry.store.ahead += 2_000_000  # type: ignore[attr-defined]
                        rotation.finish()
                        break
        finally:
            done.set()
        for user in users:
            user.result()

    assert dead == []
    assert len(taken) > 20
    assert registry.head(KIND, NAME).current == 16
    registry.close()


# --- what nobody proves ---


def test_planted_leases(tmp_path: Path) -> None:
    """Rubbish breaks nothing, what cannot be a lease counts for nothing, and no name that is shown can play tricks on a terminal."""
    vendor = Vendor(tmp_path / "keys")
    registry = first(Later(SqliteDatabase(tmp_path / "registry.db")), vendor)
    now = registry.shared_now()
    raw = database_of(registry).connection()._raw
    for number, (version, holder, taken_at, until) in enumerate(
        [
            *((1, "x", now, "soon"), ("1", "x", now, now + 10**9), (1, "x", now, 2**62), (1, "x", now, None)),
            *((1, "y", -1, now + 10**9), (1, "y", "long ago", now + 10**9), (1, "\x1b[2Jme", now, now + 10**9)),
        ]
    ):
        row = (str(number), KIND, NAME, version, holder, taken_at, until)
        with suppress(Exception):  # what the table itself refuses
            raw.execute("INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    assert [lease.holder for lease in registry.leases.all() if lease.holder != "x"] == ["'\\x1b[2Jme'"]
    assert registry.longest_use(KIND, NAME)[1] in (999, 1000)
    registry.leases.take(KIND, NAME, 1, 60)
    Rotation(registry, KIND, NAME, KeysOf(registry, vendor)).rotate(compromised=True)
    settled(registry, vendor)
    registry.close()


def test_a_lease_that_cannot_be_checked(place: InMemory) -> None:
    """The journal of its name is unreadable: nothing is retired there, so it is given."""
    place.rotation().rotate()
    line = place.store.journal(KIND, NAME)
    assert line is not None
    place.store._journal[KIND, NAME] = line._replace(sealed=line.sealed[:-1] + b"?")

    assert place.registry.leases.take(KIND, NAME, 1, 60) in place.registry.leases.all()
