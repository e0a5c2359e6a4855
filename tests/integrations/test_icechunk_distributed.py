"""What many workers write is one commit: whole, once, and without a secret in what is sent to them."""

import importlib
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from threading import Lock
from typing import Any

import dask.array
import dask.threaded
import distributed
import numpy as np
import pytest
import xarray as xr
import zarr

from bondstone.blocks import AccessDenied, Conflict, ServiceUnavailable
from bondstone.integrations.icechunk import IcechunkCommit, IcechunkDistributedWrite, connect
from bondstone.integrations.icechunk.repo import repo as found
from bondstone.integrations.icechunk.workers import Job, put
from bondstone.registry import current_registry
from tests.integrations.conftest import Account

pytestmark = pytest.mark.filterwarnings("ignore:.*consolidated.*:RuntimeWarning")

blocked: Any = dask.array  # partly typed
VALUES = np.random.default_rng(0).normal(
    size=(8, 6, 40)
)  # in blocks of 2 x 3 x 40: 8 of them, too large for a manifest


@pytest.fixture(params=("local", "ocean"))
def repo(request: pytest.FixtureRequest, reports: Account) -> str:
    """The name of a repository in a local folder, and of one in a bucket."""
    return str(request.param)


class TestWriting:
    """Whoever computes, what is read is what was to be computed."""

    @pytest.mark.parametrize("workers", ["dask's own", "threads", "processes"])
    def test_what_was_written_is_read(self, workers: str, reports: Account, tmp_path: Path) -> None:
        """Values, times, packed numbers, texts, lazy coordinates and numbers, attributes; in a bucket."""
        expected = sea().compute()

        with pool(workers, tmp_path) as client:
            receipt = IcechunkDistributedWrite("ocean")(sea(), client, group="a/b", message="m", key="2026-11")

        xr.testing.assert_identical(read("ocean", "a/b"), expected)
        assert messages("ocean") == ["m"]
        assert (receipt.group, receipt.key, receipt.already) == ("a/b", "2026-11", False)
        assert receipt.snapshot == connect("ocean").lookup_branch("main")

    def test_a_group_is_replaced_and_others_stay(self, repo: str) -> None:
        """As by `IcechunkCommit`, which replaces it again."""
        write, small = IcechunkDistributedWrite(repo), xr.Dataset({"ice": ("y", [1.0, 2.0])})
        IcechunkCommit(repo)(small.assign_attrs(old=True), group="g", message="first")
        IcechunkCommit(repo)(small, group="g/inside", message="second")

        for _ in range(2):
            write(sea(), group="g", message="third")

        xr.testing.assert_identical(read(repo, "g"), sea().compute())
        xr.testing.assert_identical(read(repo, "g/inside"), small)
        IcechunkCommit(repo)(small, group="g", message="fourth")
        xr.testing.assert_identical(read(repo, "g"), small)

    def test_a_repeated_key(self, repo: str) -> None:
        """It writes nothing; with other content it is refused."""
        first = IcechunkDistributedWrite(repo)(sea(), message="first", key="k")

        again = IcechunkDistributedWrite(repo)(sea(), message="again", key="k")

        assert (again.already, again.snapshot) == (True, first.snapshot)
        with pytest.raises(Conflict, match="values of 'sst'"):
            IcechunkDistributedWrite(repo)(sea().assign(sst=sea().sst + 1), message="other", key="k")
        assert messages(repo) == ["first"]

    def test_a_dataset_in_memory(self, repo: str) -> None:
        """Has nothing for workers to do."""
        IcechunkDistributedWrite(repo)(sea().compute(), message="m")

        xr.testing.assert_identical(read(repo, None), sea().compute())

    def test_somebody_else_commits_meanwhile(self, repo: str) -> None:
        """To another group: neither is lost, and nothing is computed twice."""
        IcechunkCommit(repo)(xr.Dataset(), message="first")
        calls: list[int] = []
        one_at_a_time = Lock()

        def other() -> None:
            with one_at_a_time:
                calls.append(1)
                first = len(calls) == 1
            if first:
                IcechunkCommit(repo)(xr.Dataset({"ice": ("y", [1.0])}), group="other", message="other")

        IcechunkDistributedWrite(repo)(meanwhile(other), group="g", message="m")

        np.testing.assert_array_equal(read(repo, "g").sst, VALUES)
        assert read(repo, "other").ice == 1
        assert len(calls) == 8

    def test_somebody_else_commits_to_the_same_group(self, repo: str) -> None:
        """What was written is of an older version than the one to build on: it is written anew, after theirs."""
        IcechunkCommit(repo)(xr.Dataset(), message="first")
        calls: list[int] = []
        one_at_a_time = Lock()

        def other() -> None:
            with one_at_a_time:
                calls.append(1)
                first = len(calls) == 1
            if first:
                IcechunkCommit(repo)(xr.Dataset({"ice": ("y", [1.0])}), group="g", message="other")

        IcechunkDistributedWrite(repo)(meanwhile(other), group="g", message="ours")

        xr.testing.assert_identical(read(repo, "g"), only_sst().compute())
        assert messages(repo) == ["ours", "other", "first"]
        assert len(calls) == 16


