"""Credentials of an image registry, a cluster and a cloud role, handed to a work pool as references.

    python examples/work_pool.py            # a Prefect server and a process worker of its own
    python examples/work_pool.py --plain    # the same flow under `bondstone run`, without Prefect

The work pool and the deployment hold references. `bondstone run`, in the command that the worker starts, puts the values into the
environment of the flow's process, and nowhere else. The flow prints how many of them it
has, and their digests.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bondstone.blocks import AwsCredentials, DockerRegistry, KubernetesCluster

POOL = {
    "REGISTRY_USER": "bondstone://docker-registry/ghcr#username",
    "REGISTRY_PASSWORD": "bondstone://docker-registry/ghcr#password",
    "KUBE_SERVER": "bondstone://kubernetes-cluster/lab#server",
    "KUBE_TOKEN": "bondstone://kubernetes-cluster/lab#token",
}
DEPLOYMENT = {
    "AWS_ROLE_ARN": "bondstone://aws-credentials/ecs#role_arn",
    "AWS_ACCESS_KEY_ID": "bondstone://aws-credentials/ecs#access_key_id",
    "AWS_SECRET_ACCESS_KEY": "bondstone://aws-credentials/ecs#secret_access_key",
}
RUN = f"{sys.executable} -m bondstone.cli run --"  # on a worker: bondstone run --
CODE = """
import hashlib
import os

NAMES = {names!r}

def report():
    digests = [hashlib.sha256(os.environ[name].encode()).hexdigest() for name in NAMES]
    print("values", len(digests), *digests)

try:
    from prefect import flow
except ImportError:  # plain Python
    pass
else:
    credentials = flow(report, name="credentials", log_prints=True)

if __name__ == "__main__":
    report()
"""


async def create_pool(name: str) -> None:
    """A pool of processes whose job variables have references as their defaults. Other kinds of pools have the same two variables."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.workers.process import ProcessWorker

    template: dict[str, Any] = ProcessWorker.get_default_base_job_template()
    variables = template["variables"]["properties"]
    variables["env"]["default"] = POOL
    variables["command"]["default"] = f"{RUN} {sys.executable} -m prefect.engine"
    async with get_client() as client:
        await client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))


async def create_run(pool: str, folder: Path) -> Any:
    """A run of a deployment of the flow in `folder`, with references of its own."""
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        deployment = await client.create_deployment(
            flow_id=await client.create_flow_from_name("credentials"),
            name="nightly",
            work_pool_name=pool,
            path=str(folder),
            entrypoint="flow.py:credentials",
            job_variables={"env": DEPLOYMENT},
        )
        return await client.create_flow_run_from_deployment(deployment)


def write_flow(folder: Path) -> None:
    (folder / "flow.py").write_text(CODE.format(names=sorted(POOL | DEPLOYMENT)))


def run_plain(folder: Path) -> str:
    """What the flow prints under `bondstone run`."""
    argv = [*RUN.split(), sys.executable, str(folder / "flow.py")]
    environment = os.environ | POOL | DEPLOYMENT
    return subprocess.run(argv, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()  # noqa: S603 -- our own


def run_worker(pool: str) -> None:
    """A worker of the pool that does what is due and ends."""
    words = ["worker", "start", "--pool", pool, "--type", "process", "--run-once"]
    subprocess.run([sys.executable, "-m", "prefect", *words], check=True, capture_output=True, timeout=120)  # noqa: S603


async def printed(run: Any) -> str:
    """What the flow printed; the state of the run, if it printed nothing."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

    async with get_client() as client:
        logs = await client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id])))
        state = (await client.read_flow_run(run.id)).state
    return next((log.message for log in logs if log.message.startswith("values")), str(state))


def run_in_pool(folder: Path) -> str:
    """What the flow prints when a worker has run it."""
    asyncio.run(create_pool("lab"))
    run = asyncio.run(create_run("lab", folder))
    run_worker("lab")
    return asyncio.run(printed(run))


def main(folder: Path, plain: bool) -> None:
    os.environ |= {"HOME": str(folder), "BONDSTONE_REGISTRY": f"sqlite:///{folder}/registry.db"}
    DockerRegistry(host="ghcr.io", username="reader", password="an-example-only").save("ghcr")  # noqa: S106
    KubernetesCluster(server="https://kube.example.org:6443", token="an-example-only").save("lab")  # noqa: S106
    key = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"}
    AwsCredentials(**key, role_arn="arn:aws:iam::123456789012:role/flows").save("ecs")
    write_flow(folder)
    if plain:
        print(run_plain(folder))
        return

    from bondstone.cli.demo.prefect_home import prefect_home

    with prefect_home(folder):
        print(run_in_pool(folder))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary), plain="--plain" in sys.argv)
