"""Processes that begin within milliseconds: forked from one that has the libraries loaded, and none of their threads."""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

_ROOT = str(Path(__file__).parents[2])
_context = multiprocessing.get_context("forkserver")
# Not icechunk itself: a process that is forked after its import has none of its threads, and is refused.
_context.set_forkserver_preload(
    [
        "bondstone.integrations.icechunk",
        "bondstone.integrations.zarr.store",
        "obstore.store",
        "xarray.backends.zarr",
    ]
)


def begin(call: Callable[..., object], *arguments: object) -> BaseProcess:
    """A process that makes the call, with our environment. It can be killed, and its `exitcode` is 0 if the call raised nothing."""
    process = _context.Process(target=_run, args=(dict(os.environ), call, arguments), daemon=True)
    sys.path.append(_ROOT)  # so that it finds the tests; pytest found them by their file names
    try:
        process.start()
    finally:
        sys.path.remove(_ROOT)
    return process


def _run(environment: Mapping[str, str], call: Callable[..., object], arguments: tuple[object, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    call(*arguments)


def ended(*processes: BaseProcess, within: float = 60) -> list[int | None]:
    """Their exit codes; None for those that go on."""
    for process in processes:
        process.join(within)
    return [process.exitcode for process in processes]


def wait_for(file: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not file.exists():
        assert time.monotonic() < end, f"there is no {file.name}"
        time.sleep(0.02)
