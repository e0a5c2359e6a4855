"""What each worker of `database_proof` does: insert rows, each on a new connection, by the name of a block, or with a static password.

``python -m tests.integrations.database_flow FIRST THREADS FOLDER by-name|static URL`` is one worker, with so many flows in threads.
"""

import json
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, make_url, text

from bondstone.blocks import DatabaseCredentials
from bondstone.integrations import database
from tests.integrations.paired_roles import NAME
from tests.integrations.starting_line import ready

TABLE = "CREATE TABLE public.done (flow int, n int)"
PAUSE = 0.1  # seconds between queries: every connection costs both sides 4096 rounds of SHA-256
_INSERT = text("INSERT INTO public.done VALUES (:flow, :n) RETURNING session_user")


@dataclass
class Log:
    """What a flow did, fit for JSON."""

    number: int
    rows: list[int] = field(default_factory=list)  # that were committed
    failures: dict[str, int] = field(default_factory=dict)
    used: list[tuple[float, str]] = field(default_factory=list)  # when the server had let in which role


def with_static_password(url: str) -> Engine:
    """With the password of the moment when the worker began, as flows are written without bondstone."""
    block = DatabaseCredentials.load(NAME)
    assert block.password
    secret = block.password.get_secret_value()
    return create_engine(make_url(url).set(username=block.username, password=secret))


def work(folder: Path, engine: Engine, number: int) -> dict[str, Any]:
    """Query when and as long as it is said in `folder`."""
    log, failures, n, until = Log(number), Counter[str](), 0, ready(folder, number)
    while time.time() < until:
        try:
            with engine.connect() as connection:
                role = _insert(connection, number, n)
        except Exception as error:  # noqa: BLE001 -- it is failures that are counted
            failures[type(error).__name__] += 1
        else:
            log.rows.append(n)
            log.used.append((time.time(), role))
        n += 1
        time.sleep(PAUSE)
    return asdict(log) | {"failures": dict(failures)}


def _insert(connection: Connection, number: int, n: int) -> str:
    """The role that the server says it is; the connection is not used again."""
    role = connection.execute(_INSERT, {"flow": number, "n": n}).scalar_one()
    connection.commit()
    connection.invalidate()
    return str(role)


def main(first: str, threads: str, folder: str, kind: str, url: str) -> None:
    engine = with_static_password(url) if kind == "static" else database.connect(NAME)
    numbers = range(int(first), int(first) + int(threads))
    with ThreadPoolExecutor(len(numbers)) as pool:
        logs = list(pool.map(partial(work, Path(folder), engine), numbers))
    (Path(folder) / f"worker-{first}.json").write_text(json.dumps(logs))


if __name__ == "__main__":
    main(*sys.argv[1:])
