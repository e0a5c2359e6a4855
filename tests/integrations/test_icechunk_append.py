"""Appends by the name of a repository: only what belongs there, once, in order, whoever else appends."""

import random
import signal
import time
from collections.abc import Callable, Iterable
from importlib.resources import files
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

from bondstone.blocks import Conflict, InvalidData
from bondstone.integrations.icechunk import IcechunkAppend, IcechunkCommit, connect
from bondstone.integrations.receipts import CommitReceipt
from tests.integrations.conftest import Account, elsewhere
from tests.integrations.failing import fails
from tests.integrations.forked import begin, ended, wait_for
from tests.integrations.growing import append_in_turn, append_month, append_when_ready, in_turn, meanwhile, months
from tests.integrations.versions import at_once, messages, read

pytestmark = pytest.mark.filterwarnings("ignore:.*consolidated.*:RuntimeWarning")

SAMPLES = Path(str(files("iris_sample_data"))) / "sample_data"


@pytest.fixture(params=["local", "ocean"])
def repo(request: pytest.FixtureRequest, reports: Account) -> str:
    """The name of a repository in a local folder, and of one in a bucket."""
    return str(request.param)


def append(repo: str, *datasets: xr.Dataset, **settings: Any) -> CommitReceipt:
    """Append one after the other to the group `g`."""
    receipts = [IcechunkAppend(repo, **settings)(dataset, group="g", message="m") for dataset in datasets]
    return receipts[-1]


