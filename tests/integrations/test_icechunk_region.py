"""Writes to a part of a dataset: whole chunks, labels that agree, and nothing computed from what is no longer there."""

import re
from collections.abc import Callable
from typing import Any

import icechunk
import numpy as np
import pytest
import xarray as xr
import zarr

from bondstone.blocks import Conflict, InvalidData, InvalidName, NotFound
from bondstone.integrations.icechunk import (
    IcechunkAppend,
    IcechunkCommit,
    IcechunkRegionWrite,
    LostUpdateWarning,
    connect,
)
from bondstone.integrations.receipts import CommitReceipt
from tests.integrations.conftest import Account, elsewhere
from tests.integrations.failing import fails
from tests.integrations.growing import meanwhile, months
from tests.integrations.versions import at_once, loaded, messages, read

pytestmark = pytest.mark.filterwarnings("ignore:.*consolidated.*:RuntimeWarning")


@pytest.fixture(params=["local", "ocean"])
def repo(request: pytest.FixtureRequest, reports: Account) -> str:
    """A repository in a local folder, and one in a bucket; the group `g` has eight months in chunks of two."""
    begin(str(request.param), "g")
    return str(request.param)


def begin(repo: str, group: str) -> CommitReceipt:
    dataset = months(0, 8)
    dataset.sst.encoding["chunks"] = (2, 3, 2)
    return IcechunkCommit(repo)(dataset, group=group, message="begun")


def write(repo: str, content: Any, start: int, stop: int, **words: Any) -> CommitReceipt:
    """Write some months of the group `g`."""
    words = {"group": "g", "message": "m", "region": {"time": slice(start, stop)}} | words
    return IcechunkRegionWrite(repo)(content, **words)


def other(start: int, stop: int, seed: int = 1) -> xr.Dataset:
    """Other temperatures for some of the months."""
    return months(start, stop - start, seed)[["sst"]]


class TestWriting:
    """The region is what was written, all else is what it was."""

    @pytest.mark.parametrize("region", [{"time": slice(2, 6)}, "auto"], ids=["slices", "auto"])
    @pytest.mark.parametrize("lazy", [False, True])
    def test_a_region(self, region: Any, lazy: bool, repo: str) -> None:
        """By numbers, or where the coordinates are."""
        new = other(2, 6)

        receipt = write(repo, new.chunk(time=1) if lazy else new, 0, 0, region=region)

        stored = read(repo, "g")
        xr.testing.assert_identical(stored.isel(time=slice(2, 6))[["sst"]], new)
        xr.testing.assert_identical(stored.isel(time=[0, 1, 6, 7]), months(0, 8).isel(time=[0, 1, 6, 7]))
        assert (receipt.changes.added, receipt.changes.updated, receipt.changes.chunks) == (0, 0, 4)

    def test_two_dimensions_and_no_labels(self, repo: str) -> None:
        """A dataset without coordinates goes where the region says."""
        new = other(2, 4).isel(lon=slice(2, 4)).drop_vars(["time", "lat", "lon"])

        write(repo, new, 0, 0, region={"time": slice(2, 4), "lon": slice(2, 4)})

        stored = read(repo, "g").sst.values
        np.testing.assert_array_equal(stored[2:4, :, 2:], new.sst.values)
        np.testing.assert_array_equal(stored[2:4, :, :2], months(0, 8).sst.values[2:4, :, :2])

    def test_the_end(self, repo: str) -> None:
        """The last chunk may be a part of one."""
        IcechunkAppend(repo)(months(8), group="g", message="m")

        write(repo, other(8, 9), 8, 9)

        xr.testing.assert_identical(read(repo, "g").isel(time=[8])[["sst"]], other(8, 9))

    def test_a_region_of_the_root(self, reports: Account) -> None:
        """Is one of a group like any other."""
        IcechunkCommit("local")(months(0, 2), message="m")

        write("local", other(0, 2), 0, 2, group=None, reads=["/area"], since=connect("local").lookup_branch("main"))

        xr.testing.assert_identical(read("local", None)[["sst"]], other(0, 2))


