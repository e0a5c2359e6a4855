"""What an engine says to a hook of failure, as one line for people. No engine is imported: each is known by what it gives."""

from collections.abc import Mapping
from typing import Any


def notice(what: Any, run: Any = None, state: Any = None) -> str:
    """Of Prefect's three arguments (a flow or a task, its run, its state), Dagster's hook context, or Airflow's context.

    Raises `TypeError` for anything else.
    """
    if state is not None:
        return f"{what.name} / {run.name}: {state.name}: {state.message or 'no reason given'}"
    if hasattr(what, "op_exception"):
        return f"{what.job_name} / {what.step_key}: failed in run {what.run_id}: {_told(what.op_exception)}"
    if isinstance(what, Mapping) and "task_instance" in what:
        instance = what["task_instance"]
        return (
            f"{instance.dag_id} / {instance.task_id}: failed in run {instance.run_id}: {_told(what.get('exception'))}"
        )
    raise TypeError(f"a {type(what).__name__} is neither a message nor what an engine gives to a hook of failure")


def _told(error: BaseException | str | None) -> str:
    return f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error or "no reason given")
