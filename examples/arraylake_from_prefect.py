"""Arraylake from Prefect: list repositories, ingest a file, average it by season, write a part of it by many workers, deploy.

Save the blocks once (`bondstone save arraylake-token/prod`, `bondstone save arraylake-repo/ocean`), then run

    python examples/arraylake_from_prefect.py ostia_monthly.nc surface_temperature            # under Prefect
    python examples/arraylake_from_prefect.py ostia_monthly.nc surface_temperature --plain    # in plain Python

A second run commits nothing twice: each commit has a key.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bondstone.blocks import ArraylakeRepo
from bondstone.integrations import arraylake, icechunk
from bondstone.integrations.arraylake import ArraylakeCommit
from bondstone.integrations.icechunk import IcechunkRegionWrite

if TYPE_CHECKING:
    from icechunk import Session

YEAR = 12  # time steps in a chunk of the anomalies, and in a worker's part
WORKERS = 2
POOL = "arraylake"
ENV = {  # of the deployment, which keeps the references
    "ARRAYLAKE_TOKEN": "bondstone://arraylake-token/prod#token",
    "ARRAYLAKE_SERVICE__URI": "bondstone://arraylake-token/prod#service_uri",
}
RUN = f"{sys.executable} -m bondstone.cli run --"  # on a worker: bondstone run --


# --- the steps


def list_repos(org: str) -> list[str]:
    """With the token of a block."""
    return [repo.name for repo in arraylake.connect("prod").list_repos(org)]


def list_repos_by_environment(org: str) -> None:
    """As a program that knows nothing of us: Arraylake's client finds its token in ARRAYLAKE_TOKEN, when it is imported."""
    from arraylake import Client

    print("repositories", *(repo.name for repo in Client().list_repos(org)))


def read(path: str, variable: str) -> xr.Dataset:
    """One variable, without what it shares with no other."""
    with xr.open_dataset(path) as dataset:
        monthly = dataset[[variable]].drop_vars(["forecast_period", "forecast_reference_time"], errors="ignore").load()
    monthly[variable].encoding.clear()  # of the file
    return monthly


def stored(session: "Session") -> xr.Dataset:
    """What was ingested. Not in Dask's arrays, whose graphs would leave the worker, and a session that writes must not."""
    dataset: xr.Dataset = xr.open_zarr(session.store, group="monthly", consolidated=False, chunks=None)
    return dataset


def averages(repo: str) -> xr.Dataset:
    """By season, of what was ingested."""
    session = icechunk.connect(f"arraylake-repo/{repo}").readonly_session("main")
    return stored(session).groupby("time.season").mean("time")


def nothing_yet(monthly: xr.Dataset) -> xr.Dataset:
    """The place of the anomalies, in which each worker writes chunks of its own."""
    template = xr.full_like(monthly, np.nan)
    for variable in template.data_vars.values():
        variable.encoding["chunks"] = (YEAR, *variable.shape[1:])
    return template


def anomalies(session: "Session", *, steps: slice) -> xr.Dataset:
    """Of some steps, against the mean of all: a worker computes it from the version that it writes to."""
    monthly = stored(session)
    return (monthly.isel(time=steps) - monthly.mean("time")).load()


def parts(monthly: xr.Dataset, path: str, variable: str) -> list[tuple[Any, dict[str, Any]]]:
    """What each worker is called with: what computes its part, and the words that say where it goes."""
    calls = []
    for start in range(0, monthly.sizes["time"], YEAR):
        steps = slice(start, min(start + YEAR, monthly.sizes["time"]))
        where = {"region": {"time": steps}, "group": "anomalies", "reads": [f"/monthly/{variable}"]}
        said = {"message": f"Anomalies from step {start}", "key": f"anomalies {start} {variable} {Path(path).name}"}
        calls.append((partial(anomalies, steps=steps), where | said))
    return calls


def words(group: str, path: str, variable: str) -> dict[str, str]:
    """Of a commit, which happens once for each file and variable."""
    key = f"{group} {variable} {Path(path).name}"
    return {"group": group, "message": f"{group.capitalize()} {variable}", "key": key}


# --- in plain Python


