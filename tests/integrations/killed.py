"""Rotators that are killed by SIGKILL at a point of a rotation, each a process of its own, forked from one that has the libraries loaded.

``python -m tests.integrations.killed`` is that one: a line of its standard input is a rotator to run, a line of its output how that ended.
"""

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bondstone.blocks import Reference, find
from bondstone.blocks.rotation import VendorSource
from bondstone.blocks.rotator import rotator_of
from bondstone.registry import current_registry
from bondstone.registry.lock import SECOND
from bondstone.registry.rotation import Rotation

_ROOT = Path(__file__).parents[2]
_LOCK = 0.2  # seconds, so that the next run need not wait for a minute
_KINDS = ["aws-credentials", "gitlab-token", "database-credentials", "arraylake-token"]

type Run = Callable[..., list[str]]


@contextmanager
def rotators() -> Iterator[Run]:
    """Call it as ``run("rotate", "kind/name", fields, kill_at="created")``: the points that the rotator passed."""
    argv = [sys.executable, "-W", "error", "-m", __name__]
    with subprocess.Popen(argv, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        orders, ends = parent.stdin, parent.stdout

        def run(act: str, reference: str, fields: Mapping[str, str] | None = None, *, kill_at: str = "") -> list[str]:
            orders.write(json.dumps([dict(os.environ), act, reference, fields or {}, kill_at]) + "\n")
            orders.flush()
            code, passed, error = json.loads(ends.readline())
            assert code == (-signal.SIGKILL if kill_at else 0), (code, passed, error)
            _wait_for_lock(Reference.parse(reference))
            return list(passed)

        yield run
        orders.close()


def _wait_for_lock(name: Reference) -> None:
    """Until the lock of whoever was killed has ended."""
    registry = current_registry()
    until = registry.journal.read(name.kind, name.name)[1].until
    time.sleep(max(0, until - registry.shared_now()) / SECOND + 0.01)


def main() -> None:
    for kind in _KINDS:
        rotator_of(kind)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_forked(*json.loads(line))) + "\n")
        sys.stdout.flush()


def _forked(environment: dict[str, str], *order: Any) -> tuple[int, list[str], str]:
    """How it ended, the points that it passed, and its error."""
    read, write = os.pipe()
    if not (child := os.fork()):
        os.close(read)
        os.environ.clear()
        os.environ.update(environment)
        _rotate_and_exit(write, *order)
    os.close(write)
    with os.fdopen(read) as told:
        passed, _, error = told.read().partition("error\n")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), passed.split(), error


def _rotate_and_exit(told: int, act: str, reference: str, fields: dict[str, str], kill_at: str) -> None:
    def at(point: str) -> None:
        os.write(told, f"{point}\n".encode())
        if point == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    code = 1
    try:
        signal.alarm(60)
        name, registry = Reference.parse(reference), current_registry()
        source = VendorSource(find(name.kind), name, registry, fields)
        rotation = Rotation(registry, name.kind, name.name, source, at=at, lock_seconds=_LOCK)
        rotation.finish(at_once=True) if act == "finish" else getattr(rotation, act)()
        code = 0
    except BaseException:  # noqa: BLE001 -- told to whoever ordered it
        os.write(told, f"error\n{traceback.format_exc()}".encode())
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
