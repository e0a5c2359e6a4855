"""Which run of which engine this is, for the audit log. Imports no engine: asks those that the process has imported itself."""

import os
import sys
from typing import Any

from bondstone.registry.names import for_the_record, slug

_LONGEST = 100


def run() -> str:
    """`` flow-run:<id>`` in a Prefect flow, with `` task:<name>`` in a task of it; `` dask-task:<key>`` on a Dask worker;
    `` airflow:<DAG>.<task> <run>`` in a task of Airflow; else nothing. Without an engine it costs 0.1 µs.
    """
    modules = sys.modules
    if "prefect.runtime" in modules and (text := _told(_flow, modules["prefect.runtime"])):
        task = _told(_task, modules["prefect.runtime"])
        return f" flow-run:{text} task:{task}" if task else f" flow-run:{text}"
    if "distributed.worker" in modules and (text := _told(_dask, modules["distributed.worker"])):
        return f" dask-task:{text}"
    if "airflow" in modules and (text := _told(_airflow, os.environ)):
        return f" airflow:{text}"
    return ""


def _told(ask: Any, engine: Any) -> str:
    try:
        return for_the_record(ask(engine))[:_LONGEST]
    except Exception:  # noqa: BLE001 -- another program's code, and no load may fail for its sake
        return ""


def _flow(runtime: Any) -> str:
    return str(runtime.flow_run.id or "")


def _task(runtime: Any) -> str:
    return slug(runtime.task_run.name or "")


def _dask(worker: Any) -> str:
    return str(worker.get_worker().get_current_task())


def _airflow(environment: Any) -> str:
    """By the variables that Airflow sets while a task runs. Source: its `context_to_airflow_vars`."""
    dag, task, run = (environment.get(f"AIRFLOW_CTX_{name}") for name in ("DAG_ID", "TASK_ID", "DAG_RUN_ID"))
    return f"{dag}.{task} {run}" if dag and task else ""
