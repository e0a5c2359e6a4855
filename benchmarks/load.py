"""What `Secret.load` and `Secret.save` cost, beside the least that any such library could cost on the same machine.

Run it by ``make bench``. Each round measures every line, one after the other; of each line the best round counts, since whatever else
the machine does only adds. Read the ratios first. Nothing timed is asserted; a load that gives a wrong value ends the run.
"""

import argparse
import contextlib
import io
import itertools
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

NAMES = 2000  # more than a process remembers
COLD_ROUNDS = 11
LIBRARIES = """
import cryptography.hazmat.primitives.ciphers.aead, cryptography.hazmat.primitives.kdf.hkdf, sqlite3
from pydantic import BaseModel
class Model(BaseModel):
    value: str
Model(value="")
"""
LOAD = "from bondstone.blocks import Secret; print(Secret.load('name/1').get())"


class Case(NamedTuple):
    """One line of the report."""

    label: str
    call: Callable[[], object]
    floor: str = ""  # the label of the line that it is compared with
    expected: object = None  # what `call` must give
    before: Callable[[], object] = lambda: None  # not timed
    times: int = 1  # in each round


class Floor:
    """The least that a load must do: point select, key derivation, open, decode, validate."""

    class Model(BaseModel):
        value: str

    def __init__(self, path: Path) -> None:
        self._key, self._info = os.urandom(32), b"context" * 16
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE sealed (name TEXT PRIMARY KEY, salt BLOB, envelope BLOB) WITHOUT ROWID")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO sealed VALUES (?, ?, ?)", map(self._sealed, range(NAMES)))
        connection.execute("COMMIT")
        self._cursor, self._fresh = connection.cursor(), itertools.count(NAMES)

    def _sealed(self, number: int) -> tuple[str, bytes, bytes]:
        plain = json.dumps({"fields": {"value": value_of(number)}, "schema_version": 1}).encode()
        salt = os.urandom(32)
        okm = HKDF(SHA256(), 76, salt, self._info).derive(self._key)
        return f"name/{number}", salt, AESGCM(okm[:32]).encrypt(okm[32:44], plain, self._info)

    def load(self) -> str:
        select = "SELECT salt, envelope FROM sealed WHERE name = ?"
        salt, sealed = self._cursor.execute(select, ("name/1",)).fetchall()[0]
        okm = HKDF(SHA256(), 76, salt, self._info).derive(self._key)
        plain = AESGCM(okm[:32]).decrypt(okm[32:44], sealed, self._info)
        return self.Model.model_validate(json.loads(plain)["fields"]).value

    def save(self) -> None:
        """A durable insert of as many bytes as a small secret has."""
        self._cursor.execute("INSERT INTO sealed VALUES (?, ?, ?)", (f"name/{next(self._fresh)}", b"", bytes(150)))


def value_of(number: int) -> str:
    return f"the value of number {number}"


