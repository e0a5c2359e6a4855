"""A rotator that is killed at any point: the next one ends what it began, with one usable key and no orphan at the vendor."""

import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from bondstone.registry import Conflict, Registry
from bondstone.registry.journal import GRACE, UNPROMOTED
from bondstone.registry.rotation import Rotation, due
from bondstone.registry.sqlite import SqliteDatabase
from tests.registry.vendor import (
    KEY,
    KIND,
    LOCK,
    MAX_TTL,
    NAME,
    KeysOf,
    Killed,
    Later,
    Mortal,
    Vendor,
    first,
    settled,
    usable,
)

ROOT = Path(__file__).parents[2]
GRACE_OVER = (MAX_TTL + 1) * 1_000_000
FIRST_HALF = ["locked", "vendor: existing", "started", "create", "vendor: create", "vendor: created", "created", "pending",
              "vendor: install", "vendor: installed", "installed", "set", "vendor: verify", "proved", "verified", "current"]  # fmt: skip
SECOND_HALF = [
    "locked",
    "retiring",
    "disabling",
    "vendor: disable",
    "refused",
    "disabled",
    "vendor: retire",
    "removed",
    "retired",
]
UNDOING = ["locked", "undoing", "vendor: discard", "discarded", "undone"]
GOING_BACK = ["locked", "rolled-back"]


class Place:
    """A registry on a disk, and the vendor's folder beside it."""

    made_here = False

    def __init__(self, folder: Path) -> None:
        self.path, self.vendor = folder / "registry.db", Vendor(folder / "keys")

    def registry(self, ahead: int = 0) -> Registry:
        self.store = Later(SqliteDatabase(self.path))
        self.store.ahead = ahead
        return Registry.open(self.store, KEY)

    def killed(self, act: str, point: str, ahead: int = 0) -> list[str]:
        """The points that a rotator passed which was killed at one of them."""
        words = [str(self.path), str(self.vendor.folder), act, point, str(ahead)]
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "tests.registry.vendor", *words],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == (-9 if point else 0), done.stderr
        return done.stdout.split("\n")[:-1]


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A name before its rotation, in its grace, with a pending key that the vendor refused, and rolled back."""
    places = {name: tmp_path_factory.mktemp(name) for name in ("fresh", "current", "refused", "rolled-back")}
    for name, folder in places.items():
        place = Place(folder)
        registry = first(Later(SqliteDatabase(place.path)), place.vendor)
        rotation = Rotation(registry, KIND, NAME, KeysOf(registry, place.vendor))
        if name == "refused":
            place.vendor.refuses["verify"] = Conflict("not yet")
            with pytest.raises(Conflict):
                rotation.rotate()
        elif name != "fresh":
            rotation.rotate()
        if name == "rolled-back":
            rotation.rollback()
        registry.close()
    return places


@pytest.fixture
def place(tmp_path: Path, templates: dict[str, Path], request: pytest.FixtureRequest) -> Place:
    shutil.copytree(templates[request.param], tmp_path / "place")
    return Place(tmp_path / "place")


def end(registry: Registry, place: Place, store: Later | Mortal) -> None:
    """What cron does, until nothing is left to do."""
    for _ in range(4):
        store.ahead += GRACE_OVER
        for item in due(registry):
            rotation = Rotation(registry, KIND, NAME, KeysOf(registry, place.vendor, made_here=place.made_here))
            rotation.rotate() if item.step.step in UNPROMOTED else rotation.finish()


def test_the_points_are_these(tmp_path: Path, templates: dict[str, Path]) -> None:
    """The tests below kill at each that there is."""
    for template, act, ahead, points in [
        ("fresh", "rotate", 0, FIRST_HALF),
        ("current", "finish", GRACE_OVER, SECOND_HALF),
        ("refused", "rollback", 0, UNDOING),
        ("current", "rollback", 0, GOING_BACK),
        ("rolled-back", "finish", GRACE_OVER, SECOND_HALF),
    ]:
        shutil.copytree(templates[template], tmp_path / template / act)
        assert Place(tmp_path / template / act).killed(act, "", ahead) == points


@pytest.mark.parametrize("point", FIRST_HALF)
@pytest.mark.parametrize("place", ["fresh"], indirect=True)
def test_killed_while_it_makes_a_new_key(place: Place, point: str) -> None:
    """The name stays usable; the next rotator is told, and when the lock has ended it goes on to the end."""
    place.killed("rotate", point)
    registry = place.registry()
    assert usable(registry, place.vendor)
    rotation = Rotation(registry, KIND, NAME, KeysOf(registry, place.vendor))
    with pytest.raises(Conflict, match=r"holds the lock until"):
        rotation.rotate()

    place.store.ahead = LOCK
    if registry.journal.read(KIND, NAME)[1].step in GRACE:
        with pytest.raises(Conflict, match="is in its grace until"):
            rotation.rotate()
    else:
        rotation.rotate()
    assert usable(registry, place.vendor)
    assert len(place.vendor.good()) == 2
    place.store.ahead += GRACE_OVER
    rotation.finish()

    settled(registry, place.vendor)
    assert registry.load(KIND, NAME).version > 1
    registry.close()


@pytest.mark.parametrize("point", FIRST_HALF[:-1])
@pytest.mark.parametrize("place", ["fresh"], indirect=True)
def test_killed_again_while_it_recovers(place: Place, point: str) -> None:
    """The one that recovers is killed too, when it has proved the key."""
    place.killed("rotate", point)
    place.killed("rotate", "proved", LOCK)
    registry = place.registry(2 * LOCK)
    assert usable(registry, place.vendor)

    end(registry, place, place.store)

    settled(registry, place.vendor)
    assert registry.load(KIND, NAME).version > 1
    registry.close()


@pytest.mark.parametrize("point", SECOND_HALF)
@pytest.mark.parametrize(("place", "current"), [("current", 2), ("rolled-back", 1)], indirect=["place"])
def test_killed_while_it_retires_the_other_key(place: Place, current: int, point: str) -> None:
    """The next one retires it."""
    place.killed("finish", point, GRACE_OVER)
    registry = place.registry(GRACE_OVER + LOCK)
    assert usable(registry, place.vendor)

    end(registry, place, place.store)

    settled(registry, place.vendor, current=current)
    registry.close()


@pytest.mark.parametrize("point", UNDOING)
@pytest.mark.parametrize("next_act", ["rollback", "finish", "rotate"])
@pytest.mark.parametrize("place", ["refused"], indirect=True)
def test_killed_while_it_undoes(place: Place, next_act: str, point: str) -> None:
    """Whatever comes next ends it."""
    place.killed("rollback", point)
    registry = place.registry(LOCK)
    rotation = Rotation(registry, KIND, NAME, KeysOf(registry, place.vendor))

    with suppress(Conflict):  # there may be nothing left to do
        getattr(rotation, next_act)()
    end(registry, place, place.store)

    settled(registry, place.vendor)
    assert registry.load(KIND, NAME).version == 1 or next_act != "rollback"
    registry.close()


@pytest.mark.parametrize("point", GOING_BACK)
@pytest.mark.parametrize("place", ["current"], indirect=True)
def test_killed_while_it_goes_back(place: Place, point: str) -> None:
    """The first key is current again, or is made so by the next; the other one is retired after its grace."""
    place.killed("rollback", point)
    registry = place.registry(LOCK)
    rotation = Rotation(registry, KIND, NAME, KeysOf(registry, place.vendor))

    if registry.load(KIND, NAME).version == 2:
        rotation.rollback()
    assert usable(registry, place.vendor)
    assert len(place.vendor.good()) == 2
    end(registry, place, place.store)

    settled(registry, place.vendor, current=1)
    registry.close()


# --- in memory, where there is time for every pair of points ---


class Memory(Place):
    """The same without a disk, but for the vendor's folder."""

    def __init__(self, folder: Path, *, made_here: bool) -> None:
        folder.mkdir()
        self.vendor, self.made_here, self.mortal = Vendor(folder / "keys"), made_here, Mortal()
        self.here = first(self.mortal, self.vendor)

    def rotation(self, points: list[str] | None = None, at: int = -1) -> Rotation:
        """A rotator, which is killed at the point of that number."""
        passed = [] if points is None else points

        def tell(point: str) -> None:
            passed.append(point)
            if len(passed) == at + 1:
                self.mortal.dead = True
                raise Killed

        self.vendor.during = lambda call: tell(f"vendor: {call}")
        return Rotation(self.here, KIND, NAME, KeysOf(self.here, self.vendor, made_here=self.made_here), at=tell)

    def run(self, act: str, at: int) -> bool:
        """Whether it was killed; then its lock has ended when this is back."""
        points: list[str] = []
        try:
            getattr(self.rotation(points, at), act)()
        except Killed:
            self.mortal.dead = False
            self.mortal.ahead += LOCK
            return True
        except Conflict:
            pass
        return len(points) > at


