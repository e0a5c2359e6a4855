"""A deployment on a Prefect work pool: the server and its database hold references, the flow's process alone the values."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bondstone.blocks import Secret
from bondstone.cli.demo.hunt import hunt
from bondstone.cli.demo.prefect_home import prefect_home

TOKEN = "s3ntinel-Value-9-of-a-pool"
FLOW = """
import hashlib, os
from prefect import flow

@flow(log_prints=True)
def report():
    print("digest", hashlib.sha256(os.environ["TOKEN"].encode()).hexdigest(), os.environ["PLAIN"])
"""
# What docs/references.md tells users to write.
JOB_VARIABLES = {
    "env": {"TOKEN": "bondstone://secret/token", "PLAIN": "as it is"},
    "command": f"{sys.executable} -m bondstone.cli run -- {sys.executable} -m prefect.engine",
}


async def deployed(folder: Path) -> Any:
    """A process work pool, a deployment of the flow in `folder` on it, and a run of that."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    async with get_client() as client:
        await client.create_work_pool(WorkPoolCreate(name="pool", type="process"))
        flow_id = await client.create_flow_from_name("report")
        deployment = await client.create_deployment(
            flow_id=flow_id,
            name="nightly",
            work_pool_name="pool",
            path=str(folder),
            entrypoint="report.py:report",
            job_variables=JOB_VARIABLES,
        )
        return await client.create_flow_run_from_deployment(deployment)


async def ended(run: Any) -> tuple[str, str, dict[str, Any]]:
    """The state of the run, its logs, and what the server says the deployment is."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

    async with get_client() as client:
        found = await client.read_flow_run(run.id)
        deployment = await client.read_deployment(run.deployment_id)
        logs = await client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id])))
        assert found.state
        return str(found.state.name), "\n".join(log.message for log in logs), deployment.job_variables


def work(cwd: Path) -> None:
    """A worker of the pool, in a process of its own, that does what is due and ends."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "pool", "--type", "process", "--run-once"]
    worker = subprocess.run(command, cwd=cwd, env=os.environ, capture_output=True, text=True, timeout=120)
    assert worker.returncode == 0, worker.stdout + worker.stderr
    (cwd / "worker.log").write_text(worker.stdout + worker.stderr)


@pytest.mark.timeout(200)
def test_a_deployment_holds_the_reference_and_its_run_the_value(tmp_path: Path) -> None:
    """Nothing is resolved when it is deployed, nor by the worker; the run has the value, and no file of Prefect's ever does."""
    import hashlib

    Secret(value=TOKEN).save("token")
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows/report.py").write_text(FLOW)
    with prefect_home(tmp_path):
        run = asyncio.run(deployed(tmp_path / "flows"))
        work(tmp_path / "flows")
        state, logs, variables = asyncio.run(ended(run))

    assert state == "Completed", logs
    assert f"digest {hashlib.sha256(TOKEN.encode()).hexdigest()} as it is" in logs
    assert variables == JOB_VARIABLES
    assert hunt({"token": TOKEN}, tmp_path) == []
    shown = {hit.where.split(",")[0] for hit in hunt({"reference": "bondstone://secret/token"}, tmp_path / "prefect")}
    assert "prefect.db" in shown or "prefect.db-wal" in shown  # so that is where it would have been found