class TestChunks:
    """No two workers write to one stored chunk, and each chunk is counted."""

    @pytest.mark.parametrize(
        ("blocks", "encoding", "stored"),
        [
            (((2, 2, 2, 2), (3, 3), (40,)), {}, (2, 3, 40)),
            (((1, 4, 3), (6,), (40,)), {}, (4, 6, 40)),
            (((3, 3, 2), (5, 1), (40,)), {"chunks": (2, 2, 40)}, (2, 2, 40)),
            (((1,) * 8, (6,), (40,)), {"chunks": (5, 4, 40)}, (5, 4, 40)),
            (((3, 3, 2), (6,), (40,)), {"chunks": (1, 3, 40), "shards": (2, 6, 40)}, (1, 3, 40)),
        ],
        ids=["as they are", "irregular", "across", "smaller", "shards"],
    )
    def test_blocks_are_made_to_fit(
        self, blocks: tuple[Any, ...], encoding: dict[str, Any], stored: tuple[int, ...], repo: str
    ) -> None:
        """To the chunks and shards of the variable's encoding, else to the largest block."""
        lazy = sea().sst.chunk(dict(zip(("time", "y", "x"), blocks, strict=True)))
        lazy.encoding = encoding

        with ThreadPoolExecutor(4) as client:
            IcechunkDistributedWrite(repo)(lazy.to_dataset(), client, message="m")

        session = connect(repo).readonly_session("main")
        array: Any = zarr.open_array(session.store, path="sst", mode="r")
        assert (array.chunks, array.shards) == (stored, encoding.get("shards"))
        np.testing.assert_array_equal(array[:], VALUES)

    def test_chunks_of_nothing(self, repo: str) -> None:
        """Are stored, since they look like lost ones otherwise."""
        nothing = xr.Dataset({"sst": (("time", "x"), blocked.zeros((4, 100), chunks=(1, 100)))})

        receipt = IcechunkDistributedWrite(repo)(nothing, message="m")

        assert receipt.changes.chunks == 4
        assert (read(repo, None).sst == 0).all()

    def test_a_worker_that_lost_what_it_wrote(self, repo: str) -> None:
        """What came back in its place is another worker's: told by name and number, and nothing is committed."""

        def forgetful(graph: Any, keys: list[Any], **options: Any) -> Any:
            forks = list(dask.threaded.get(graph, keys, **options))
            return [forks[1], *forks[1:]]

        with pytest.raises(ServiceUnavailable) as caught:
            IcechunkDistributedWrite(repo)(only_sst(), forgetful, group="g", message="m", key="k")  # type: ignore[arg-type]

        text = "workers came back without 1 of 8 chunks of 'g/sst': nothing was committed, try again"
        assert str(caught.value) == text
        assert messages(repo) == []