def another_writer(path: Path) -> Callable[[], None]:
    """Another connection to the file; each call commits a row that no load reads."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("CREATE TABLE unrelated (n INTEGER)")
    connection.execute("INSERT INTO unrelated VALUES (0)")

    def commit() -> None:
        connection.execute("UPDATE unrelated SET n = n + 1")

    return commit


def another_saver() -> Callable[[], object]:
    """Another client of the registry; each call saves the next version of the name that is loaded, without waiting for the disk."""
    from bondstone.registry import Settings

    registry: Any = Settings.from_environment().open()
    registry._store.database.connection()._raw.execute("PRAGMA synchronous=OFF")
    content = registry.load("secret", "name/1").content
    return lambda: registry.save("secret", "name/1", content, overwrite=True)


def in_process(home: Path) -> list[Case]:
    """Loads and saves in a process that has the registry open."""
    from bondstone.blocks import Secret

    with contextlib.redirect_stderr(io.StringIO()):  # a new key is announced there
        Secret(value=value_of(0)).save("name/0")
    for number in range(1, NAMES):
        Secret(value=value_of(number)).save(f"name/{number}")
    floor = Floor(home / "floor.db")
    floor_moves, registry_moves = another_writer(home / "floor.db"), another_writer(next(home.rglob("registry.db")))
    numbers, fresh = itertools.cycle(range(NAMES)), itertools.count(NAMES)

    def load() -> Any:
        return Secret.load("name/1").get()

    def other() -> bool:
        number = next(numbers)
        return bool(Secret.load(f"name/{number}").get() == value_of(number))

    def save() -> str:
        number = next(fresh)
        return str(Secret(value=value_of(number)).save(f"name/{number}").reference)

    mine, many = value_of(1), 50
    return [
        Case("floor of a load", floor.load, "", mine, times=many),
        Case("floor, after somebody's commit", floor.load, "floor of a load", mine, floor_moves, many),
        Case("load, nothing changed", load, "floor of a load", mine, times=many),
        Case("load, after somebody's commit", load, "floor of a load", mine, registry_moves, many),
        Case("load, another name each time", other, "floor of a load", True, times=many),
        Case("durable insert", floor.save),
        Case("save", save, "durable insert"),
    ]


def after_saves(home: Path) -> list[Case]:
    """Loads of a name that somebody else has just saved again. Apart from the others: they would wait for its bytes on the disk."""
    from bondstone.blocks import Secret

    floor, saves, label = Floor(home / "another.db"), another_saver(), "floor, after somebody's save"
    return [
        Case(
            label, floor.load, "", value_of(1), saves, 50
        ),  # of another database: what a save does to the processor's caches
        Case("load, after a save of that name", lambda: Secret.load("name/1").get(), label, value_of(1), saves, 50),
    ]


def processes(environment: dict[str, str]) -> list[Case]:
    """Whole processes, each from nothing."""

    def run(code: str) -> str:
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    def program(*arguments: str, **more: str) -> int:
        """Its exit code."""
        command = [str(Path(sys.executable).with_name("bondstone")), *arguments]
        return subprocess.run(command, env=environment | more, capture_output=True).returncode

    completing = {
        "_BONDSTONE_COMPLETE": "complete_bash",
        "COMP_WORDS": "bondstone\nshow\nsecret/name/1",
        "COMP_CWORD": "2",
    }
    return [
        Case("process: python -c pass", partial(run, "pass"), "", ""),
        Case("process: libraries, one model", partial(run, LIBRARIES), "process: python -c pass", ""),
        Case(
            "process: import bondstone.blocks", partial(run, "import bondstone.blocks"), "process: python -c pass", ""
        ),
        Case("process: load one secret", partial(run, LOAD), "process: libraries, one model", value_of(1)),
        Case("process: bondstone --help", partial(program, "--help"), "process: python -c pass", 0),
        Case("process: bondstone show, missing", partial(program, "show", "secret/none"), "process: python -c pass", 3),
        Case("process: bondstone show", partial(program, "show", "secret/name/1"), "process: python -c pass", 0),
        Case("process: a key press completed", partial(program, **completing), "process: python -c pass", 0),
    ]


def measured(case: Case) -> Iterator[float]:
    """Seconds of each call."""
    for _ in range(case.times):
        case.before()
        start = time.perf_counter()
        result = case.call()
        yield time.perf_counter() - start
        if case.expected is not None and result != case.expected:
            sys.exit(f"load.py: '{case.label}' gave a wrong value")


def rounds(cases: list[Case], count: int) -> list[list[str]]:
    """The lines of the report: label, median of the best round, ratio to the same of its floor."""
    for case in cases:
        list(measured(case))
    best = {case.label: float("inf") for case in cases}
    for _ in range(count):
        for case in cases:
            best[case.label] = min(best[case.label], median(measured(case)))
    return [[case.label, shown(best[case.label]), _ratio(case, best)] for case in cases]


def _ratio(case: Case, best: dict[str, float]) -> str:
    return f"{best[case.label] / best[case.floor]:.2f} x {case.floor}" if case.floor else ""


def shown(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"


def report(lines: list[list[str]]) -> None:
    console = Console()
    if console.is_terminal:
        table = Table("", "best median", "ratio")
        for line in lines:
            table.add_row(*line)
        console.print(table)
    else:
        for label, time_, ratio in lines:
            print(f"{label:34}{time_:>10}   {ratio}".rstrip())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=100, help="of the measurements in one process; 100 if left out")
    count = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        for name in [n for n in os.environ if n.startswith(("BONDSTONE_", "XDG_"))]:
            del os.environ[name]
        os.environ["HOME"] = folder
        # Without bytecode each import would be compiled anew.
        environment = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        lines = rounds(in_process(Path(folder)), count)
        lines += rounds(after_saves(Path(folder)), count)
        lines += rounds(processes(environment), COLD_ROUNDS)
        report(lines)


if __name__ == "__main__":
    main()
