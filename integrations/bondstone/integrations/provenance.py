"""Which run of which engine this is, where one tells."""

import sys
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any


def run() -> dict[str, str]:
    """Engine and run id, for commit metadata. Asks only engines that are already imported."""
    return _prefect() or _dask() or {"engine": "python"}


def _prefect() -> dict[str, str] | None:
    runtime: Any = sys.modules.get("prefect.runtime")
    if runtime is None or not runtime.flow_run.id:
        return None
    facts = {"engine": "prefect", "flow_run": str(runtime.flow_run.id), "flow": str(runtime.flow_run.flow_name)}
    return facts | ({"task_run": str(runtime.task_run.id)} if runtime.task_run.id else {})


def _dask() -> dict[str, str] | None:
    worker: Any = sys.modules.get("distributed.worker")
    if worker is None:
        return None
    try:
        return {"engine": "dask", "task": str(worker.get_worker().get_current_task())}
    except ValueError:  # not on a worker
        return None


@lru_cache(maxsize=1)
def code() -> dict[str, str]:
    """The versions of bondstone and, where the program lies in a Git work tree, of the program: the commit that is checked out."""
    program = getattr(sys.modules.get("__main__"), "__file__", None)
    folders = Path(program).absolute().parents if program else ()
    commit = next((_commit(folder / ".git") for folder in folders if (folder / ".git").is_dir()), None)
    return {"bondstone": version("bondstone")} | ({"code": commit} if commit else {})


def _commit(repository: Path) -> str | None:
    """By the files that Git keeps (gitrepository-layout): a process of Git's would cost 3 ms."""
    try:
        head = (repository / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        ref = head.removeprefix("ref: ")
        if (repository / ref).exists():
            return (repository / ref).read_text().strip()
        packed = (repository / "packed-refs").read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(" ")[0] for line in packed if line.endswith(f" {ref}")), None)