class TestRefused:
    """What would be written where it does not belong; nothing is committed."""

    @pytest.mark.parametrize(
        ("start", "stop", "whole"), [(1, 4, "0:4"), (2, 5, "2:6"), (3, 4, "2:4"), (7, 8, "6:8")], ids=str
    )
    def test_parts_of_chunks(self, start: int, stop: int, whole: str, repo: str) -> None:
        """Named are the variable, the dimension, the size of a chunk, and the bounds, given and whole."""
        text = fails(InvalidData, lambda: write(repo, other(start, stop), start, stop))

        assert text == (f"'sst' has chunks of 2 along 'time', and {start}:{stop} is not whole chunks: write {whole}")
        assert messages(repo) == ["begun"]

    def test_parts_of_shards(self, repo: str) -> None:
        """Which are written as a whole, whatever chunks are in them."""
        dataset = months(0, 8)
        dataset.sst.encoding = {"chunks": (1, 3, 4), "shards": (4, 3, 4)}
        IcechunkCommit(repo)(dataset, group="s", message="m")

        text = fails(InvalidData, lambda: write(repo, other(2, 4), 2, 4, group="s"))
        write(repo, other(4, 8), 4, 8, group="s")

        assert text == "'sst' has chunks of 4 along 'time', and 2:4 is not whole chunks: write 0:4"
        xr.testing.assert_identical(read(repo, "s").isel(time=slice(4, 8))[["sst"]], other(4, 8))

    @pytest.mark.parametrize(
        ("content", "region", "words"),
        [
            (other(4, 6), {"time": slice(2, 4)}, "values of 'time': 2000-03-01T00:00:00.000000000 at [0] in the group"),
            (other(2, 4).isel(lat=[2, 1, 0]), "auto", "not in one piece"),
            (other(2, 4).isel(lat=[2, 1, 0]), {"time": slice(2, 4)}, "'lat': -10.0 at [0] in the group, 10.0 in"),
            (other(6, 10), "auto", "'time' has 2000-09-01 00:00:00, which is not in the group: append it"),
            (other(2, 6), {"time": slice(2, 4)}, "length of 'sst' along 'time': 2 in the group, 4 in what"),
            (
                other(2, 4),
                {"depth": slice(2, 4)},
                "the region has 'depth': slice(2, 4, None), the group {'lat': 3, 'lon': 4, 'time': 8}",
            ),
            (other(2, 4), {"time": slice(2, 6, 2)}, "the region has 'time': slice(2, 6, 2)"),
            (other(2, 4).rename(sst="ice"), {"time": slice(2, 4)}, "the variable 'ice' is not in the group"),
            (other(2, 4).astype("f4"), {"time": slice(2, 4)}, "type of 'sst': 'float64' in the group, 'float32' in"),
            (other(2, 4).drop_attrs(), {"time": slice(2, 4)}, "attribute 'units' of 'sst': 'K' in the group, None in"),
            (other(2, 4)[["time"]], {"time": slice(2, 4)}, "no variable of the dataset lies in the region along time"),
        ],
    )
    def test_what_does_not_go_there(self, content: xr.Dataset, region: Any, words: str, reports: Account) -> None:
        """Labels, lengths, names, types and units are those of the region."""
        begin("local", "g")
        text = fails(InvalidData, lambda: write("local", content, 0, 0, region=region))

        assert words in text
        assert messages("local") == ["begun"]

    def test_packed_values_that_do_not_fit(self, repo: str) -> None:
        """They would be read back as others."""
        dataset = months(0, 4)
        dataset.sst.encoding = {"dtype": "int16", "scale_factor": 0.01, "_FillValue": -9999, "chunks": (2, 3, 4)}
        IcechunkCommit(repo)(dataset, group="p", message="m")
        hot = other(2, 4).assign(sst=other(2, 4).sst.where(other(2, 4).lat < 5, 400.0))

        text = fails(InvalidData, lambda: write(repo, hot, 2, 4, group="p"))

        assert text.startswith(
            "'sst' is stored as int16, scale_factor 0.01, in which 400 would be read back as -255.36"
        )
        assert messages(repo) == ["m", "begun"]

    def test_what_is_not_there(self, repo: str) -> None:
        """A group, or a version."""
        assert fails(NotFound, lambda: write(repo, other(0, 2), 0, 2, group="h")) == (
            f"there is no group 'h' in icechunk-repo/{repo}: commit it first"
        )
        for since in ("1CECHNKREP0F1RSTCMT0"[::-1], "x"):
            text = fails(Conflict, lambda since=since: write(repo, other(0, 2), 0, 2, since=since))  # type: ignore[misc]
            assert text == f"'{since}' is no version in the history of this branch, or has expired: read again"
        text = fails(NotFound, lambda: write(repo, lambda _: other(0, 2), 0, 2, reads=["sst", "slt"]))
        assert text == "there is no '/g/slt' to have been read: correct reads="
        with pytest.raises(InvalidName):
            write(repo, other(0, 2), 0, 2, group="a/../b")

    def test_no_such_policy(self) -> None:
        """A misspelt one is told at once."""
        policy: Any = "theirs"

        with pytest.raises(ValueError, match="on_conflict is 'refuse' or 'ours', not 'theirs'"):
            IcechunkRegionWrite("local", on_conflict=policy)

    def test_reads_of_nobody_knows_when(self, reports: Account) -> None:
        """What a dataset was computed from was read before the call."""
        text = fails(InvalidData, lambda: write("local", other(0, 2), 0, 2, reads=["sst"]))

        assert text == ("reads= of a dataset needs since=, the snapshot that it was computed from; or pass a function")


