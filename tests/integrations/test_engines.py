"""A task is a plain callable: the engines take it as it is, and what they send and keep holds the name of a block."""

import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cloudpickle
import distributed
import pytest
import xarray as xr

from bondstone.integrations.icechunk import IcechunkCommit, connect
from bondstone.integrations.s3 import S3Download, S3Upload
from tests.integrations.conftest import BUCKET, Account

TIMES = 16
TABLE = b"a,b\n1,2\n"
SEA = xr.Dataset({"sst": ("x", [1.0, 2.0])})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "x.csv").write_bytes(TABLE)
    return tmp_path / "x.csv"


class TestDask:
    """Real worker processes, which have the registry from their environment."""

    @pytest.fixture
    def client(self, reports: Account, tmp_path: Path) -> Iterator[Any]:
        vendor: Any = distributed  # partly typed
        options = {"n_workers": 2, "threads_per_worker": 2, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
        with (
            vendor.LocalCluster(processes=True, local_directory=str(tmp_path / "dask"), **options) as cluster,
            vendor.Client(cluster) as client,
        ):
            yield client

    def test_tasks_on_workers(self, client: Any, reports: Account, source: Path) -> None:
        """Uploads and commits, a rotation in between; neither the task nor what the scheduler keeps has the key."""
        upload, commit = S3Upload("reports"), IcechunkCommit("ocean")
        upload(source, key="used-before-it-was-sent")

        uploads = [client.submit(partial(upload, key=f"dask/{number}"), source, pure=False) for number in range(TIMES)]
        first = client.gather(uploads)
        reports.rotate()
        more = [client.submit(partial(upload, key=f"dask/{number}"), source, pure=False) for number in range(TIMES)]
        one = partial(commit, message="by Dask", key="once")
        commits = client.gather([client.submit(one, SEA, group="g", pure=False) for _ in range(4)])

        assert client.gather(more) == first
        assert [receipt.uri for receipt in first] == [f"s3://{BUCKET}/dask/{number}" for number in range(TIMES)]
        assert S3Download("reports")("dask/0") == TABLE
        assert len({receipt.snapshot for receipt in commits}) == 1
        metadata = next(connect("ocean").ancestry(branch="main")).metadata
        assert metadata["bondstone.engine"] == "dask"
        assert metadata["bondstone.task"].startswith("partial-") or "IcechunkCommit" in metadata["bondstone.task"]
        kept = graph(client)
        assert b"S3Upload" in kept
        assert not reports.shown_in(kept + cloudpickle.dumps(upload) + cloudpickle.dumps(commit))


def graph(client: Any) -> bytes:
    """Everything that the scheduler keeps of its tasks."""

    def dump(dask_scheduler: Any) -> bytes:
        import cloudpickle

        states = list(dask_scheduler.tasks.values())
        assert states
        return b"".join(cloudpickle.dumps((str(state), state.run_spec, state.annotations)) for state in states)

    return bytes(client.run_on_scheduler(dump))


class TestPython:
    """Pools of the standard library."""

    def test_threads(self, reports: Account, source: Path) -> None:
        """One task, many threads, a rotation meanwhile."""
        upload = S3Upload("reports")

        def one(number: int) -> str:
            if number == TIMES // 2:
                reports.rotate()
            return upload(source, key=f"threads/{number}").uri

        with ThreadPoolExecutor(8) as pool:
            uris = list(pool.map(one, range(TIMES)))

        assert uris == [f"s3://{BUCKET}/threads/{number}" for number in range(TIMES)]

    @pytest.mark.parametrize("method", ["spawn", "forkserver"])
    def test_processes(self, method: str, reports: Account, source: Path) -> None:
        """They begin with nothing but the name and the environment."""
        upload = S3Upload("reports")
        upload(source, key="used-before-it-was-sent")
        one = partial(upload, key="processes")

        with ProcessPoolExecutor(2, mp_context=get_context(method)) as pool:
            receipts = list(pool.map(one, [source] * 4))

        assert {receipt.size for receipt in receipts} == {len(TABLE)}
        assert not reports.shown_in(pickle.dumps(one))

    def test_a_fork_after_use_is_told(self, reports: Account) -> None:
        """The threads of the S3 client do not survive a fork; a child that waited for them would wait for ever."""
        script = (
            "import os, sys, warnings; from bondstone.integrations.s3 import S3Upload\n"
            "warnings.simplefilter('ignore')\n"
            "upload = S3Upload('reports'); upload(b'x', key='before')\n"
            "child = os.fork()\n"
            "if child == 0:\n"
            "    try:\n"
            "        upload(b'x', key='after')\n"
            "    except Exception as error:\n"
            "        print(type(error).__name__, error, flush=True)\n"
            "    os._exit(0)\n"
            "os.waitpid(child, 0); print(upload(b'x', key='parent').uri)"
        )

        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

        assert done.stdout.startswith("ServiceUnavailable this process was forked"), done.stderr
        assert done.stdout.endswith("/parent\n")
