"""Whether loads stay as fast with many blocks, with two processes, and on PostgreSQL; and Prefect's own, in the same run.

Run it by ``make bench-scale``, with ``ARGS="--most 1000000"`` for the largest registry (minutes, 700 MB). Nothing timed is
asserted.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from benchmarks.load import Case, report, rounds
from bondstone.blocks import Secret
from bondstone.blocks.document import dumps
from bondstone.cli.demo.prefect_home import prefect_home
from bondstone.registry import current_registry
from bondstone.registry.envelope import Context
from bondstone.registry.head import Head
from bondstone.registry.sqlite import SqliteDatabase
from tests.postgres import Server

SECONDS = 2.0  # of each process that loads


def filled(folder: Path, count: int) -> None:
    """Make a registry of `count` secrets the current one. Rows go in without durability: it is loads that are measured."""
    os.environ["BONDSTONE_REGISTRY"] = f"sqlite:///{folder}/{count}/registry.db"
    registry: Any = current_registry(create=True)
    keyring, database = registry._keyring, registry._store.database
    assert isinstance(database, SqliteDatabase)
    raw: Any = database.connection()._raw
    raw.execute("PRAGMA synchronous=OFF")
    raw.execute("BEGIN")
    for number in range(count):
        name, content = f"many/{number}", dumps({"fields": {"value": str(number)}, "schema_version": 1})
        head = Head("secret", name).saved(1, 1)
        sealed = keyring.seal(Context("version", registry.id, "secret", name, 1, 1), content)
        raw.execute("INSERT INTO heads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*head, keyring.tag(head)))
        raw.execute("INSERT INTO versions VALUES ('secret', ?, 1, 1, ?)", (name, sealed))
    raw.execute("COMMIT")


def loading(folder: Path, count: int) -> Case:
    """A load of a name that was not loaded before, in a registry of `count`."""
    filled(folder, count)
    url, order = os.environ["BONDSTONE_REGISTRY"], random.Random(1)

    def before() -> None:
        os.environ["BONDSTONE_REGISTRY"] = url

    def load() -> bool:
        number = order.randrange(count)
        return bool(Secret.load(f"many/{number}").get() == str(number))

    floor = "one of 100" if count > 100 else ""
    return Case(f"one of {count:,}".replace(",", " "), load, floor, True, before, times=50)


def _loads(url: str, seed: int) -> int:
    os.environ["BONDSTONE_REGISTRY"] = url
    order, done, end = random.Random(seed), 0, time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        Secret.load(f"many/{order.randrange(10_000)}")
        done += 1
    return done


def in_processes(folder: Path) -> list[list[str]]:
    """Loads a second of one process, and of as many as there are cores (at most eight)."""
    url, cores = f"sqlite:///{folder}/10000/registry.db", min(8, os.cpu_count() or 1)
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        pool.starmap(_loads, [(url, 0)] * cores)
        one = pool.apply(_loads, (url, 1))
        all_ = sum(pool.starmap(_loads, [(url, seed) for seed in range(cores)]))
    return [
        ["loads a second, one process", f"{one / SECONDS:.0f}", ""],
        [f"loads a second, {cores} processes", f"{all_ / SECONDS:.0f}", f"{all_ / one:.2f} x one process"],
    ]


@contextlib.contextmanager
def postgresql() -> Iterator[list[Case]]:
    """A load, beside a prepared select of the same row and the opening of as many bytes."""
    server = Server(fsync="on")
    server.start()
    try:
        os.environ["BONDSTONE_REGISTRY"] = url = server.url(name := server.database())
        Secret(value="mine").save("a")
        key, salt, info = os.urandom(32), os.urandom(32), bytes(120)
        okm = HKDF(SHA256(), 76, salt, info).derive(key)
        sealed = AESGCM(okm[:32]).encrypt(okm[32:44], bytes(60), info)
        with server.connect(name) as raw:
            select = "SELECT sealed FROM versions WHERE kind = 'secret' AND name = %s AND version = 1"

            def floor() -> bool:
                raw.execute(select, ("a",), prepare=True).fetchall()
                again = HKDF(SHA256(), 76, salt, info).derive(key)
                return AESGCM(again[:32]).decrypt(again[32:44], sealed, info) == bytes(60)

            def before() -> None:
                os.environ["BONDSTONE_REGISTRY"] = url

            yield [
                Case("PostgreSQL: prepared select and open", floor, "", True, times=20),
                Case(
                    "PostgreSQL: Secret.load",
                    lambda: Secret.load("a").get(),
                    "PostgreSQL: prepared select and open",
                    "mine",
                    before,
                    20,
                ),
            ]
    finally:
        server.close()


def prefects(load: Callable[[], Any]) -> list[Case]:
    """Prefect's block of the same name, from a server on this machine that is running already."""
    from prefect.blocks.system import Secret as PrefectSecret

    saved: Any = PrefectSecret(value="theirs")
    saved.save("theirs")
    theirs: Any = PrefectSecret.load
    return [
        Case("one of 100 (again)", load, "", True, times=5),
        Case("Prefect's Secret.load", lambda: theirs("theirs").get(), "one of 100 (again)", "theirs", times=5),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Loads at scale.")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--most", type=int, default=10_000, help="blocks in the largest registry; 10 000 if left out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        os.environ["HOME"] = folder
        sizes = [size for size in (100, 10_000, 1_000_000) if size <= options.most]
        cases = [loading(Path(folder), size) for size in sizes]
        lines = rounds(cases, options.rounds) + in_processes(Path(folder))
        with postgresql() as more:
            lines += rounds(more, options.rounds)
        os.environ["BONDSTONE_REGISTRY"] = f"sqlite:///{folder}/100/registry.db"
        with prefect_home(Path(folder)):
            lines += rounds(prefects(cases[0].call), 5)
    report(lines)


if __name__ == "__main__":
    main()