def plainly(path: str, variable: str, repo: str, org: str) -> None:
    """The same steps; worker processes in the place of a cluster, and `bondstone run` in that of a deployment."""
    commit, write, monthly = ArraylakeCommit(repo), IcechunkRegionWrite(f"arraylake-repo/{repo}"), read(path, variable)
    print("repositories", *list_repos(org), flush=True)
    commit(monthly, **words("monthly", path, variable))
    commit(averages(repo), **words("seasonal", path, variable))
    commit(nothing_yet(monthly), **words("anomalies", path, variable))
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:  # a fork would inherit used clients
        futures = [pool.submit(write, part, **where) for part, where in parts(monthly, path, variable)]
        print("parts", len({future.result().snapshot for future in futures}), flush=True)
    program = [*RUN.split(), sys.executable, __file__, "--by-environment", org]
    subprocess.run(program, env=os.environ | ENV, check=True, timeout=120)  # noqa: S603 -- ourselves


# --- under Prefect


def flows(repo: str) -> dict[str, Any]:
    """By name: `list_repos`, `ingest`, `seasonal_averages`, `parallel_writes`."""
    from prefect import flow, task
    from prefect_dask.task_runners import DaskTaskRunner

    task_of: Any = task  # its types know no options beside a callable
    commit = task_of(ArraylakeCommit(repo), retries=3)
    write = task_of(IcechunkRegionWrite(f"arraylake-repo/{repo}"), retries=3)
    local = {"n_workers": WORKERS, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    runner: Any = DaskTaskRunner(cluster_kwargs=local)

    @flow
    def ingest(path: str, variable: str) -> Any:
        return commit(task_of(read)(path, variable), **words("monthly", path, variable))

    @flow
    def seasonal_averages(path: str, variable: str) -> Any:
        return commit(task_of(averages)(repo), **words("seasonal", path, variable))

    @flow(task_runner=runner)
    def parallel_writes(path: str, variable: str) -> list[Any]:
        monthly = read(path, variable)
        commit(nothing_yet(monthly), **words("anomalies", path, variable))
        futures = [write.submit(part, **where) for part, where in parts(monthly, path, variable)]
        return [future.result() for future in futures]

    listing: Any = flow(list_repos)
    return {made.name: made for made in (listing, ingest, seasonal_averages, parallel_writes)}


async def deployed(org: str) -> Any:
    """A run of a deployment whose job variables hold references."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    async with get_client() as client:
        with suppress(ObjectAlreadyExists):
            template: dict[str, Any] = ProcessWorker.get_default_base_job_template()
            await client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
        deployment = await client.create_deployment(
            flow_id=await client.create_flow_from_name("list-repos-by-environment"),
            name="arraylake",
            work_pool_name=POOL,
            path=str(Path(__file__).parent.resolve()),
            entrypoint=f"{Path(__file__).name}:list_repos_by_environment",
            parameters={"org": org},
            job_variables={"env": ENV, "command": f"{RUN} {sys.executable} -m prefect.engine"},
        )
        return await client.create_flow_run_from_deployment(deployment)


async def printed(run: Any) -> str:
    """What the flow printed; the state of the run, if it printed nothing."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

    async with get_client() as client:
        logs = await client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id])))
        state = (await client.read_flow_run(run.id)).state
    return next((log.message for log in logs if log.message.startswith("repositories")), str(state))


def work() -> None:
    """A worker of the pool that does what is due and ends."""
    argv = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process", "--run-once"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(argv, cwd=folder, check=True, capture_output=True, timeout=120)  # noqa: S603 -- Prefect


def in_prefect(path: str, variable: str, repo: str, org: str) -> None:
    """One flow after the other, and the deployment by a worker."""
    made = flows(repo)
    print("repositories", *made["list-repos"](org))
    made["ingest"](path, variable)
    made["seasonal-averages"](path, variable)
    print("parts", len({receipt.snapshot for receipt in made["parallel-writes"](path, variable)}))
    run = asyncio.run(deployed(org))
    work()
    print(asyncio.run(printed(run)))


def main() -> None:
    if sys.argv[1:2] == ["--by-environment"]:
        list_repos_by_environment(sys.argv[2])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path")
    parser.add_argument("variable")
    parser.add_argument("--repo", default="ocean", help="an ArraylakeRepo block")
    parser.add_argument("--plain", action="store_true")
    given = parser.parse_args()
    org = ArraylakeRepo.load(given.repo).repo.partition("/")[0]
    (plainly if given.plain else in_prefect)(given.path, given.variable, given.repo, org)


if __name__ == "__main__":
    main()