class TestOnce:
    """A key writes once."""

    def test_a_repeated_key(self, repo: str) -> None:
        """Also after others have written the region; other content, or another region, is refused."""
        first = write(repo, other(2, 4), 2, 4, key="a")
        write(repo, other(2, 4, seed=2), 2, 4)

        again = write(repo, other(2, 4), 2, 4, key="a", since=first.parent, reads=["sst"])

        assert (again.already, again.snapshot) == (True, first.snapshot)
        for content, start, stop in ((other(2, 4, seed=3), 2, 4), (other(4, 6), 4, 6), (other(2, 6), 2, 6)):
            with pytest.raises(Conflict, match="this key has committed another region, or other content"):
                write(repo, content, start, stop, key="a")

    def test_a_key_of_something_else(self, repo: str) -> None:
        """Of another group, or of no region, also for a function."""
        begin(repo, "h")
        write(repo, other(2, 4), 2, 4, key="a")
        IcechunkCommit(repo)(months(0, 8), group="g", message="m", key="b")

        for content in (other(2, 4), lambda _: other(2, 4)):
            for group, key in (("h", "a"), ("g", "b")):
                with pytest.raises(Conflict, match="this key has committed something else: use another key"):
                    write(repo, content, 2, 4, group=group, key=key)

    def test_a_repeated_key_of_a_function(self, repo: str) -> None:
        """It is not called again."""
        calls: list[int] = []

        def compute(_: icechunk.Session) -> xr.Dataset:
            calls.append(1)
            return other(2, 4)

        receipts = [write(repo, compute, 2, 4, key="a") for _ in range(2)]

        assert [receipt.already for receipt in receipts] == [False, True]
        assert len(calls) == 1

    def test_a_commit_that_landed_and_was_not_acknowledged(self, repo: str) -> None:
        """A process that died after its commit is started again with the same key."""
        program = (
            "import os\n"
            "task, dataset = it\n"
            "task(dataset, region='auto', group='g', message='m', key='k')\n"
            "os._exit(0)  # with no word to anybody"
        )

        for _ in range(2):
            elsewhere(program, (IcechunkRegionWrite(repo), other(2, 4)))

        assert messages(repo) == ["m", "begun"]