class TestDying:
    """Workers and keys that die midway cost no data and no chunk that was written."""

    def test_a_dask_worker_that_is_killed(self, reports: Account, tmp_path: Path) -> None:
        """By SIGKILL, with chunks that it has written: Dask has them written again."""
        lazy = blockwise(killing(tmp_path / "killed"))

        with pool("dask", tmp_path) as client:
            IcechunkDistributedWrite("ocean")(lazy, client, message="m")

        np.testing.assert_array_equal(read("ocean", None).sst, VALUES)
        assert messages("ocean") == ["m"]

    def test_a_process_of_a_pool_that_is_killed(self, reports: Account, tmp_path: Path) -> None:
        """Pools do not repeat: it fails, and nothing is committed; the next call commits."""
        lazy = blockwise(killing(tmp_path / "killed"))

        with pool("processes", tmp_path) as client, pytest.raises(BrokenProcessPool):
            IcechunkDistributedWrite("ocean")(lazy, client, message="m", key="k")

        assert messages("ocean") == []
        assert not IcechunkDistributedWrite("ocean")(lazy, message="m", key="k").already

    def test_a_key_that_dies_midway(self, reports: Account) -> None:
        """The session, which keeps the dead one for minutes, cannot commit; another does, and nothing is computed twice."""
        IcechunkCommit("ocean", ttl=300)(only_sst().compute(), group="g", message="first")
        calls: list[int] = []
        one_at_a_time = Lock()

        def rotated() -> None:
            with one_at_a_time:
                calls.append(1)
                if len(calls) == 4:
                    reports.rotate()

        IcechunkDistributedWrite("ocean", ttl=300)(meanwhile(rotated), group="g", message="second", key="k")

        assert len(calls) == 8
        np.testing.assert_array_equal(read("ocean", "g").sst, VALUES)
        assert messages("ocean") == ["second", "first"]

    def test_a_worker_whose_key_is_dead(self, reports: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where a registry is shared, a worker knows yesterday's key for a while: it asks, and writes the chunk once more."""
        monkeypatch.setattr(current_registry()._store, "tells_changes", False)
        job = begun_job()
        reports.rotate()

        fork = put(job, "sst", FIRST, VALUES[:2, :3])

        assert fork.status().updated_chunks == {"/sst": [[0, 0, 0]]}

    def test_a_worker_whose_key_stays_dead(self, reports: Account) -> None:
        """What it raises is ours, which travels and holds no secret."""
        job = begun_job()
        reports.revoke()

        with pytest.raises(AccessDenied, match="save a new version of aws-credentials/prod"):
            put(job, "sst", FIRST, VALUES[:2, :3])

    def test_a_key_that_stays_dead(self, reports: Account) -> None:
        """Told which block to renew, in one line; nothing is committed."""
        IcechunkCommit("ocean", ttl=300)(only_sst().compute(), group="g", message="first")

        revoked: list[int] = []

        def once() -> None:
            if not revoked:
                revoked.append(1)
                reports.revoke()

        with pytest.raises(AccessDenied) as caught:
            IcechunkDistributedWrite("ocean", ttl=300)(meanwhile(once), group="g", message="second")
        assert str(caught.value) == (
            "the storage of icechunk-repo/ocean refused the request (InvalidAccessKeyId): "
            "save a new version of aws-credentials/prod"
        )


class TestTravelling:
    """Names go out, and come back."""

    def test_a_key_that_dies_under_dask(
        self, reports: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While two processes write: neither the scheduler nor a message to or from it has a key, and the data is right."""
        sent, begun, go = messages_of(monkeypatch), tmp_path / "begun", tmp_path / "go"
        lazy = blockwise(waiting(begun, go))

        with pool("dask", tmp_path) as client, ThreadPoolExecutor(1) as aside:
            IcechunkCommit("ocean", ttl=300)(only_sst().compute(), group="g", message="first")
            future = aside.submit(IcechunkDistributedWrite("ocean", ttl=300), lazy, client, group="g", message="second")
            until(begun.exists)
            kept = graph(client)
            reports.rotate()
            go.touch()
            future.result(60)

        np.testing.assert_array_equal(read("ocean", "g").sst, VALUES)
        assert b"bondstone.integrations.icechunk.workers" in kept
        assert b"bondstone.integrations.icechunk.workers" in b"".join(sent)
        assert not reports.shown_in(kept)
        assert not reports.shown_in(b"".join(sent))

    def test_what_goes_to_a_pool(self, reports: Account) -> None:
        """Each task's pickle, and each that comes back."""
        with Recording() as client:
            IcechunkDistributedWrite("ocean")(only_sst(), client, message="m")

        assert len(client.pickles) == 16
        assert any(b"IcechunkKeys" in one and b"ocean" in one for one in client.pickles)
        assert not reports.shown_in(b"".join(client.pickles))

    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_a_pool_of_forks(self, reports: Account) -> None:
        """They would wait for ever for threads that they do not have: refused."""
        IcechunkCommit("ocean")(only_sst().compute(), message="first")

        with (
            ProcessPoolExecutor(1, mp_context=get_context("fork")) as client,
            pytest.raises(ServiceUnavailable, match="start workers by 'spawn' or 'forkserver'"),
        ):
            IcechunkDistributedWrite("ocean")(only_sst(), client, message="second")

        assert messages("ocean") == ["first"]


class Recording(ThreadPoolExecutor):
    """Threads; what Dask sends to them and gets back is kept."""

    def __init__(self) -> None:
        super().__init__(2)
        self.pickles: list[bytes] = []

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        def recorded() -> Any:
            result = call(*args, **kwargs)
            self.pickles.append(pickle.dumps(result))
            return result

        self.pickles.append(pickle.dumps(args))
        return super().submit(recorded)


def sea() -> xr.Dataset:
    """All that a dataset can have, in blocks."""
    times = np.arange("2020-01", "2020-09", dtype="datetime64[M]").astype("datetime64[ns]")
    dataset = only_sst().assign_coords(
        time=times,
        area=(("y", "x"), blocked.from_array(VALUES[0], chunks=(3, 40))),
        valid=("time", blocked.from_array(times, chunks=4)),
    )
    dataset = dataset.assign(
        packed=("time", blocked.from_array(np.array([0.0, 0.5, np.nan, 1.5] * 2), chunks=3)),
        who=("time", np.array(["ä", "b"] * 4)),
        number=((), blocked.asarray(3.5)),
    )
    dataset.packed.encoding = {"dtype": "int16", "scale_factor": 0.5, "_FillValue": -9999}
    return dataset.assign_attrs(title="sea")


def only_sst() -> xr.Dataset:
    return xr.Dataset({"sst": (("time", "y", "x"), blocked.from_array(VALUES, chunks=(2, 3, 40)))})


FIRST = {"time": slice(0, 2), "y": slice(0, 3), "x": slice(0, 40)}


def begun_job() -> Job:
    """As workers get it: the array is there, and no chunk of it."""
    target = found("ocean", ttl=300)
    fork = target.open().writable_session("main").fork()
    zarr.open_group(fork.store, mode="a").create_array(
        "sst", shape=VALUES.shape, chunks=(2, 3, 40), dtype="f8", dimension_names=["time", "y", "x"]
    )
    return Job(target, pickle.dumps(fork.fork()), None)


def blockwise(computed: Callable[[Any], Any]) -> xr.Dataset:
    """Eight blocks, each of which is what `computed` makes of it."""
    array = blocked.from_array(VALUES, chunks=(2, 3, 40)).map_blocks(computed, dtype="f8", meta=VALUES[:0, :0, :0])
    return xr.Dataset({"sst": (("time", "y", "x"), array)})


def meanwhile(happening: Callable[[], object]) -> xr.Dataset:
    """The eight blocks; as each is computed, something happens."""

    def computed(block: Any) -> Any:
        happening()
        return block

    return blockwise(computed)


def killing(once: Path) -> Callable[[Any], Any]:
    """Kills the process that computes the sixth block, the first time."""
    last = float(VALUES[6, 3, 0])

    def computed(block: Any) -> Any:
        if block[0, 0, 0] == last and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return block

    return computed


def waiting(begun: Path, go: Path) -> Callable[[Any], Any]:
    """The last block tells that it is computed, and is not ready before it may go on."""
    last = float(VALUES[6, 3, 0])

    def computed(block: Any) -> Any:
        if block[0, 0, 0] == last:
            begun.touch()
            for _ in range(1000):
                if go.exists():
                    break
                time.sleep(0.02)
        return block

    return computed


@contextmanager
def pool(name: str, folder: Path) -> Iterator[Any]:
    """Who computes."""
    with ExitStack() as stack:
        if name == "dask":
            yield dask_client(stack, folder)
        elif name == "dask's own":
            yield None
        else:
            executor: Executor = ThreadPoolExecutor(2)
            if name == "processes":
                executor = ProcessPoolExecutor(2, mp_context=get_context("spawn"))
            yield stack.enter_context(executor)


def dask_client(stack: ExitStack, folder: Path) -> Any:
    options = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    cluster: Any = distributed.LocalCluster  # partly typed
    started = stack.enter_context(cluster(processes=True, local_directory=str(folder / "dask"), **options))
    client: Any = distributed.Client
    return stack.enter_context(client(started))


def graph(client: Any) -> bytes:
    """Everything that the scheduler keeps of its tasks."""

    def dump(dask_scheduler: Any) -> bytes:
        import cloudpickle

        states = list(dask_scheduler.tasks.values())
        return b"".join(cloudpickle.dumps((str(state), state.run_spec, state.annotations)) for state in states)

    return bytes(client.run_on_scheduler(dump))


def messages_of(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """All that goes over the wire to Dask's scheduler and from it, which is in this process; uncompressed."""
    wire: Any = importlib.import_module("distributed.comm.tcp")
    sent: list[bytes] = []
    to_frames, from_frames = wire.to_frames, wire.from_frames

    async def out(*args: Any, **kwargs: Any) -> Any:
        frames = await to_frames(*args, **kwargs)
        sent.extend(bytes(frame) for frame in frames)
        return frames

    async def back(frames: Any, *args: Any, **kwargs: Any) -> Any:
        sent.extend(bytes(frame) for frame in frames)
        return await from_frames(frames, *args, **kwargs)

    monkeypatch.setattr(wire, "to_frames", out)
    monkeypatch.setattr(wire, "from_frames", back)
    dask.config.set({"distributed.comm.compression": False})
    return sent


def until(true: Callable[[], bool]) -> None:
    """Wait for at most 30 s."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def read(repo: str, group: str | None) -> xr.Dataset:
    """A group of the newest version, by a repository that is opened anew."""
    store = connect(repo).readonly_session("main").store
    dataset: xr.Dataset = xr.open_zarr(store, group=group, consolidated=False, chunks=None).load()
    return dataset


def messages(repo: str) -> list[str]:
    """Of all commits but the first, which icechunk makes itself."""
    return [snapshot.message for snapshot in connect(repo).ancestry(branch="main")][:-1]
