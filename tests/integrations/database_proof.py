"""Does a rotation fail anybody? Flows insert rows, each on a new connection, while two roles take turns and the old one is shut out.

The server is PostgreSQL, and its log tells whom it refused. The twins with a static password use a database of their own, by which the
log tells them from the flows.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bondstone.registry.settings import Settings
from tests.integrations.database_flow import TABLE
from tests.integrations.paired_roles import NAME, Pair, logging_server, paired_roles
from tests.integrations.rotation_proof import STATIC, Outcome, failures, rotate_in_turns, stale
from tests.integrations.starting_line import go

_ROOT = Path(__file__).parents[2]
_THREADS = 4  # flows in one process

type Logs = list[dict[str, Any]]


def prove(folder: Path, *, flows: int, seconds: float, rotations: int, max_ttl: int, grace: int) -> Outcome:
    """Run it in `folder`, whose registry is made here; `BONDSTONE_` settings count."""
    Settings.from_environment().create(max_ttl=max_ttl).close()
    with logging_server() as server, paired_roles(server) as pair:
        twin = server.database()
        for name in (pair.name, twin):
            with server.connect(name) as owner:
                owner.execute(TABLE)
                owner.execute("GRANT INSERT ON public.done TO PUBLIC")
        with _running(folder, flows, seconds, server.url(twin, password=False)) as (start, logs):
            promoted = rotate_in_turns(f"database-credentials/{NAME}", rotations, start, seconds, grace)
        return _outcome(logs(), promoted, pair, twin, max_ttl)


@contextmanager
def _running(folder: Path, flows: int, seconds: float, url: str) -> Iterator[tuple[float, Callable[[], Logs]]]:
    """The flows and their static twins: when they began, and what gives their logs when they have ended."""
    counts = [min(_THREADS, flows - first) for first in range(0, flows, _THREADS)]
    words = [[str(STATIC), "static"], *([str(count), "by-name"] for count in counts)]
    children, outs, first = [], [], 0
    for threads, kind in words:
        outs.append(folder / f"worker-{first}.json")
        argv = [sys.executable, "-m", "tests.integrations.database_flow", str(first), threads, str(folder)]
        children.append(subprocess.Popen([*argv, kind, url], cwd=_ROOT))
        first += int(threads)
    start = go(folder, range(STATIC + flows), seconds, lambda: all(child.poll() is None for child in children))
    yield start, lambda: [log for out in outs for log in json.loads(out.read_text())]
    codes = [child.wait(timeout=start + seconds - time.time() + 60) for child in children]
    assert not any(codes), f"a worker ended with {codes}"


def _outcome(logs: Logs, promoted: dict[int, float], pair: Pair, twin: str, max_ttl: int) -> Outcome:
    static, ours = logs[:STATIC], logs[STATIC:]
    lost, doubled = _missing(ours, pair)
    return Outcome(
        workers=len(ours),
        operations=sum(len(log["rows"]) for log in ours),
        failures=failures(ours),
        lost=lost,
        doubled=doubled,
        rotations=len(promoted),
        max_ttl=max_ttl,
        staleness=[late for log in ours for late in stale(_versions(log["used"], promoted), promoted)],
        static_operations=sum(len(log["rows"]) for log in static),
        static_failures=failures(static),
        credentials_left=len(pair.ids()),
        refusals=_refusals(pair, pair.name),
        static_refusals=_refusals(pair, twin),
    )


def _missing(logs: Logs, pair: Pair) -> tuple[int, int]:
    """How many rows that were acknowledged are not there, and how many are there twice."""
    there = pair.ask("SELECT flow, n FROM public.done")
    lost = {(log["number"], n) for log in logs for n in log["rows"]} - set(there)
    return len(lost), len(there) - len(set(there))


def _versions(used: list[tuple[float, str]], promoted: dict[int, float]) -> list[tuple[float, int]]:
    """The newest version with the role that was let in: `app_a` has those with odd numbers."""
    found = []
    for at, role in used:
        newest = 1 + sum(moment <= at for moment in promoted.values())
        found.append((at, newest if (role == "app_a") == (newest % 2 == 1) else newest - 1))
    return found


def _refusals(pair: Pair, database: str) -> int:
    """How often the server refused somebody there: class 28 of its error codes, "Invalid Authorization Specification"."""
    return len(re.findall(rf"^{database} 28\w\w\w FATAL:", pair.server.log.read_text(errors="replace"), re.MULTILINE))