class TestRaces:
    """Others write meanwhile."""

    def test_regions_of_one_array(self, repo: str) -> None:
        """Writers of other chunks go together, none is lost, none computes twice."""
        calls: list[int] = []

        def compute(number: int) -> Callable[[icechunk.Session], xr.Dataset]:
            def computed(_: icechunk.Session) -> xr.Dataset:
                calls.append(number)
                return other(2 * number, 2 * number + 2)

            return computed

        at_once(lambda number: write(repo, compute(number), 2 * number, 2 * number + 2), 4)

        xr.testing.assert_identical(read(repo, "g")[["sst"]], other(0, 8))
        assert len(messages(repo)) == 5
        assert len(calls) < 12  # icechunk's rebase is tried three times before a new attempt

    def test_an_append_meanwhile(self, repo: str) -> None:
        """It makes the array longer, which is no reason to refuse a region of it."""
        late, _ = meanwhile(other(2, 4), lambda: IcechunkAppend(repo)(months(8), group="g", message="longer"))

        write(repo, late, 2, 4)

        xr.testing.assert_identical(read(repo, "g").isel(time=slice(2, 4))[["sst"]], other(2, 4))
        assert messages(repo) == ["m", "longer", "begun"]

    def test_another_who_wrote_the_same_chunks(self, repo: str) -> None:
        """A dataset does not replace what it has not seen; their rows stay."""
        late, _ = meanwhile(other(2, 4), lambda: write(repo, other(2, 4, seed=2), 2, 4))

        text = fails(Conflict, lambda: write(repo, late, 2, 4))

        assert text.startswith("/g/sst has changed since the version ")
        assert text.endswith(": compute again from what is there now")
        xr.testing.assert_identical(read(repo, "g").isel(time=slice(2, 4))[["sst"]], other(2, 4, seed=2))

    def test_another_who_wrote_the_same_chunks_of_which_others_were_read(self, repo: str) -> None:
        """What was read does not stand for what is written."""
        since, reads = connect(repo).lookup_branch("main"), {"sst": {"time": slice(6, 8)}}
        late, _ = meanwhile(other(2, 4), lambda: write(repo, other(2, 4, seed=2), 2, 4))

        text = fails(Conflict, lambda: write(repo, late, 2, 4, reads=reads, since=since))

        assert text.startswith(f"/g/sst has changed since the version {since}")

    def test_a_function_sees_what_another_wrote(self, repo: str) -> None:
        """It is called anew; no increment is lost."""
        hook: list[Callable[[], object]] = [lambda: write(repo, more(repo), 2, 4)]

        def compute(session: icechunk.Session) -> xr.Dataset:
            dataset = loaded(session, "g").isel(time=slice(2, 4))[["sst"]] + 1
            if hook:
                hook.pop()()
            return dataset.assign(sst=dataset.sst.assign_attrs(units="K"))

        write(repo, compute, 2, 4)

        np.testing.assert_allclose(read(repo, "g").sst[2:4], months(2, 2).sst + 2)

    def test_ours(self, repo: str) -> None:
        """If it is asked for, theirs are dropped, and a warning says so; the history still has them."""
        late, _ = meanwhile(other(2, 4), lambda: write(repo, other(2, 4, seed=2), 2, 4, message="theirs"))
        task = IcechunkRegionWrite(repo, on_conflict="ours")

        with pytest.warns(LostUpdateWarning, match=f"rows that others write to {repo} meanwhile are dropped"):
            receipt = task(late, region="auto", group="g", message="ours")

        assert messages(repo) == ["ours", "theirs", "begun"]
        xr.testing.assert_identical(read(repo, "g").isel(time=slice(2, 4))[["sst"]], other(2, 4))
        assert receipt.parent is not None
        before = loaded(connect(repo).readonly_session(snapshot_id=receipt.parent), "g")
        xr.testing.assert_identical(before.isel(time=slice(2, 4))[["sst"]], other(2, 4, seed=2))


def more(repo: str) -> xr.Dataset:
    """One more than what is there."""
    dataset = read(repo, "g").isel(time=slice(2, 4))[["sst"]] + 1
    return dataset.assign(sst=dataset.sst.assign_attrs(units="K"))


