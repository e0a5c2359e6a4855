"""Does a rotation fail anybody? `rotation_proof.py` of `tests/integrations` for a minute, under each engine, and `database_proof.py`.

``make bench-rotation``, with ``ARGS="--engine dask"`` (or plain, prefect, postgresql; all four without it) and ``--seconds 60``. It exits
with 1 if a promise is broken.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.integrations import database_proof, rotation_proof
from tests.integrations.rotation_proof import STATIC, Outcome

ENGINES = {"plain": 8, "dask": 8, "prefect": 8, "postgresql": 12}  # workers, or flows
MAX_TTL, GRACE = 3, 6  # seconds


def report(outcome: Outcome, engine: str, seconds: float) -> str:
    """The table, fit for the documentation."""
    late = [1000 * value for value in outcome.staleness]
    rows = [
        ["workers, engine", f"{outcome.workers}, {engine}", f"{STATIC}, plain"],
        ["rotations (the old credential removed each time)", str(outcome.rotations), ""],
        ["operations done", str(outcome.operations), str(outcome.static_operations)],
        ["**failed**", str(sum(outcome.failures.values())), str(sum(outcome.static_failures.values()))],
        *_refusals(outcome),
        ["lost or doubled", f"{outcome.lost} or {outcome.doubled}", ""],
        ["uses of an older version", str(len(late)), ""],
        [
            "staleness, median and longest",
            f"{statistics.median(late):.0f} and {max(late):.0f} ms" if late else "none",
            "",
        ],
        ["credentials left at the vendor", str(outcome.credentials_left), ""],
    ]
    title = f"{seconds:g} s, max_ttl {MAX_TTL} s, grace {GRACE} s"
    errors = {**outcome.failures, **{f"static {name}": count for name, count in outcome.static_failures.items()}}
    lines = [[title, "by name", "static"], ["---"] * 3, *rows]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
    return text + (f"\nerrors: {errors}\n" if errors else "")


def _refusals(outcome: Outcome) -> list[list[str]]:
    counted = [outcome.refusals, outcome.static_refusals]
    return [] if None in counted else [["authentication errors, in the server's log", *map(str, counted)]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, action="append")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, help="8, and 12 flows for postgresql")
    parser.add_argument("--rotations", type=int, default=6)
    given = parser.parse_args()
    kept = True
    for engine in given.engine or ENGINES:
        with tempfile.TemporaryDirectory() as folder:
            home(Path(folder))
            outcome = run(Path(folder), engine, given.workers or ENGINES[engine], given.seconds, given.rotations)
            print(report(outcome, engine, given.seconds), flush=True)
            kept &= outcome.kept
    return 0 if kept else 1


def run(folder: Path, engine: str, workers: int, seconds: float, rotations: int) -> Outcome:
    how: dict[str, Any] = {"seconds": seconds, "rotations": rotations, "max_ttl": MAX_TTL, "grace": GRACE}
    if engine == "postgresql":
        return database_proof.prove(folder, flows=workers, **how)
    return rotation_proof.prove(folder, engine, workers=workers, **how)


def home(folder: Path) -> None:
    """A registry of its own, and nobody's cloud settings."""
    for name in [
        name
        for name in os.environ
        if name.startswith(("AWS_", "BONDSTONE_", "XDG_")) or name.lower().endswith("_proxy")
    ]:
        del os.environ[name]
    os.environ.update(
        HOME=str(folder), XDG_RUNTIME_DIR=str(folder), AWS_EC2_METADATA_DISABLED="true", NO_PROXY="127.0.0.1"
    )


if __name__ == "__main__":
    sys.exit(main())
