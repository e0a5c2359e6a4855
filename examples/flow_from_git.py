"""Flow code that is pulled from Git by the name of a block at each run: a branch is followed, a tag stays where it is.

    python examples/flow_from_git.py            # deployments on a Prefect server and a process worker of its own
    python examples/flow_from_git.py --plain    # the same checkouts in plain Python

Both make a repository in a temporary folder. Its flow is registered from the branch `feature` and from the tag `v1`; then another edition
is committed to the branch; then both are run.
"""

import asyncio
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bondstone.blocks import GitRepository
from bondstone.integrations.git import GitCheckout

POOL, FLOW = "code-from-git", "report"
CODE = """
def edition():
    return "edition {number}"

try:
    from prefect import flow
except ImportError:  # plain Python
    pass
else:
    @flow(log_prints=True)
    def report():
        print(edition())
"""


# --- under Prefect


def deploy(repository: str) -> None:
    """Once. What the deployment keeps is the name of the `GitRepository` block."""
    from prefect import flow

    from bondstone.integrations.prefect import GitStorage

    source: Any = flow.from_source(source=GitStorage(repository), entrypoint="flow.py:report")
    source.deploy(repository, work_pool_name=POOL, print_next_steps=False, ignore_warnings=True)


def run_deployments(*repositories: str) -> list[str]:
    """What the flow of each prints, when a process worker has run it."""
    from prefect.deployments import run_deployment

    runs: list[Any] = [run_deployment(f"{FLOW}/{repository}", timeout=0) for repository in repositories]
    prefect("worker", "start", "--pool", POOL, "--type", "process", "--run-once")
    return [asyncio.run(printed(run.id)) for run in runs]


async def printed(run_id: Any) -> str:
    """The log line of `edition()`; the state of the run, if there is none."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

    async with get_client() as client:
        logs = await client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id])))
        state = (await client.read_flow_run(run_id)).state
    return next((log.message for log in logs if log.message.startswith("edition")), str(state))


# --- in plain Python


def run_checkouts(*repositories: str) -> list[str]:
    """What the code of each gives."""
    with tempfile.TemporaryDirectory() as folder:
        receipts = [GitCheckout(repository)(Path(folder, repository)) for repository in repositories]
        return [runpy.run_path(f"{receipt.path}/flow.py")["edition"]() for receipt in receipts]


# --- what there is to run


def committed(work: Path, number: int) -> None:
    """The next edition on the branch `feature`."""
    (work / "flow.py").write_text(CODE.format(number=number))
    author = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    git(work, "add", "flow.py")
    git(work, *author, "commit", "-q", "-m", f"Edition {number}")


def git(work: Path, *words: str) -> None:
    run("git", *words, cwd=work)


def prefect(*words: str) -> None:
    run(sys.executable, "-m", "prefect", *words)


def run(*argv: str, cwd: Path | None = None) -> None:
    subprocess.run(argv, cwd=cwd, check=True, capture_output=True, timeout=180)  # noqa: S603 -- git, and Prefect


def main(folder: Path, plain: bool) -> None:
    os.environ |= {"HOME": str(folder), "BONDSTONE_REGISTRY": f"sqlite:///{folder}/registry.db"}
    work = folder / "repository"
    work.mkdir()
    git(work, "init", "-q", "-b", "feature")
    committed(work, 1)
    git(work, "tag", "v1")
    GitRepository(url=str(work), branch="feature").save("followed")
    GitRepository(url=str(work), tag="v1").save("pinned")
    followed, pinned = in_python(work) if plain else in_prefect(work, folder)
    print(f"branch feature: {followed}\ntag v1:         {pinned}")


def in_python(work: Path) -> list[str]:
    committed(work, 2)
    return run_checkouts("followed", "pinned")


def in_prefect(work: Path, folder: Path) -> list[str]:
    from bondstone.cli.demo.prefect_home import prefect_home

    with prefect_home(folder):
        prefect("work-pool", "create", POOL, "--type", "process")
        deploy("followed")
        deploy("pinned")
        committed(work, 2)
        return run_deployments("followed", "pinned")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary), plain="--plain" in sys.argv)
