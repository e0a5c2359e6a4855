"""Does a rotation fail anybody? `tests/integrations/rotation_proof.py` for a minute, under each engine.

``make bench-rotation``, with ``ARGS="--engine dask"`` (or prefect, plain; all three without it) and ``--seconds 60``. It exits with 1 if a
promise is broken.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from tests.integrations.rotation_proof import STATIC, Outcome, prove


def report(outcome: Outcome, engine: str, seconds: float, max_ttl: int, grace: int) -> str:
    """The table, fit for the documentation."""
    late = [1000 * value for value in outcome.staleness]
    rows = [
        ["workers, engine", f"{outcome.workers}, {engine}", f"{STATIC}, plain"],
        ["rotations (old key deleted each time)", str(outcome.rotations), ""],
        ["operations done", str(outcome.operations), str(outcome.static_operations)],
        ["**failed**", str(sum(outcome.failures.values())), str(sum(outcome.static_failures.values()))],
        ["lost or doubled", f"{outcome.lost} or {outcome.doubled}", ""],
        ["uses of an older version", str(len(late)), ""],
        [
            "staleness, median and longest",
            f"{statistics.median(late):.0f} and {max(late):.0f} ms" if late else "none",
            "",
        ],
        ["keys left at the vendor", str(outcome.keys_left), ""],
    ]
    title = f"{seconds:g} s, max_ttl {max_ttl} s, grace {grace} s"
    errors = {**outcome.failures, **{f"static {name}": count for name, count in outcome.static_failures.items()}}
    lines = [[title, "by name", "static keys"], ["---"] * 3, *rows]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
    return text + (f"\nerrors: {errors}\n" if errors else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=["plain", "dask", "prefect"], action="append")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--rotations", type=int, default=6)
    given = parser.parse_args()
    kept = True
    for engine in given.engine or ["plain", "dask", "prefect"]:
        with tempfile.TemporaryDirectory() as folder:
            home(Path(folder))
            outcome = prove(
                Path(folder),
                engine,
                workers=given.workers,
                seconds=given.seconds,
                rotations=given.rotations,
                max_ttl=3,
                grace=6,
            )
            print(report(outcome, engine, given.seconds, 3, 6), flush=True)
            kept &= outcome.kept
    return 0 if kept else 1


def home(folder: Path) -> None:
    """A registry of its own, and nobody's cloud settings."""
    for name in [
        name
        for name in os.environ
        if name.startswith(("AWS_", "BONDSTONE_", "XDG_")) or name.lower().endswith("_proxy")
    ]:
        del os.environ[name]
    os.environ.update(HOME=str(folder), AWS_EC2_METADATA_DISABLED="true", NO_PROXY="127.0.0.1")


if __name__ == "__main__":
    sys.exit(main())
