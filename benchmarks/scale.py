"""Whether loads stay as fast with many blocks, with eight processes, and on PostgreSQL; root-key rotation; and Prefect's own loads.

Run it by ``make bench-scale``, with ``ARGS="--most 1000000"`` for the largest registry (some minutes, 700 MB). Nothing timed is
asserted; a load that gives a wrong value ends the run.
"""

import argparse
import contextlib
import io
import itertools
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from benchmarks import rekey
from benchmarks.load import Case, another_writer, report, rounds
from bondstone.blocks import Secret
from bondstone.blocks.document import dumps
from bondstone.cli.demo.prefect_home import prefect_home
from bondstone.registry import current_registry
from bondstone.registry.head import Head
from bondstone.registry.names import check_name
from bondstone.registry.results import Plain, WholeName
from tests.postgres import Server

SIZES = (100, 10_000, 1_000_000)
PAGE = 10_000  # names of one transaction
KEPT = 50  # names of each registry that are loaded again and again, and loads in a round
SECONDS = 2.0  # of each process that loads
PROCESSES = 8


class Filled:
    """A registry of `count` secrets, all of which this user has seen."""

    def __init__(self, folder: Path, count: int) -> None:
        self.count, self.path = count, folder / str(count) / "registry.db"
        self.use()
        registry: Any = current_registry(create=True)
        for numbers in itertools.batched(range(count), PAGE):
            registry.adopt([whole(number) for number in numbers], "benchmark")
            for number in numbers:
                registry._seen.note("secret", name_of(number), 1)
            registry.flush()
        self._registry, self._order = registry, random.Random(1)
        self._kept = itertools.cycle(self._order.sample(range(count), KEPT))
        self._others = another_writer(self.path)

    def use(self) -> None:
        os.environ["BONDSTONE_REGISTRY"] = f"sqlite:///{self.path}"

    def changed(self) -> None:
        self.use()
        self._others()

    def forget(self) -> None:
        """As in a process that has loaded nothing yet, through a connection that is warm."""
        self.use()
        self._registry._store.session().memo.clear()
        self._registry._seen.known.clear()
        check_name.cache_clear()

    def any(self) -> bool:
        return self._right(self._order.randrange(self.count))

    def again(self) -> bool:
        return self._right(next(self._kept))

    def _right(self, number: int) -> bool:
        return bool(Secret.load(name_of(number)).get() == str(number))

    def cold(self) -> bool:
        """A process that loads one of them, and nothing else."""
        code = f"from bondstone.blocks import Secret; print(Secret.load('{name_of(self.count // 2)}').get())"
        environment = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
        return done.stdout.strip() == str(self.count // 2)


def name_of(number: int) -> str:
    return f"many/{number:07}"


def whole(number: int) -> WholeName:
    content = dumps({"fields": {"value": str(number)}, "schema_version": 1})
    return WholeName(Head("secret", name_of(number)).saved(1, 1), [Plain(1, 1, content)])


def flatness(registries: list[Filled], count: int) -> list[list[str]]:
    """The same load in registries of different sizes, one after the other in each round, beside that in the smallest."""
    first, again, changed, cold = "first load of a name", "load again", "again, after a commit", "process: load one"

    def cases(label: str, pick: Callable[[Filled], Case]) -> list[Case]:
        made = [pick(one) for one in registries]
        labels = [f"{label}, of {one.count:,}" for one in registries]
        floors = ["", *[labels[0]] * len(made[1:])]
        return [case._replace(label=name, floor=its) for case, name, its in zip(made, labels, floors, strict=True)]

    return [
        *rounds(cases(first, lambda one: Case("", one.any, "", True, one.forget, KEPT)), count),
        *rounds(cases(again, lambda one: Case("", one.again, "", True, one.use, KEPT)), count),
        *rounds(cases(changed, lambda one: Case("", one.again, "", True, one.changed, KEPT)), count),
        *rounds(cases(cold, lambda one: Case("", one.cold, "", True, one.use)), 11),
    ]


def _loads(url: str, seed: int) -> int:
    os.environ["BONDSTONE_REGISTRY"] = url
    order, done, end = random.Random(seed), 0, time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        Secret.load(name_of(order.randrange(10_000)))
        done += 1
    return done


def in_processes(folder: Path) -> list[list[str]]:
    """Loads a second, of names in random order out of 10,000: of one process, and of eight."""
    url = f"sqlite:///{folder}/10000/registry.db"
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        pool.starmap(_loads, [(url, 0)] * PROCESSES)
        pairs = [
            (pool.apply(_loads, (url, 1)), sum(pool.starmap(_loads, [(url, seed) for seed in range(PROCESSES)])))
            for _ in range(3)
        ]
    one, all_ = max(pairs, key=lambda pair: pair[1] / pair[0])
    return [
        ["loads a second, one process", f"{one / SECONDS:,.0f}", ""],
        [
            f"loads a second, {PROCESSES} processes",
            f"{all_ / SECONDS:,.0f}",
            f"{all_ / one:.2f} x one process, on {os.cpu_count()} cores",
        ],
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
        Case("load again (beside Prefect)", load, "", True, times=5),
        Case("Prefect's Secret.load", lambda: theirs("theirs").get(), "load again (beside Prefect)", "theirs", times=5),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Loads at scale.")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--most", type=int, default=10_000, help="blocks in the largest registry; 10 000 if left out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        os.environ["HOME"] = folder
        registries = [Filled(Path(folder), size) for size in SIZES if size <= max(options.most, SIZES[1])]
        lines = flatness(registries, options.rounds) + in_processes(Path(folder))
        with postgresql() as more:
            lines += rounds(more, options.rounds)
        lines += rekey.lines(20_000, 3)
        registries[0].use()
        with prefect_home(Path(folder)):
            lines += rounds(prefects(registries[0].again), 5)
    report(lines)


if __name__ == "__main__":
    main()
