"""What uploads cost, beside other clients in the same run: against a server that keeps nothing, and against a real one.

Run it by ``make bench-s3``. Each round runs every client, one after the other; a ratio is the median of the rounds' ratios, so that what
else the machine does falls on both. Nothing timed is asserted.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import obstore
from rich.console import Console
from rich.table import Table

from benchmarks import s3_peers as peers
from benchmarks.s3_peers import Client, Service
from bondstone.cli.demo.prefect_home import prefect_home
from bondstone.cli.demo.server import s3_server
from bondstone.integrations.s3 import S3Upload

KIB, MIB = 1024, 1024**2
MAKERS: Mapping[str, Callable[[Service], Client]] = {
    "bondstone": peers.ours,
    "raw obstore": peers.raw_obstore,
    "opendal": peers.by_opendal,
    "s5cmd": peers.by_s5cmd,
    "boto3": peers.by_boto3,
}


@dataclass(frozen=True)
class Load:
    """Files to upload: so many of so many bytes."""

    count: int
    size: int

    def __str__(self) -> str:
        size = f"{self.size // MIB} MiB" if self.size >= MIB else f"{self.size // KIB} KiB"
        return f"{self.count} x {size}" if self.count > 1 else size

    def files(self, folder: Path) -> list[Path]:
        below = folder / str(self).replace(" ", "")
        below.mkdir(exist_ok=True)
        for number in range(self.count):
            with (below / f"{number:04}").open("wb") as file:
                for _ in range(0, self.size, MIB):
                    file.write(os.urandom(min(MIB, self.size)))
        return sorted(below.iterdir())


LOADS = (Load(1000, KIB), Load(32, 8 * MIB), Load(1, 512 * MIB))


@contextmanager
def null_server() -> Iterator[Service]:
    """In a process of its own."""
    argv = [sys.executable, "-m", "benchmarks.null_s3"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield Service(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()


@contextmanager
def real_server(folder: Path) -> Iterator[Service]:
    """Ministack, which checks signatures and keeps what it gets."""
    with s3_server(folder / "server") as server:
        server.create_user("bench")
        server.create_bucket("reports")
        key = server.create_key("bench")
        yield Service(server.endpoint, key.access_key_id, key.secret_access_key)


class Took(NamedTuple):
    """Seconds on the clock, and of the processor in this process and in those that it waited for."""

    clock: float
    processor: float


def took(call: Callable[[], object]) -> Took:
    start, before = time.perf_counter(), os.times()
    call()
    return Took(time.perf_counter() - start, sum(os.times()[:4]) - sum(before[:4]))


def seconds(call: Callable[[], object]) -> float:
    return took(call).clock


def measured(clients: Mapping[str, Client], files: Sequence[Path], rounds: int) -> dict[str, list[Took]]:
    """What each client took in each round, after one that does not count."""
    found: dict[str, list[Took]] = {name: [] for name in clients}
    for turn in range(rounds + 1):
        for name, client in clients.items():
            this = took(partial(client, files))
            if turn:
                found[name].append(this)
    return found


def cells(found: Mapping[str, Sequence[Took]], name: str) -> list[str]:
    """Seconds, how many times as long as ours (round by round), and seconds of the processor."""
    mine, its = found["bondstone"], found[name]
    ratio = median(one.clock / ours.clock for one, ours in zip(its, mine, strict=True))
    return [f"{median(one.clock for one in its):.3f}", f"{ratio:.2f}", f"{median(one.processor for one in its):.2f}"]


def table(title: str, service: Service, folder: Path, rounds: int, more: Mapping[str, Client]) -> None:
    """One server, all loads."""
    shown = Table("client", title=f"{title}: seconds, times ours, seconds of the processor")
    for column in (column for load in LOADS for column in (str(load), "/ ours", "cpu")):
        shown.add_column(column, justify="right")
    clients = {name: make(service) for name, make in MAKERS.items()} | dict(more)
    found = [measured(clients, load.files(folder), rounds) for load in LOADS]
    for name in clients:
        shown.add_row(name, *(cell for each in found for cell in cells(each, name)))
    Console(width=120).print(shown)


def one_put(service: Service, rounds: int) -> None:
    """A single small object, in turns."""
    store, upload, data = peers.store(service), S3Upload("bench"), bytes(KIB)
    raw, mine = [], []
    for _ in range(rounds * 100):
        raw.append(seconds(lambda: obstore.put(store, "one", data, use_multipart=False)))
        mine.append(seconds(lambda: upload(data, key="one")))
    over = median(b - a for a, b in zip(raw, mine, strict=True))
    print(f"one put of 1 KiB: raw obstore {median(raw) * 1e3:.3f} ms, bondstone {over * 1e3:+.3f} ms")


def under_prefect(service: Service, folder: Path, rounds: int) -> None:
    """As a task; and the task of prefect-aws, of which eight stand for more."""
    with prefect_home(folder):
        from benchmarks import s3_prefect

        raw, mine = s3_prefect.overhead(service, rounds * 20)
        print(f"a Prefect task of 1 KiB: raw obstore {raw * 1e3:.2f} ms, bondstone {(mine - raw) * 1e3:+.2f} ms")
        theirs, ours = s3_prefect.s3_upload(service), peers.ours(service)
        for load in LOADS:
            print(beside_prefect_aws(load, load.files(folder), theirs, ours))


def beside_prefect_aws(load: Load, files: Sequence[Path], theirs: Client, ours: Client) -> str:
    """Three rounds. Of many files it gets eight, and the time that they take is multiplied."""
    some = files[:8]
    pairs = [(seconds(lambda: theirs(some)) * load.count / len(some), seconds(lambda: ours(files))) for _ in range(3)]
    its, times = median(a for a, _ in pairs), median(a / b for a, b in pairs)
    return f"prefect-aws s3_upload, {load}: {its:.2f} s, {times:.1f} x ours"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for variable in [n for n in os.environ if n.startswith(("BONDSTONE_", "XDG_", "AWS_"))]:
            del os.environ[variable]
        os.environ |= {"HOME": name, "NO_PROXY": "127.0.0.1"}
        with null_server() as service:
            table("a server that keeps nothing", service, folder, rounds, {"read, hash, send": peers.floor(service)})
            one_put(service, rounds)
            under_prefect(service, folder, rounds)
        with real_server(folder) as service:
            table("ministack", service, folder, max(1, rounds // 2), {})


if __name__ == "__main__":
    main()
