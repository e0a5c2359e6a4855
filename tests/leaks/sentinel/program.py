"""A flow from beginning to end: ``python -m tests.leaks.sentinel.program AUTHOR FOLDER MARKER``, given the rest on standard input."""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from bondstone.cli.demo.prefect_home import prefect_home
from tests.leaks.sentinel.stage import Author, cluster, deploy, plain_dask


def main(author: Author, folder: Path, marker: str, given: dict[str, Any]) -> None:
    with prefect_home(folder):
        author.set_up(given)
        with cluster(folder) as client:
            author.run(marker, client.scheduler.address, folder)
            kept = plain_dask(client, author.clients(), marker, folder)
            assert len(kept) == len(author.clients())
        deploy(author, marker, folder)


if __name__ == "__main__":
    name, folder, marker = sys.argv[1:]
    author: Any = import_module(f"tests.leaks.sentinel.{name}")
    main(author, Path(folder), marker, json.load(sys.stdin))
