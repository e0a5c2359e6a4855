"""While a task of ours writes, more chunks are under way at once than Zarr lets be, unless the user has chosen a number."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.array
import icechunk
import numpy as np
import pytest
import xarray as xr
import zarr

from bondstone.integrations.concurrency import CONCURRENCY, concurrent_writes
from bondstone.integrations.icechunk import IcechunkCommit, connect
from bondstone.integrations.icechunk.repo import repo
from bondstone.integrations.icechunk.workers import Job, put
from bondstone.integrations.zarr import ZarrWrite
from tests.integrations.conftest import Account, elsewhere, save

pytestmark = pytest.mark.filterwarnings("ignore:.*onsolidated.*")


@pytest.fixture(autouse=True)
def zarrs_own() -> Iterator[None]:
    """Whatever a test does to it, the next one finds what Zarr has by itself."""
    yield
    zarr.config.set({"async.concurrency": 10})


@pytest.fixture
def local(home: Path, tmp_path: Path) -> str:
    """A repository in a folder."""
    save("icechunk-repo/local", path=str(tmp_path / "ocean.icechunk"))
    return "local"


class TestWriting:
    """The number while it lasts, and afterwards."""

    def test_a_commit(self, local: str) -> None:
        """32 within, Zarr's own after it; also when the write fails."""
        within: list[int] = []

        def write(session: icechunk.Session) -> None:
            within.append(now())
            zarr.create_array(session.store, name="a", data=np.arange(3))

        def fail(_: icechunk.Session) -> None:
            raise ZeroDivisionError

        IcechunkCommit(local)(write, message="m")
        with pytest.raises(ZeroDivisionError):
            IcechunkCommit(local)(fail, message="m")

        assert within == [CONCURRENCY]
        assert now() == 10

    def test_a_dataset_without_icechunk(self, reports: Account) -> None:
        """`ZarrWrite`, which writes to a bucket."""
        within: list[int] = []

        ZarrWrite("reports")(xr.Dataset({"a": ("x", lazy(within))}), path="x.zarr")

        assert within == [CONCURRENCY]
        assert now() == 10

    def test_a_block_that_a_worker_writes(self, local: str) -> None:
        """In its own process, which has its own configuration."""
        within: list[int] = []
        IcechunkCommit(local)(xr.Dataset({"a": ("x", np.zeros(4))}), group="g", message="m")
        fork = connect(local).writable_session("main").fork()

        put(Job(repo(local), pickle.dumps(fork), "g"), "a", {"x": slice(0, 4)}, lazy(within))

        assert within == [CONCURRENCY]
        assert now() == 10


class TestTheUsersOwn:
    """Zarr's configuration is the user's."""

    @pytest.mark.parametrize("number", [3, CONCURRENCY, 100])
    def test_a_number_by_code(self, number: int) -> None:
        """Counts, within and after."""
        with zarr.config.set({"async.concurrency": number}):
            with concurrent_writes():
                assert now() == number
            assert now() == number

    @pytest.mark.parametrize("number", [10, 5])
    def test_a_number_by_the_environment(self, home: Path, number: int) -> None:
        """Also the very one that Zarr has by itself."""
        told = elsewhere(
            "import zarr\n"
            "from bondstone.integrations.concurrency import concurrent_writes\n"
            "with concurrent_writes():\n"
            "    print(zarr.config.get('async.concurrency'))\n",
            ZARR_ASYNC__CONCURRENCY=str(number),
        )

        assert told == str(number)

    def test_a_number_that_is_set_meanwhile(self) -> None:
        """Stays, by whoever set it; what their `with` brings back is put right by the next write."""
        with concurrent_writes():
            theirs = zarr.config.set({"async.concurrency": 7})
        assert now() == 7

        theirs.__exit__(None, None, None)
        with concurrent_writes():
            assert now() == CONCURRENCY

        assert now() == 10


class TestAtTheSameTime:
    """The setting is one for all threads of the process."""

    def test_writes_that_overlap(self) -> None:
        """The first raises it, the last puts it back, in whatever order they began."""
        first, second = concurrent_writes(), concurrent_writes()
        first.__enter__()
        second.__enter__()

        first.__exit__(None, None, None)

        assert now() == CONCURRENCY
        second.__exit__(None, None, None)
        assert now() == 10


def now() -> Any:
    return zarr.config.get("async.concurrency")


def lazy(within: list[int]) -> Any:
    """Four numbers, which note the setting when they are computed."""

    def compute(block: np.ndarray) -> np.ndarray:
        within.append(now())
        return block + 1

    array: Any = dask.array
    return array.from_array(np.zeros(4), chunks=4).map_blocks(compute, meta=np.zeros(0))
