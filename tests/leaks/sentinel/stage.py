"""What both flows run on: a Prefect server, a Dask cluster of processes, a deployment that a worker runs; and what these write down."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import cloudpickle
import distributed

FLOW = """
import hashlib, os
from prefect import flow

@flow(log_prints=True)
def deployed(marker: str) -> str:
    print(marker, hashlib.sha256(os.environ["TOKEN"].encode()).hexdigest())
    return marker
"""


class Author(Protocol):
    """Who wrote the flow: a module."""

    DEPLOYED: str  # how the deployment says what is to be in TOKEN
    COMMAND: str  # what its worker starts

    def set_up(self, given: dict[str, Any]) -> None:
        """Keep the secrets in the author's own way, and whatever flows are to find."""

    def run(self, marker: str, scheduler: str, folder: Path) -> object:
        """The flow, on the Dask cluster."""

    def clients(self) -> Sequence[Any]:
        """What else is sent to Dask."""


@contextmanager
def cluster(folder: Path) -> Iterator[Any]:
    """The client of two worker processes; at the end what Dask can tell of them is in `folder`."""
    vendor: Any = distributed  # partly typed
    options = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with (
        vendor.LocalCluster(processes=True, local_directory=str(folder / "dask"), **options) as cluster,
        vendor.Client(cluster) as client,
    ):
        client.get_task_stream()  # from now on it is kept
        yield client
        client.dump_cluster_state(str(folder / "dask-state"), exclude=(), format="yaml")
        (folder / "dask-stream").write_text(repr(client.get_task_stream()))
        (folder / "dask.log").write_text(f"{client.get_scheduler_logs()} {client.get_worker_logs()}")


def plain_dask(client: Any, objects: Sequence[Any], marker: str, folder: Path) -> list[Any]:
    """Send each of the objects to a worker, to a task that fails. What is pickled on the way is kept; the futures keep the tasks."""
    futures = [client.submit(failing, it, marker, key=f"{marker}-{n}") for n, it in enumerate(objects)]
    assert all(future.exception() for future in futures)
    (folder / "pickles").write_bytes(cloudpickle.dumps([*objects, marker]))
    (folder / "pickles-of-the-scheduler").write_bytes(client.run_on_scheduler(specifications))
    return futures


def failing(it: Any, marker: str) -> None:
    """Dask writes its error into the logs of the worker and into its state."""
    raise ValueError(f"{marker} {it!r}")


def specifications(dask_scheduler: Any) -> bytes:
    """The tasks, as the scheduler keeps them."""
    return bytes(cloudpickle.dumps([task.run_spec for task in dask_scheduler.tasks.values()]))


def deploy(author: Author, marker: str, folder: Path) -> None:
    """By `prefect deploy`; then one run of it, by a worker of processes."""
    (folder / "code").mkdir()
    (folder / "code/flow.py").write_text(FLOW)
    variables = {"env": {"TOKEN": author.DEPLOYED, "SHOWN": marker}, "command": author.COMMAND}
    pool = {"name": "lab", "job_variables": variables}
    deployment = {"name": "nightly", "entrypoint": "flow.py:deployed", "work_pool": pool}
    (folder / "code/prefect.yaml").write_text(json.dumps({"deployments": [deployment]}))
    asyncio.run(_create_pool())
    _prefect(folder, "--no-prompt", "deploy", "--all")
    asyncio.run(_create_run(marker))
    _prefect(folder, "worker", "start", "--pool", "lab", "--type", "process", "--run-once")


async def _create_pool() -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    async with get_client() as client:
        await client.create_work_pool(WorkPoolCreate(name="lab", type="process", base_job_template=template))


async def _create_run(marker: str) -> None:
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        deployment = await client.read_deployment_by_name("deployed/nightly")
        await client.create_flow_run_from_deployment(deployment.id, parameters={"marker": marker})


def _prefect(folder: Path, *words: str) -> None:
    with (folder / "worker.log").open("ab") as log:
        command = [sys.executable, "-m", "prefect", *words]
        environment = os.environ | {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO"}
        subprocess.run(command, cwd=folder / "code", env=environment, stdout=log, stderr=log, check=True, timeout=120)
