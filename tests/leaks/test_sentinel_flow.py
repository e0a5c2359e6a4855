"""One flow through Prefect, Dask, Git, PostgreSQL, S3 and Arraylake leaves no secret anywhere; written with other tools it does."""

import os
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.leaks.sentinel.harness import ROOT, run
from tests.leaks.sentinel.processes import watched
from tests.leaks.sentinel.table import ROWS, table

pytestmark = pytest.mark.timeout(300)
SEARCHED = (  # where a thing that is no secret must have been found, so that a secret would have been
    *("argv: argv", "environment: environment", "Dask dump: dask-state.yaml", "Dask dump: dask-stream"),
    *("file: checkout/.git/config", "file: code/prefect.yaml", "file: objects/day.csv", "file: objects/ocean/*"),
    *("file: prefect/storage/*", "database: registry.db*", "database: postgresql-rows"),
    *("database: prefect/prefect.db, table deployment", "database: prefect/prefect.db, table flow_run"),
    *("database: prefect/prefect.db, table task_run_state", "log: prefect/prefect.db, table log"),
    *("log: output.log", "log: worker.log", "log: dask.log", "log: postgresql.log"),
    *("pickle: pickles", "pickle: pickles-of-the-scheduler"),
)
PROCESSES = (  # words that stand in the arguments of each sort
    *("tests.leaks.sentinel.program\0ours", "prefect.server.api.server", "multiprocessing.spawn", "prefect\0worker"),
    *("bondstone.cli\0run\0--", "prefect.engine", "git\0"),
)


def test_processes_below_are_seen() -> None:
    """Also those of a thread; what the process of a flow run is to have does not count in its environment, and in no other."""
    sleep = "import time; time.sleep(0.3)"
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {sleep!r}, 'found-below'])"
    program = f"from threading import Thread; Thread(target=exec, args=({start!r},)).start()"
    environment = os.environ | {"TOKEN": "sentinel-of-a-run"}

    with subprocess.Popen([sys.executable, "-c", program], env=environment) as process, watched(process.pid) as seen:
        process.wait(30)
    below = seen.arguments()
    everywhere = seen.environments("sentinel-of-a-run")
    seen.seen = {(b"python\0-m\0prefect.engine\0", b"TOKEN=sentinel-of-a-run\0")}

    assert b"found-below\0" in below
    assert b"TOKEN=sentinel-of-a-run\0" in everywhere
    assert seen.environments("sentinel-of-a-run") == b"TOKEN=(as asked)\0"


def test_ours_leaves_no_secret(tmp_path: Path) -> None:
    """In no file, database, argument, environment, log, pickle or dump; and each of these places was searched."""
    left = run("ours", tmp_path)

    assert left.hits() == set()

    shown = {f"{found.channel}: {found.place}" for found in left.searched()}
    assert not [place for place in SEARCHED if not any(fnmatch(one, place) for one in shown)]
    assert {found.place for found in left.searched() if found.name == "digest"} >= {
        "worker.log"
    }  # the run had its value
    arguments = (left.folder / "argv").read_text()
    assert not [words for words in PROCESSES if words not in arguments]
    assert len(left.secrets) >= 8
    assert {"token", "root key", "Arraylake's keys"} <= {name.rstrip(" 0123456789") for name in left.secrets}


@pytest.mark.slow
def test_the_table_is_what_comes_of_it(tmp_path: Path) -> None:
    """Both flows, each with secrets of its own; in every channel the other tools leave some."""
    theirs = run("peers", tmp_path / "peers")
    ours = run("ours", tmp_path / "ours")

    assert {found.channel for found in theirs.hits()} == set(ROWS)
    assert table(theirs, ours) in (ROOT / "docs/leaks.md").read_text()