class TestWriteSkew:
    """Two who each read what the other writes: one after the other would end otherwise, so one of them must see it."""

    @pytest.fixture
    def doctors(self, repo: str) -> str:
        """Two arrays of ones, of which the sum shall never be 0."""
        duty = xr.Dataset({name: ("ward", np.ones(2)) for name in "ab"})
        IcechunkCommit(repo)(duty, group="duty", message="on duty")
        return repo

    def test_icechunk_alone(self, doctors: str) -> None:
        """No solver sees it: both pass, and nobody is on duty."""
        sessions = {name: connect(doctors).writable_session("main") for name in "ab"}
        for name, session in sessions.items():
            if loaded(session, "duty")["ab".replace(name, "")].values.all():
                zarr.open_array(session.store, path=f"duty/{name}")[:] = 0

        for session in sessions.values():
            session.commit("off", rebase_with=icechunk.ConflictDetector())

        assert read(doctors, "duty").to_array().values.sum() == 0

    def test_functions(self, doctors: str) -> None:
        """The one who is late is called again, sees the other, and stays."""
        hook: list[Callable[[], object]] = [lambda: leave(doctors, "b", [])]

        leave(doctors, "a", hook)

        assert read(doctors, "duty").a.values.all()
        assert not read(doctors, "duty").b.values.any()

    def test_a_function_that_does_not_say_what_it_read(self, doctors: str) -> None:
        """It gets what icechunk gives."""
        leave(doctors, "a", [lambda: leave(doctors, "b", [])], reads=False)

        assert read(doctors, "duty").to_array().values.sum() == 0

    @pytest.mark.parametrize("reads", ["b", ["b"], ["/duty/b"], ["/duty"], {"b": {"ward": slice(0, 1)}}], ids=str)
    def test_datasets(self, reads: Any, doctors: str) -> None:
        """They are refused: from what they were computed is gone."""
        since = connect(doctors).lookup_branch("main")
        off = xr.Dataset({"a": ("ward", np.zeros(2))})
        leave(doctors, "b", [])

        text = fails(
            Conflict,
            lambda: write(doctors, off, 0, 0, region={"ward": slice(0, 2)}, group="duty", reads=reads, since=since),
        )

        assert text == (
            f"{'/duty' if reads == ['/duty'] else '/duty/b'} has changed since the version {since}: "
            "compute again from what is there now"
        )

    def test_between_the_check_and_the_commit(self, doctors: str) -> None:
        """The reads are looked at once more when others have committed."""
        since = connect(doctors).lookup_branch("main")
        off, _ = meanwhile(xr.Dataset({"sst": ("ward", np.zeros(2))}), lambda: leave(doctors, "b", []))
        late = xr.Dataset({"a": off.sst})

        text = fails(
            Conflict,
            lambda: write(doctors, late, 0, 0, region={"ward": slice(0, 2)}, group="duty", reads=["b"], since=since),
        )

        assert text.startswith("/duty/b has changed")

    @pytest.mark.parametrize(
        "change",
        [
            lambda repo: write(repo, other(6, 8), 6, 8),
            lambda repo: begin(repo, "other"),
            lambda repo: IcechunkAppend(repo)(months(8), group="g", message="m"),
        ],
        ids=["other chunks", "another group", "longer"],
    )
    def test_what_was_not_read(self, change: Callable[[str], object], repo: str) -> None:
        """It may change, if it is said which part was read."""
        since = connect(repo).lookup_branch("main")
        change(repo)

        write(repo, other(0, 2), 0, 2, reads={"sst": {"time": slice(0, 5)}}, since=since)

        xr.testing.assert_identical(read(repo, "g").isel(time=slice(0, 2))[["sst"]], other(0, 2))

    @pytest.mark.parametrize(
        "change",
        [
            lambda repo: write(repo, other(4, 6), 4, 6),
            lambda repo: begin(repo, "g"),
            lambda repo: attributes(repo),
        ],
        ids=["a chunk of it", "all anew", "attributes"],
    )
    def test_what_was_read(self, change: Callable[[str], object], repo: str) -> None:
        """A chunk of the part, the array made anew, its attributes."""
        since = connect(repo).lookup_branch("main")
        change(repo)

        text = fails(
            Conflict,
            lambda: write(repo, other(0, 2), 0, 2, reads={"sst": {"time": slice(0, 5)}}, since=since),
        )

        assert re.match("/g/(sst|time) has changed since the version ", text)

    def test_labels_that_another_has_changed(self, repo: str) -> None:
        """They are read by every write that has labels, said or not."""

        def moved() -> None:
            session = connect(repo).writable_session("main")
            zarr.open_array(session.store, path="g/lat")[:] = [1.0, 2.0, 3.0]
            session.commit("moved")

        late, _ = meanwhile(other(2, 4), moved)

        assert "'lat': 1.0 at [0] in the group, -10.0 in" in fails(InvalidData, lambda: write(repo, late, 2, 4))


def leave(repo: str, name: str, hook: list[Callable[[], object]], *, reads: bool = True) -> CommitReceipt:
    """Set an array to 0 if the other is not."""
    theirs = "ab".replace(name, "")

    def compute(session: icechunk.Session) -> xr.Dataset:
        duty = loaded(session, "duty")
        if hook:
            hook.pop()()
        return xr.Dataset({name: duty[name] * 0 if duty[theirs].values.all() else duty[name]})

    task = IcechunkRegionWrite(repo)
    words: dict[str, Any] = {"reads": [theirs]} if reads else {}
    return task(compute, region={"ward": slice(0, 2)}, group="duty", message=f"{name} leaves", **words)


def attributes(repo: str) -> None:
    """Change what is told about the values."""
    session = connect(repo).writable_session("main")
    zarr.open_array(session.store, path="g/sst").attrs["comment"] = "bad"
    session.commit("comment")
