"""What a preview says is what a commit does, and nothing comes of it."""

import pickle
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
import xarray as xr
import zarr

from bondstone.integrations.icechunk import IcechunkCommit, IcechunkPreview, connect
from bondstone.integrations.icechunk.drift import Drift, Statistics
from tests.integrations.conftest import Account
from tests.integrations.oceans import messages, sea

pytestmark = pytest.mark.filterwarnings("ignore:.*consolidated.*:RuntimeWarning")


@pytest.fixture(params=["local", "ocean"])
def repo(request: pytest.FixtureRequest, reports: Account) -> str:
    """The name of a repository in a local folder, and of one in a bucket."""
    return str(request.param)


def stored(repo: str) -> int:
    """Bytes of all chunks that a version needs."""
    return connect(repo).chunk_storage_stats().non_virtual_bytes()


class TestCounting:
    """Chunks and bytes."""

    def test_a_first_commit(self, repo: str) -> None:
        """Everything is added; the bytes are those that the commit then takes."""
        preview = IcechunkPreview(repo)(sea(1), group="g")
        shown = messages(repo)
        receipt = IcechunkCommit(repo)(sea(1), group="g", message="m")

        assert shown == []
        assert (preview.chunks_added, preview.chunks_overwritten) == (receipt.changes.chunks, 0) == (4, 0)
        assert preview.bytes == stored(repo)
        assert (preview.block, preview.version, preview.group) == (f"icechunk-repo/{repo}", 1, "g")

    def test_a_later_commit(self, repo: str) -> None:
        """Chunks at a place that has one are overwritten; those beside are added."""
        IcechunkCommit(repo)(sea(1), group="g", message="m")

        preview = IcechunkPreview(repo)(sea(2, rows=6), group="g")

        assert (preview.chunks_added, preview.chunks_overwritten) == (2, 4)

    def test_a_function(self, repo: str) -> None:
        """What it would write into what is there."""
        IcechunkCommit(repo)(sea(1), group="g", message="m")

        def write(session: icechunk.Session) -> None:
            zarr.open_array(session.store, path="g/sst")[1:3] = 0.5

        preview = IcechunkPreview(repo)(write, group="g")

        assert (preview.chunks_added, preview.chunks_overwritten) == (0, 2)
        assert preview.after["sst"].maximum == preview.before["sst"].maximum
        assert messages(repo) == ["m"]
        assert not preview.drift

    def test_a_dataset_leaves_nothing_behind(self, repo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither a chunk in the storage nor a temporary file."""
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        IcechunkCommit(repo)(sea(1), group="g", message="m")
        before = _objects(repo)

        IcechunkPreview(repo)(sea(2), group="g")

        assert _objects(repo) == before
        (ours,) = tmp_path.glob("bondstone-*")
        assert not list(ours.iterdir())


class TestDrift:
    """What differs from what is there."""

    def test_structure(self, reports: Account) -> None:
        """Variables, types, dimensions, shapes and attributes, with both sides."""
        before = _fields(units="K", extra=True)
        after = _fields(units="degC", dtype="f4").transpose("x", "time").assign_attrs(title="new")
        IcechunkCommit("local")(before, group="g", message="m")

        preview = IcechunkPreview("local")(after.assign(wind=("x", [1, 2, 3])), group="g")

        assert set(preview.drift) == {
            Drift(None, "attribute title", None, "new"),
            Drift("extra", "deleted", "float64 {}", None),
            Drift("wind", "added", None, "int64 {'x': 3}"),
            Drift("sst", "dtype", "float64", "float32"),
            Drift("sst", "dimensions", "('time', 'x')", "('x', 'time')"),
            Drift("sst", "shape", "(2, 3)", "(3, 2)"),
            Drift("sst", "attribute units", "K", "degC"),
        }

    def test_units_of_a_time(self, reports: Account) -> None:
        """Which reading hides from the attributes."""
        times = np.array(["2026-01-01", "2026-01-02"], dtype="datetime64[ns]")
        before = xr.Dataset(coords={"time": times})
        before.time.encoding = {"units": "days since 2000-01-01", "dtype": "int64"}
        after = xr.Dataset(coords={"time": times})
        after.time.encoding = {"units": "hours since 1970-01-01", "dtype": "int64"}
        IcechunkCommit("local")(before, group="g", message="m")

        (drift,) = IcechunkPreview("local")(after, group="g").drift

        assert (drift.variable, drift.what, drift.before, drift.after) == (
            "time",
            "attribute units",
            "days since 2000-01-01",
            "hours since 1970-01-01",
        )

    def test_values(self, repo: str) -> None:
        """Minimum, maximum, mean, and the share of what is missing; of the group alone; nothing before is nothing."""
        IcechunkCommit(repo)(_fields(), group="g", message="m")

        preview = IcechunkPreview(repo)(_fields().where(_fields().sst > 1), group="g")

        assert preview.before["sst"] == Statistics(0, 5, 2.5, 0)
        assert preview.after["sst"] == Statistics(2, 5, 3.5, 1 - 4 / 6)
        assert IcechunkPreview(repo)(_fields(), group="other").before == {}

    def test_nothing_but_missing(self, reports: Account) -> None:
        """No number is made up; of no values at all, none is missing."""
        empty = xr.Dataset({"a": ("x", [np.nan, np.nan]), "b": ("y", np.zeros(0))})

        preview = IcechunkPreview("local")(empty, group="g")

        assert preview.after == {"a": Statistics(None, None, None, 1), "b": Statistics(None, None, None, 0)}


class TestLooking:
    """A picture, or a page in one file."""

    def test_a_picture(self, repo: str, tmp_path: Path) -> None:
        """PNG; of planes, lines, and what was not there before."""
        IcechunkCommit(repo)(_fields(extra=True), group="g", message="m")
        preview = IcechunkPreview(repo)(_fields(line=True), group="g")

        path = preview.plot(tmp_path / "look.png")

        assert path.read_bytes().startswith(b"\x89PNG\r\n")
        assert "looks" not in repr(preview)

    def test_a_page(self, reports: Account, tmp_path: Path) -> None:
        """It loads nothing, and shows names as text."""
        odd = _fields(units="<script>").rename(sst="<b>")
        page = IcechunkPreview("local")(odd, group="g").plot(tmp_path / "look.html").read_text()

        assert "data:image/png;base64,iVBOR" in page
        assert not re.search(r"<script|<b>|https?://", page)
        assert "<td>&lt;b&gt;</td><td>after</td><td>0.0</td><td>5.0</td><td>2.5</td><td>0.0</td>" in page

    def test_many_dimensions_are_thinned_out(self, reports: Account) -> None:
        """The last plane, at most some hundred points a side."""
        cube = xr.Dataset({"a": (("t", "y", "x"), np.arange(2 * 900 * 3.0).reshape(2, 900, 3))})

        (_, after) = IcechunkPreview("local")(cube, group="g").looks

        assert after["a"].shape == (225, 3)
        assert after["a"][0, 0] == 2700

    def test_another_suffix(self, reports: Account, tmp_path: Path) -> None:
        """Is refused before anything is drawn."""
        with pytest.raises(ValueError, match=r"a quick-look is a \.png or a \.html file"):
            IcechunkPreview("local")(_fields(), group="g").plot(tmp_path / "look.pdf")

    def test_it_travels(self, reports: Account) -> None:
        """From a worker, picture and all."""
        preview = IcechunkPreview("local")(_fields(), group="g")

        assert pickle.loads(pickle.dumps(preview)) == preview


def _fields(units: str = "K", dtype: str = "f8", *, extra: bool = False, line: bool = False) -> xr.Dataset:
    dataset = xr.Dataset({"sst": (("time", "x"), np.arange(6.0).reshape(2, 3).astype(dtype), {"units": units})})
    if extra:
        dataset["extra"] = 1.0
    return dataset.assign(line=("x", [1.0, 2.0, 3.0])) if line else dataset


def _objects(repo: str) -> Any:
    """What a collection would find that no version needs."""
    done = connect(repo).garbage_collect(datetime.now(UTC) + timedelta(hours=1), dry_run=True)
    return done.chunks_deleted, done.bytes_deleted
