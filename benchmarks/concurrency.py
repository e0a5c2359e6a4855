"""What Zarr's `async.concurrency` is worth: a commit of many chunks, and reading them back, from a local folder and from an S3 server
that is a round trip of 20 ms away.

Run it by ``make bench-concurrency``, with ``ARGS="--chunks 256 --kib 64 --rounds 7 --delay 0.02"`` for others. The values take turns in
each round; told are medians over the rounds, of the seconds and of their ratio to Zarr's own 10 in the same round. Nothing timed is
asserted; what is read back wrong ends the run.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import icechunk
import numpy as np
import xarray as xr
import zarr

from benchmarks.rotation import home
from bondstone.blocks import AwsCredentials, IcechunkRepo, S3Bucket, SecretStr
from bondstone.cli.demo.server import s3_server
from bondstone.integrations.icechunk import IcechunkCommit, connect

ZARRS_OWN = 10
VALUES = (4, ZARRS_OWN, 32, 64, 128)

type Taken = dict[str, dict[int, list[float]]]  # seconds of each round, by what was done and the value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=256)
    parser.add_argument("--kib", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--delay", type=float, default=0.02, help="seconds of a round trip to the S3 server")
    given = parser.parse_args()
    icechunk.set_logs_filter("error")  # that local commits are not safe without a lock
    os.environ["ZARR_ASYNC__CONCURRENCY"] = str(ZARRS_OWN)  # or the tasks would take 32 for it
    data = sea(given.chunks, given.kib)
    print(f"| {given.chunks} chunks of {given.kib} KiB | {' | '.join(map(str, VALUES))} |")
    print("| --- " * (1 + len(VALUES)) + "|")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home(Path(folder))
        local = Path(folder, "local")
        IcechunkRepo(path=str(local)).save("local")
        tell("local folder", in_turn("local", data, given.rounds, lambda: shutil.rmtree(local, ignore_errors=True)))
        with distant_bucket(Path(folder), given.delay):
            tell(f"S3, {1000 * given.delay:.0f} ms away", in_turn("distant", data, given.rounds, lambda: None))


def in_turn(name: str, data: xr.Dataset, rounds: int, clean: Callable[[], object]) -> Taken:
    """One round more goes before, which does not count."""
    taken: Taken = {what: {value: [] for value in VALUES} for what in ("commit", "read")}
    commit = IcechunkCommit(name)
    for number in range(rounds + 1):
        for value in VALUES[number % len(VALUES) :] + VALUES[: number % len(VALUES)]:
            clean()
            with zarr.config.set({"async.concurrency": value}):
                connect(name)
                taken["commit"][value].append(seconds(lambda: commit(data, group="g", message="m")))
                taken["read"][value].append(seconds(lambda: read(name, data)))
    return {what: {value: times[1:] for value, times in its.items()} for what, its in taken.items()}


def read(name: str, expected: xr.Dataset) -> None:
    store = connect(name).readonly_session("main").store
    found = xr.open_zarr(store, group="g", consolidated=False, chunks=None).load()
    if not np.array_equal(found.sst, expected.sst):
        raise SystemExit("what was read back is not what was written")


def tell(where: str, taken: Taken) -> None:
    for what, its in taken.items():
        cells = [f"{statistics.median(its[value]):.2f} s, {ratio(its, value):.2f}" for value in VALUES]
        print(f"| {where}: {what} | {' | '.join(cells)} |", flush=True)


def ratio(taken: dict[int, list[float]], value: int) -> float:
    """To Zarr's own, round by round."""
    return statistics.median(one / other for one, other in zip(taken[value], taken[ZARRS_OWN], strict=True))


@contextmanager
def distant_bucket(folder: Path, delay: float) -> Iterator[None]:
    """`icechunk-repo/distant`, on ministack at the other end of a long line."""
    with s3_server(folder / "server") as server:
        server.create_user("bench")
        server.create_bucket("reports")
        key = server.create_key("bench")
        with long_line(server.endpoint, delay) as endpoint:
            signer = AwsCredentials(access_key_id=key.access_key_id, secret_access_key=SecretStr(key.secret_access_key))
            bucket = S3Bucket(bucket="reports", endpoint=endpoint, credentials=signer)
            IcechunkRepo(bucket=bucket, prefix="distant").save("distant")
            yield


@contextmanager
def long_line(endpoint: str, delay: float) -> Iterator[str]:
    """In a process of its own."""
    at = urlsplit(endpoint)
    argv = [sys.executable, "-m", "benchmarks.far_away", str(at.hostname), str(at.port), str(delay)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def sea(chunks: int, kib: int) -> xr.Dataset:
    """Temperatures at random, so that a chunk is as large when it is stored."""
    shape = (chunks, kib * 256)  # of four bytes
    values = np.random.default_rng(1).normal(size=shape).astype("f4")
    return xr.Dataset({"sst": xr.Variable(("time", "x"), values, encoding={"chunks": (1, shape[1])})})


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