def prepared(folder: Path, kind: str, *, made_here: bool) -> Memory:
    """As the templates."""
    place = Memory(folder, made_here=made_here)
    if kind == "refused":
        place.vendor.refuses["verify"] = Conflict("not yet")
        with pytest.raises(Conflict):
            place.rotation().rotate()
        place.vendor.refuses.clear()
    elif kind != "fresh":
        place.rotation().rotate()
        place.mortal.ahead += GRACE_OVER
    if kind == "rolled-back":
        place.rotation().rollback()
        place.mortal.ahead += GRACE_OVER
    return place


@pytest.mark.parametrize(
    ("kind", "act", "made_here"),
    [
        ("fresh", "rotate", False),
        ("fresh", "rotate", True),
        ("current", "rotate", False),
        ("current", "finish", False),
        ("refused", "rollback", False),
        ("refused", "rollback", True),
        ("refused", "rotate", False),
        ("current", "rollback", False),
        ("rolled-back", "finish", False),
    ],
)
def test_killed_twice_anywhere(tmp_path: Path, kind: str, act: str, made_here: bool) -> None:
    """Every point, then every point of what comes next, whatever that is: in the end one usable key, and never none."""
    for number, one in enumerate(range(40)):
        for next_act in ("rotate", "finish", "rollback"):
            for two in range(40):
                place = prepared(tmp_path / f"{number}-{next_act}-{two}", kind, made_here=made_here)
                if not place.run(act, one):
                    assert number > 1  # there is no such point: these were all
                    return
                assert usable(place.here, place.vendor), (one,)
                again = place.run(next_act, two)
                assert usable(place.here, place.vendor), (one, next_act, two)
                place.vendor.during = lambda call: None
                end(place.here, place, place.mortal)
                settled(place.here, place.vendor)
                if not again:
                    break
