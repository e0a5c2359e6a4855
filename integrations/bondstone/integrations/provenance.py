"""Which run of which engine this is, where one tells."""

import sys
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
