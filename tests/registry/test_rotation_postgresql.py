"""Rotations by way of a real server: its clock is the one that counts, its transactions keep head and journal together."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bondstone.registry import Conflict, Registry, Settings
from bondstone.registry.errors import AccessDenied
from bondstone.registry.rotation import Rotation
from bondstone.registry.store import Overtaken
from tests.postgres import Server
from tests.registry.processes import run
from tests.registry.vendor import KIND, NAME, KeysOf, Vendor, settled, usable

pytestmark = pytest.mark.xdist_group("postgres")
KEY = "A" * 43


@pytest.fixture
def url(postgres: Server, database: str) -> str:
    return postgres.url(database)


@pytest.fixture
def registry(url: str, vendor: Vendor) -> Iterator[Registry]:
    made = Settings(registry=url, key=KEY).create(max_ttl=300)
    made.save(KIND, NAME, vendor.make().encode())
    yield made
    made.close()


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    (tmp_path / "keys").mkdir()
    return Vendor(tmp_path / "keys")


def rotation(registry: Registry, vendor: Vendor, **options: float) -> Rotation:
    return Rotation(registry, KIND, NAME, KeysOf(registry, vendor), **options)  # type: ignore[arg-type]


def test_to_the_end_and_back(registry: Registry, vendor: Vendor) -> None:
    """Refused, taken up again, promoted, rolled back, retired, and once more."""
    vendor.refuses["verify"] = AccessDenied("no")
    with pytest.raises(AccessDenied):
        rotation(registry, vendor).rotate()
    vendor.refuses.clear()
    assert rotation(registry, vendor).rotate().step == "current"
    with pytest.raises(Conflict, match="in its grace"):
        rotation(registry, vendor).finish()
    assert rotation(registry, vendor).rollback().step == "rolled-back"
    assert rotation(registry, vendor).finish(at_once=True).step == "retired"
    settled(registry, vendor, current=1)

    assert rotation(registry, vendor).rotate(compromised=True).step == "retired"
    settled(registry, vendor, current=3)


def test_of_six_at_once_one_rotates(registry: Registry, vendor: Vendor, url: str) -> None:
    """Each with connections of its own; the others are told who."""
    start = threading.Barrier(6)

    def rotate(_: int) -> str:
        other = Settings(registry=url, key=KEY).open()
        start.wait()
        try:
            return rotation(other, vendor).rotate().step
        except Conflict as error:
            return str(error)
        finally:
            other.close()

    with ThreadPoolExecutor(6) as pool:
        told = sorted(pool.map(rotate, range(6)))

    assert [text for text in told if text == "current"] == ["current"]
    assert len([text for text in told if "holds the lock until" in text or "in its grace until" in text]) == 5
    assert registry.head(KIND, NAME).current == 2
    assert registry.verify_audit().whole


def test_fenced_and_taken_over(registry: Registry, vendor: Vendor) -> None:
    """Head and journal move together or not at all."""

    def slept() -> None:
        number, step = registry.journal.read(KIND, NAME)
        line = registry.journal.line(KIND, NAME, number + 1, step._replace(until=0, token=9), 5)
        registry.write_journal(lambda: line, "rotate lock", 0)

    vendor.during = lambda call: slept() if call == "created" else None
    with pytest.raises(Overtaken):
        rotation(registry, vendor).rotate()
    vendor.during = lambda call: None

    head = registry.head(KIND, NAME)
    assert (head.current, head.pending, head.highest) == (1, 0, 1)
    assert usable(registry, vendor)
    assert rotation(registry, vendor).rotate().step == "current"
    assert len(vendor.good()) == 2


WRONG_CLOCK = """
import sys, time
right = time.time_ns
time.time_ns = lambda: right() + int(sys.argv[3]) * 10**9
from pathlib import Path
from bondstone.registry import Conflict, Settings
from bondstone.registry.results import microseconds
from bondstone.registry.rotation import Rotation
from tests.registry.vendor import KIND, NAME, KeysOf, Vendor
registry = Settings(registry=sys.argv[1], key="A" * 43).open()
assert abs(microseconds() - registry.shared_now()) > 500 * 10**6
registry.set_max_ttl(200)
rotation = Rotation(registry, KIND, NAME, KeysOf(registry, Vendor(Path(sys.argv[2]))))
step = rotation.rotate()
lease = registry.leases.take(KIND, NAME, 1, 60)
try:
    rotation.finish()
except Conflict as error:
    print(error)
print(step.retire_at, lease.until)
"""


@pytest.mark.parametrize("seconds", [600, -600])
def test_a_client_whose_clock_is_wrong(
    registry: Registry, vendor: Vendor, url: str, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten minutes ahead or behind: graces, leases and what a lowered `max_ttl` leaves are by the server's clock."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))

    said, numbers = run(WRONG_CLOCK, url, str(vendor.folder), str(seconds)).splitlines()

    now = registry.shared_now()
    retire_at, until = map(int, numbers.split())
    assert "in its grace until" in said
    assert 260 < (retire_at - now) / 1e6 <= 300
    assert 20 < (until - now) / 1e6 <= 60
    assert 260 < registry.longest_use(KIND, NAME)[0] <= 300
    assert registry.leases.all()[0].until == until
    with pytest.raises(Conflict, match="in its grace until"):
        rotation(registry, vendor).finish()
