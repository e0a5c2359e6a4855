"""The table of docs/leaks.md: by channel, which secrets of a flow were found. ``python -m tests.leaks.sentinel.table`` prints it."""

import tempfile
from pathlib import Path

from tests.leaks.sentinel.harness import Found, Outcome, run

ROWS = {
    "argv": "arguments of processes",
    "environment": "environments of processes, but for the one value that the deployment's run is to have in its own",
    "file": "files: checkouts, Prefect's kept results, objects in the bucket",
    "database": "databases: Prefect's, the registry, tables in PostgreSQL",
    "log": "logs: Prefect's, Dask's, PostgreSQL's, the output",
    "pickle": "pickles of what was sent to Dask, tasks as its scheduler keeps them",
    "Dask dump": "Dask's state dump and task stream",
}


def table(theirs: Outcome, ours: Outcome) -> str:
    """Of each flow the names of the secrets found; below, how many names that are."""
    found = [{channel: _names(one.hits(), channel) for channel in ROWS} for one in (theirs, ours)]
    lines = [f"| {what} | {' | '.join(', '.join(one[key]) or 'none' for one in found)} |" for key, what in ROWS.items()]
    sums = [f"{sum(map(len, one.values()))}" for one in found]
    return "\n".join(
        [
            "| where it was searched | with other tools | with bondstone |",
            "| --- | --- | --- |",
            *lines,
            f"| together | {' | '.join(sums)} |",
        ]
    )


def _names(hits: set[Found], channel: str) -> list[str]:
    return sorted({hit.name for hit in hits if hit.channel == channel})


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(table(run("peers", Path(folder, "peers")), run("ours", Path(folder, "ours"))))  # noqa: T201 -- its output