class TestAppending:
    """What was appended is what is read, in one piece."""

    def test_the_first_makes_the_group_and_the_others_go_on(self, repo: str) -> None:
        """Values, coordinates and attributes; attributes of the dataset stay those of the first."""
        first, second = months(0, 2).assign_attrs(title="a"), months(2, 3).assign_attrs(title="b")

        receipt = append(repo, first, second)

        xr.testing.assert_identical(read(repo, "g"), months(0, 5).assign_attrs(title="a"))
        assert receipt.snapshot == connect(repo).lookup_branch("main")
        assert receipt.changes.added == 0

    @pytest.mark.parametrize("lazy", [False, True])
    def test_chunks_that_two_appends_share(self, lazy: bool, repo: str) -> None:
        """A chunk that is full by half is filled by the next append; chunks of Dask need not be those of Zarr."""
        parts = [months(start, 3) for start in (0, 3, 6, 9)]
        parts[0].sst.encoding["chunks"] = (4, 2, 4)

        append(repo, *(part.chunk(time=2, lat=1) if lazy else part for part in parts))

        xr.testing.assert_identical(read(repo, "g"), months(0, 12))
        assert read(repo, "g").sst.encoding["chunks"] == (4, 2, 4)

    def test_another_order_of_dimensions(self, repo: str) -> None:
        """Time need not be the first."""
        append(repo, *(months(start, 2).transpose("lat", "time", "lon") for start in (0, 2)))

        xr.testing.assert_identical(read(repo, "g"), months(0, 4).transpose("lat", "time", "lon"))

    def test_pieces_of_large_steps(self, repo: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is larger than a piece is written in several, and is what it was."""
        monkeypatch.setattr("bondstone.integrations.icechunk.storing._BYTES", 500)
        first = months(0, 1)
        first.sst.encoding["chunks"] = (2, 3, 4)

        append(repo, first, months(1, 17))

        xr.testing.assert_identical(read(repo, "g"), months(0, 18))

    def test_chunks_of_a_first_append(self, reports: Account) -> None:
        """Whole steps, about a MiB of them; coordinates in few chunks, since each append reads them; never those of NetCDF."""
        big = xr.Dataset({"a": (("time", "y", "x"), np.ones((2, 512, 512), "f4"))}, {"time": [0, 1]})
        for dataset in (big, months(0, 2)):
            for variable in dataset.variables.values():
                variable.encoding = {"contiguous": True, "chunksizes": (1, *variable.shape[1:])}

        IcechunkAppend("local")(big, group="big", message="m")
        append("local", months(0, 2))

        stored = read("local", "g").variables
        assert read("local", "big").a.encoding["chunks"] == (1, 512, 512)
        assert stored["sst"].encoding["chunks"] == (4096, 3, 4)
        assert stored["time"].encoding["chunks"] == (4096,)

    def test_times_of_a_first_append(self, repo: str) -> None:
        """They are stored in seconds, not in the days or hours that the first ones happen to be: later ones find room."""
        hours = [xr.Dataset({"a": ("time", [1.0])}, {"time": np.array([t], "M8[ns]")}) for t in TIMES]

        append(repo, *hours, allow=("gap",))

        assert read(repo, "g").time.values.tolist() == np.array(TIMES, "M8[ns]").tolist()

    def test_texts_flags_and_durations(self, repo: str) -> None:
        """Whatever Zarr stores."""
        whole = xr.Dataset(
            {
                "who": ("time", ["ab", "cde", "f"]),
                "good": ("time", [True, False, True]),
                "took": ("time", np.array([1, 2, 3], "m8[s]").astype("m8[ns]")),
                "count": ("time", np.array([1, 2, 3], "i2")),
            },
            {"time": [1, 2, 3]},
        )

        append(repo, whole[{"time": slice(2)}], whole[{"time": slice(2, 3)}])

        xr.testing.assert_equal(read(repo, "g"), whole)

    def test_the_root(self, repo: str) -> None:
        """Is a group too; a group inside is not in the way."""
        IcechunkCommit(repo)(months(0), group="inside", message="m")

        for start in (0, 1):
            IcechunkAppend(repo)(months(start), message="m")

        xr.testing.assert_identical(read(repo, None), months(0, 2))

    @pytest.mark.parametrize("dim", ["depth", "lat_bounds"])
    def test_a_dimension_without_steps(self, dim: str, reports: Account) -> None:
        """Nothing could tell a step that is there from one that is not."""
        dataset = months(0).expand_dims(lat_bounds=2)

        text = fails(InvalidData, lambda: append("local", dataset, dim=dim))

        assert text == f"the dataset has no steps along '{dim}', or no coordinate that tells them apart"


TIMES = ["2000-01-01", "2000-01-01T01:00", "2000-01-01T01:30", "2000-01-01T01:30:07"]


def packed(dataset: xr.Dataset) -> xr.Dataset:
    dataset.sst.encoding = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 280.0, "_FillValue": -9999}
    return dataset


def hourly(dataset: xr.Dataset) -> xr.Dataset:
    dataset.time.encoding = {"units": "hours since 2000-01-01", "dtype": "int64"}
    return dataset


def noleap(dataset: xr.Dataset) -> xr.Dataset:
    return dataset.convert_calendar("noleap", use_cftime=True)


def same(dataset: xr.Dataset) -> xr.Dataset:
    return dataset


def with_units(units: str) -> Callable[[xr.Dataset], xr.Dataset]:
    return lambda dataset: dataset.assign(sst=dataset.sst.assign_attrs(units=units))


type Drift = Callable[[xr.Dataset], xr.Dataset]

# how the group began with January and February, what comes after, and all that the refusal must say
DRIFT: dict[str, tuple[Drift, Drift, Iterable[str]]] = {
    "units": (same, with_units("degC"), ["attribute 'units' of 'sst'", "'K' in the group", "'degC' in what"]),
    "no units": (same, lambda d: d.drop_attrs(), ["attribute 'units' of 'sst'", "'K' in the group", "None in what"]),
    "type": (same, lambda d: d.astype("f4"), ["type of 'sst'", "'float64' in the group", "'float32' in what"]),
    "calendar": (same, noleap, ["type of 'time'", "'times of the standard calendar'", "calendar noleap'"]),
    "calendar back": (noleap, same, ["type of 'time'", "calendar noleap' in the group", "the standard calendar'"]),
    "flipped": (same, lambda d: d.isel(lat=[2, 1, 0]), ["'lat'", "-10.0 at [0] in the group, 10.0 in what"]),
    "moved": (same, lambda d: d.assign_coords(lon=d.lon + 1), ["'lon'", "0.0 at [0] in the group, 1.0 in what"]),
    "coarser": (same, lambda d: d.isel(lat=[0, 1]), ["'lat'", "3 in the group, 2 in what"]),
    "another mask": (same, lambda d: d.assign(area=d.area * 2), ["'area'", "1.0 at [0, 0] in the group, 2.0 in"]),
    "a mask with holes": (
        lambda d: d.assign(area=d.area.where(d.lon > 0)),
        lambda d: d.assign(area=d.area.where(d.lon > 0) * 2),
        ["'area'", "1.0 at [0, 1] in the group, 2.0 in"],
    ),
    "transposed": (
        same,
        lambda d: d.assign(sst=d.sst.transpose("lat", "time", "lon")),
        ["dimensions of 'sst'", "('time', 'lat', 'lon') in the group", "('lat', 'time', 'lon') in"],
    ),
    "a variable more": (same, lambda d: d.assign(ice=d.sst), ["'ice' is not in the group, which has area, lat, lon"]),
    "a variable less": (
        same,
        lambda d: d.drop_vars("area"),
        ["'area' of the group is missing in what is to be added: lat, lon, sst"],
    ),
    "twice": (same, lambda d: d.isel(time=[0, 1, 0, 1]), ["'time' runs backwards", "2000-04-01", "2000-03-01"]),
    "the same twice": (same, lambda d: d.isel(time=[0, 0]), ["'time' has 2000-03-01 00:00:00 twice in what"]),
    "backwards": (same, lambda d: d.isel(time=[1, 0]), ["'time' runs backwards, from 2000-04-01", "to 2000-03-01"]),
    "before": (
        same,
        lambda d: d.assign_coords(time=d.time - np.timedelta64(214, "D")),
        ["'time' ends at 2000-02-01", "1999-07-31 00:00:00 cannot be appended"],
    ),
    "gap": (
        same,
        lambda d: d.isel(time=[1]),
        ["'time' goes by 1 month in the group", "by 2 months from 2000-02-01 00:00:00 to 2000-04-01 00:00:00"],
    ),
    "gap inside": (same, lambda d: months(2, 4).isel(time=[0, 1, 3]), ["by 2 months from 2000-04-01", "to 2000-06-01"]),
    "missing": (same, lambda d: d.assign(sst=d.sst * np.nan), ["all values of 'sst' from 2000-03-01", "are missing"]),
    "half hours": (
        hourly,
        lambda d: d.assign_coords(time=d.time + np.timedelta64(30, "m")),
        [
            "'time' is stored as int64 hours since 2000-01-01",
            "2000-03-01T00:30",
            "would be read back as 2009-11-10T06:00",
        ],
    ),
    "overflow": (
        packed,
        lambda d: d.assign(sst=d.sst.where(d.lat < 5, 700.0)),
        ["'sst' is stored as int16, scale_factor 0.01, add_offset 280.0", "700 would be read back as 44.64"],
    ),
    "a real fill value": (
        packed,
        lambda d: d.assign(sst=d.sst.where(d.lat < 5, 280 - 99.99)),
        ["'sst' is stored as int16", "180.01 would be read back as nan"],
    ),
    "a long text": (
        lambda d: d.assign(who=("time", ["ab", "cde"])),
        lambda d: d.assign(who=("time", ["f", "ghij"])),
        ["'who' is stored as <U3", "ghij would be read back as ghi:"],
    ),
}


class TestDrift:
    """What xarray appends without a word is refused, with the variable and both values; nothing is committed."""

    @pytest.mark.parametrize("case", DRIFT)
    @pytest.mark.filterwarnings("ignore:Times can't be serialized faithfully")
    def test_drift(self, case: str, repo: str) -> None:
        """See the cases; that they are refused because of the drift, what does not drift shows."""
        before, after, words = DRIFT[case]
        append(repo, before(months(0, 2)))

        text = fails(InvalidData, lambda: append(repo, after(months(2, 2))))

        assert not [word for word in words if word not in text], text
        assert messages(repo) == ["m"]
        append(repo, before(months(2, 2)))
        np.testing.assert_allclose(read(repo, "g").sst, months(0, 4).sst, atol=0.0051)

    @pytest.mark.parametrize("lazy", [False, True])
    def test_overlap(self, lazy: bool, repo: str) -> None:
        """It is told from where to where, and where the group ends."""
        append(repo, months(0, 3))
        wrong = months(1, 3)

        text = fails(Conflict, lambda: append(repo, wrong.chunk() if lazy else wrong))

        assert text == (
            "'time' from 2000-02-01 00:00:00 to 2000-03-01 00:00:00 is in the group already, which ends at "
            "2000-03-01 00:00:00: leave it out, or set policy='skip' or policy='upsert'"
        )
        xr.testing.assert_identical(read(repo, "g"), months(0, 3))

    @pytest.mark.parametrize(
        ("axis", "good", "bad"),
        [
            ([0, 1, 2], [3, 4], [4]),
            ([0.0, 0.1, 0.2], [0.3, 0.4], [0.4]),
            (["2000-01-16T12", "2000-02-15T12", "2000-03-16T12"], ["2000-04-16", "2000-05-16T12"], ["2000-05-16T12"]),
            (["2000-01-31", "2000-02-29"], ["2000-03-31", "2000-04-30"], ["2000-05-31"]),
            (["2000-01-01", "2000-02-01"], ["2000-03-01"], ["2000-02-15"]),
            (["2000-01-01", "2001-01-01"], ["2002-01-01"], ["2003-01-01"]),
            (["2000-01-30", "2000-01-31", "2000-02-01"], ["2000-02-02"], ["2000-03-01"]),
            (["2000-01-01T00", "2000-01-01T03"], ["2000-01-01T06"], ["2000-01-01T07"]),
        ],
        ids=["numbers", "fractions", "mid of month", "end of month", "part of a month", "years", "days", "hours"],
    )
    def test_a_gap(self, axis: list[Any], good: list[Any], bad: list[Any], reports: Account) -> None:
        """Months and years are regular, however long; a gap that is meant is allowed."""
        append("local", steps_of(axis))

        assert "'time' goes by " in fails(InvalidData, lambda: append("local", steps_of(bad)))
        append("local", steps_of(good))
        append("local", steps_of([FAR[type(bad[0])]]), allow=("gap",))

        assert read("local", "g").sizes["time"] == len(axis) + len(good) + 1

    def test_a_gap_in_an_irregular_axis(self, reports: Account) -> None:
        """There nobody can tell; nor after a single step."""
        for first in ([0], [0, 1, 5]):
            group = f"g{len(first)}"
            for steps in (first, [17, 99]):
                IcechunkAppend("local")(steps_of(steps), group=group, message="m")

            assert read("local", group).time.values.tolist() == [*first, 17, 99]

    def test_what_may_be_missing(self, repo: str) -> None:
        """If it is said, and in a single step of several."""
        append(repo, months(0, 2))
        some = months(2, 2)
        some.sst[0] = np.nan

        append(repo, some)
        append(repo, months(4).assign(sst=months(4).sst * np.nan), allow=("missing",))

        assert read(repo, "g").sst.isnull().all(("lat", "lon")).values.tolist() == [False, False, True, False, True]

    def test_what_may_differ(self, repo: str) -> None:
        """Packing as the group does it, other units of the same times, notes about the values; all is stored as what is there."""
        append(repo, packed(hourly(months(0, 2))))
        other = months(2, 2).assign(sst=months(2, 2).sst.astype("f4").assign_attrs(units="K", history="x"))
        other.time.encoding = {"units": "days since 1900-01-01"}

        append(repo, other)

        stored = read(repo, "g")
        assert (stored.sst.encoding["dtype"], stored.time.encoding["units"]) == (np.int16, "hours since 2000-01-01")
        np.testing.assert_allclose(stored.sst, months(0, 4).sst, atol=0.0051)
        assert stored.sst.attrs == {"units": "K"}


FAR: dict[type, Any] = {str: "2010-03-07", float: 99.0, int: 99}  # beyond all


def steps_of(steps: list[Any]) -> xr.Dataset:
    """A one at each step."""
    time = np.array(steps, "M8[ns]") if isinstance(steps[0], str) else steps
    return xr.Dataset({"a": ("time", np.ones(len(steps)))}, {"time": time})


class TestPolicy:
    """What happens to steps that are there already."""

    def test_skip(self, repo: str) -> None:
        """Only what is new is written; where nothing is, there is no commit, and the receipt says so."""
        append(repo, months(0, 3))
        connect(repo).create_tag("before", connect(repo).lookup_branch("main"))

        done = append(repo, months(1, 4), policy="skip")
        nothing = append(repo, months(1, 2), policy="skip")

        xr.testing.assert_identical(read(repo, "g"), months(0, 5))
        assert (done.changed, nothing.changed, nothing.snapshot) == (True, False, done.snapshot)

    def test_skip_of_other_values(self, repo: str) -> None:
        """What was revised is not dropped in silence."""
        append(repo, months(0, 3))

        text = fails(Conflict, lambda: append(repo, months(2, 2, seed=1), policy="skip"))

        assert text == (
            "steps that are in the group already differ there (values of 'sst'): set policy='upsert' to replace"
        )
        xr.testing.assert_identical(read(repo, "g"), months(0, 3))

    @pytest.mark.parametrize("chosen", [[0, 1, 2, 3], [1, 3], [0], [0, 2, 3, 4]], ids=str)
    @pytest.mark.parametrize("lazy", [False, True])
    def test_upsert(self, lazy: bool, chosen: list[int], repo: str) -> None:
        """Steps that are there are written anew, in part of a chunk too; the rest is appended."""
        first, revised = months(0, 4), months(1, 5, seed=1).isel(time=chosen)
        first.sst.encoding["chunks"] = (3, 3, 4)
        append(repo, first)
        append(repo, revised.chunk(time=1) if lazy else revised, policy="upsert", allow=("gap",))

        stored = read(repo, "g")
        kept = months(0, 4).drop_sel(time=revised.time, errors="ignore")
        assert stored.sizes["time"] == kept.sizes["time"] + len(chosen)
        xr.testing.assert_identical(stored.sel(time=kept.time), kept)
        xr.testing.assert_identical(stored.sel(time=revised.time), revised)

    def test_upsert_of_what_lies_between(self, repo: str) -> None:
        """A step that is not there and is no new end is refused: arrays do not grow in the middle."""
        append(repo, months(0, 4).isel(time=[0, 1, 3]))

        text = fails(InvalidData, lambda: append(repo, months(1, 3), policy="upsert"))

        assert text == "'time' ends at 2000-04-01 00:00:00 in the group: 2000-03-01 00:00:00 cannot be appended to it"

    def test_no_policy(self) -> None:
        """A misspelt one is told at once."""
        policy: Any = "upsrt"

        with pytest.raises(ValueError, match=r"policy is one of .*, not 'upsrt'"):
            IcechunkAppend("local", policy=policy)


class TestOnce:
    """A key appends once."""

    def test_a_repeated_key(self, repo: str) -> None:
        """Also after others have appended; the receipt is the first one's."""
        task = IcechunkAppend(repo)
        first = task(months(0, 2), group="g", message="first", key="a")
        task(months(2), group="g", message="second", key="b")

        again = task(months(0, 2), group="g", message="again", key="a")

        assert (again.already, again.snapshot) == (True, first.snapshot)
        xr.testing.assert_identical(read(repo, "g"), months(0, 3))

    @pytest.mark.parametrize(
        ("other", "what"),
        [
            (lambda: months(2, 2, seed=1), "values of 'sst'"),
            (lambda: months(3, 2), "values of 'time'|values of 'sst'"),
            (lambda: months(2, 3), "shape of '(sst|time)'"),
            (lambda: months(2, 2).drop_vars("area"), "variable 'area'"),
        ],
        ids=["values", "times", "length", "variables"],
    )
    def test_a_repeated_key_with_other_content(self, other: Callable[[], xr.Dataset], what: str, repo: str) -> None:
        """It is refused; compared is what the key appended, not what the group is now."""
        task = IcechunkAppend(repo)
        append(repo, months(0, 2))
        task(months(2, 2), group="g", message="first", key="a")
        append(repo, months(3, 2, seed=2), policy="upsert")

        with pytest.raises(Conflict, match=f"this key has committed other content \\(({what})\\)"):
            task(other(), group="g", message="again", key="a")

        assert task(months(2, 2), group="g", message="again", key="a").already

    def test_a_key_of_something_else(self, repo: str) -> None:
        """Of another group, another dimension, or of no append at all."""
        IcechunkAppend(repo)(months(0), group="g", message="first", key="a")
        IcechunkCommit(repo)(months(0), group="h", message="second", key="b")

        for task, group, key in (
            (IcechunkAppend(repo), "h", "a"),
            (IcechunkAppend(repo, "lat"), "g", "a"),
            (IcechunkAppend(repo), "h", "b"),
        ):
            with pytest.raises(Conflict, match=r"this key has committed to '[gh]' along .*: use another key"):
                task(months(0), group=group, message="again", key=key)

    def test_a_commit_that_landed_and_was_not_acknowledged(self, repo: str) -> None:
        """A process that died after its commit is started again with the same key: one step, not two."""
        append(repo, months(0, 2))
        program = (
            "import os\n"
            "task, dataset = it\n"
            "task(dataset, group='g', message='third', key='2000-03')\n"
            "os._exit(0)  # with no word to anybody"
        )

        for _ in range(2):
            elsewhere(program, (IcechunkAppend(repo), months(2)))

        assert messages(repo) == ["third", "m"]
        xr.testing.assert_identical(read(repo, "g"), months(0, 3))


class TestKilled:
    """A process that dies has appended or has not; with the same key the next one makes sure."""

    @pytest.mark.parametrize("kills", [5, pytest.param(30, marks=pytest.mark.slow)])
    def test_at_random_moments(self, kills: int, repo: str, tmp_path: Path) -> None:
        """Each month is there once and whole, or not at all."""
        moments, killed = random.Random(kills), 0
        append(repo, months(0, 2))
        start = time.monotonic()
        assert ended(writer(repo, 2, tmp_path)) == [0]
        usual = time.monotonic() - start

        for number in range(3, kills + 3):
            doomed = writer(repo, number, tmp_path)
            time.sleep(moments.uniform(0, usual) if number > 3 else 0)  # one kill hits for sure
            doomed.kill()
            killed += ended(doomed) == [-signal.SIGKILL]
            found = read(repo, "g")
            xr.testing.assert_identical(found, months(0, found.sizes["time"]))
            append_month(repo, number)

        assert killed > 0
        xr.testing.assert_identical(read(repo, "g"), months(0, kills + 3))
        assert messages(repo) == [*map(str, range(kills + 2, 1, -1)), "m"]


class TestRaces:
    """Whoever else commits meanwhile, the contract holds for what is there in the end."""

    def test_threads_with_one_key(self, repo: str) -> None:
        """One of them appends."""
        append(repo, months(0, 2))

        receipts = at_once(lambda _: IcechunkAppend(repo)(months(2), group="g", message="k", key="k"), 6)

        assert sorted(receipt.already for receipt in receipts) == [False, *[True] * 5]
        xr.testing.assert_identical(read(repo, "g"), months(0, 3))

    def test_threads_that_append_one_month_each(self, repo: str) -> None:
        """In order: who comes too early is refused, because there is a gap, and tries again."""
        append(repo, months(0, 2))

        at_once(lambda number: in_turn(repo, months(number + 2), str(number)), 6)

        xr.testing.assert_identical(read(repo, "g"), months(0, 8))
        assert messages(repo) == ["5", "4", "3", "2", "1", "0", "m"]

    @pytest.mark.parametrize("appends", [12, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
    def test_processes(self, appends: int, repo: str) -> None:
        """Four of them, in turn: none lost, none doubled."""
        append(repo, months(0, 2))
        writers = [begin(append_in_turn, repo, range(2 + first, 2 + 4 * appends, 4)) for first in range(4)]

        assert ended(*writers, within=15 * appends) == [0] * 4

        xr.testing.assert_identical(read(repo, "g"), months(0, 2 + 4 * appends))
        assert messages(repo) == [*map(str, range(1 + 4 * appends, 1, -1)), "m"]

    def test_another_who_appended_the_same_step(self, repo: str) -> None:
        """Between our reading and our commit: it is there once, and theirs."""
        append(repo, months(0, 2))
        late, _ = meanwhile(months(2, seed=1), lambda: append(repo, months(2)))

        text = fails(Conflict, lambda: append(repo, late))

        assert text.startswith("'time' from 2000-03-01 00:00:00 to 2000-03-01 00:00:00 is in the group already")
        xr.testing.assert_identical(read(repo, "g"), months(0, 3))

    def test_another_who_appended_the_step_before(self, repo: str) -> None:
        """The append is done again, after theirs."""
        append(repo, months(0, 2))
        late, times = meanwhile(months(3), lambda: append(repo, months(2)))

        append(repo, late, allow=("gap",))

        xr.testing.assert_identical(read(repo, "g"), months(0, 4))
        assert len(times) == 2

    def test_another_group(self, repo: str) -> None:
        """It is no reason to compute again."""
        append(repo, months(0, 2))
        late, times = meanwhile(months(2), lambda: IcechunkCommit(repo)(months(0), group="h", message="other"))

        append(repo, late)

        xr.testing.assert_identical(read(repo, "g"), months(0, 3))
        assert (len(times), messages(repo)) == (1, ["m", "other", "m"])

    def test_coordinates_that_another_has_changed(self, repo: str) -> None:
        """Icechunk sees no conflict, since other arrays were written; the latitudes would be of other values than these."""
        append(repo, months(0, 2))
        late, _ = meanwhile(months(2), lambda: flip(repo))

        text = fails(InvalidData, lambda: append(repo, late))

        assert "'lat': 10.0 at [0] in the group, -10.0 in what is to be added" in text
        assert messages(repo) == ["flipped", "m"]


def writer(repo: str, number: int, folder: Path) -> BaseProcess:
    """A process that appends a month; it has begun to by now."""
    ready = folder / f"ready-{number}"
    process = begin(append_when_ready, ready, repo, number)
    wait_for(ready)
    return process


def flip(repo: str) -> None:
    """Turn the latitudes, and nothing else."""
    session = connect(repo).writable_session("main")
    zarr.open_array(session.store, path="g/lat")[:] = [10.0, 0.0, -10.0]
    session.commit("flipped")


class TestRealData:
    """Files as they come, month by month."""

    def test_the_months_of_nemo(self, repo: str) -> None:
        """Their own time counter is 0.0 in each: refused. By their centred times, of 360 days a year, they are one dataset."""
        paths = sorted((SAMPLES / "NEMO").glob("*.nc"))
        raw = [xr.open_dataset(path).load() for path in paths]
        IcechunkAppend(repo, "time_counter")(raw[0], group="raw", message="m")
        parts = [part.swap_dims(time_counter="time_centered") for part in raw]

        text = fails(Conflict, lambda: IcechunkAppend(repo, "time_counter")(raw[1], group="raw", message="m"))
        for part in parts:
            IcechunkAppend(repo, "time_centered")(part, group="g", message="m")

        assert text.startswith("'time_counter' from 0.0 to 0.0 is in the group already, which ends at 0.0")
        stored = read(repo, "g")
        assert [str(each)[:10] for each in stored.time_centered.values] == ["2015-01-16", "2015-02-16", "2015-03-16"]
        for number, part in enumerate(parts):
            xr.testing.assert_equal(stored.isel(time_centered=[number]), part)

    @pytest.mark.parametrize(
        ("name", "step"), [("ostia_monthly.nc", 18), ("E1_north_america.nc", 120)], ids=["ostia", "e1"]
    )
    @pytest.mark.parametrize("lazy", [None, {}], ids=["loaded", "dask"])
    def test_monthly_and_yearly_files(self, name: str, step: int, lazy: dict[str, int] | None, repo: str) -> None:
        """Mid-month times of the standard calendar, and yearly ones of 360 days; a part left out is noticed."""
        with xr.open_dataset(SAMPLES / name, chunks=lazy) as whole:
            parts = [whole.isel(time=slice(start, start + step)) for start in range(0, whole.sizes["time"], step)]
            append(repo, parts[0])
            if len(parts) > 2:
                assert "'time' goes by 1 month" in fails(InvalidData, lambda: append(repo, parts[2]))
            append(repo, *parts[1:])

            xr.testing.assert_equal(read(repo, "g"), whole.load())
