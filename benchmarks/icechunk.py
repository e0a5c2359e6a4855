"""What a commit by name costs over icechunk by hand, what the default codec gains, what a thousand remembered keys cost, whether appends
stay as quick as they were, and what a second worker of Dask gains.

Run it by ``make bench-icechunk``, with ``ARGS="--mib 64"`` for a smaller dataset. All in local folders, peers in turn in one run, medians.
Nothing timed is asserted; what is read back wrong ends the run.
"""

import argparse
import itertools
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import icechunk
import numpy as np
import xarray as xr
from distributed import Client, LocalCluster
from icechunk.xarray import to_icechunk

from benchmarks.rotation import home
from bondstone.blocks import IcechunkRepo
from bondstone.integrations.encoding import with_default_codecs
from bondstone.integrations.icechunk import IcechunkAppend, IcechunkCommit, IcechunkDistributedWrite, connect, markers

CHUNK = (1, 2048, 1024)  # float32: 8 MiB
KEYS = 1000
SMALL_COMMITS = 60

type Case = Callable[[int], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--appends", type=int, default=2000)
    given = parser.parse_args()
    print("| case | by hand | bondstone | ratio or difference |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home(Path(folder))
        large(Path(folder), sea(given.mib), given.rounds)
        small(Path(folder))
        remembered(Path(folder))
        appended(Path(folder), given.appends)
        distributed(Path(folder), sea(min(given.mib, 384)), given.rounds)


def large(folder: Path, dataset: xr.Dataset, rounds: int) -> None:
    """The task, and by hand with the same codec and with icechunk's own."""
    ours = with_default_codecs(dataset)
    sizes: dict[str, int] = {}

    def clean() -> None:
        for name in ("same", "task", "default"):
            if (folder / name).exists():
                sizes[name] = stored(folder / name)
                shutil.rmtree(folder / name)

    IcechunkRepo(path=str(folder / "task")).save("large")
    commit = IcechunkCommit("large")
    same, task, default = in_turn(
        rounds,
        lambda _: by_hand(folder / "same", ours),
        lambda _: commit(dataset, message="m", key="one"),
        lambda _: by_hand(folder / "default", dataset),
        clean=clean,
    )
    clean()
    mib = dataset.nbytes / 2**20
    row(f"{mib:.0f} MiB, the same codec", f"{same:.2f} s", f"{task:.2f} s", f"{100 * (task / same - 1):+.1f} %")
    row(
        f"{mib:.0f} MiB, icechunk's own codec",
        f"{default:.2f} s",
        f"{task:.2f} s",
        f"{default / task:.1f} times faster",
    )
    row(
        "stored",
        *(f"{sizes[name] / 2**20:.1f} MiB" for name in ("default", "task")),
        f"{sizes['task'] / sizes['default']:.3f}",
    )


def small(folder: Path) -> None:
    """One value: in a repository that is kept open, in one that is opened as a flow opens it, and by its name."""
    storage = icechunk.local_filesystem_storage(str(folder / "by-hand"))
    repository = icechunk.Repository.create(storage)
    IcechunkRepo(path=str(folder / "small")).save("small")
    commit, value = IcechunkCommit("small"), xr.Dataset({"a": ("x", [1.0])})

    def hand(repository: icechunk.Repository) -> None:
        session = repository.writable_session("main")
        to_icechunk(with_default_codecs(value), session, group="g", mode="w")
        session.commit("m")

    kept, opened, task = in_turn(
        SMALL_COMMITS,
        lambda _: hand(repository),
        lambda _: hand(icechunk.Repository.open(storage)),
        lambda number: commit(value, group="g", message="m", key=str(number)),
    )
    difference("one value, the repository kept open", kept, task)
    difference("one value, the repository opened each time", opened, task)


def remembered(folder: Path) -> None:
    """The same task on a repository of a few keys, and of a thousand that were used before."""
    value, commits = xr.Dataset({"a": ("x", [1.0])}), []
    for name in ("few", "many"):
        IcechunkRepo(path=str(folder / name)).save(name)
        commits.append(IcechunkCommit(name))
    session = connect("many").writable_session("main")
    for number in range(KEYS):
        markers.write(session, markers.marker(f"old {number}"), {"at": datetime.now(UTC).isoformat()})
    session.commit("keys")

    def case(commit: IcechunkCommit) -> Case:
        return lambda number: commit(value, group="g", message="m", key=str(number))

    few, many = in_turn(SMALL_COMMITS, *map(case, commits))
    if commits[1](value, group="g", message="m", key=str(SMALL_COMMITS - 1)).already is not True:
        raise SystemExit("a key was forgotten")
    difference(f"one value; no key, {KEYS:,} keys remembered", few, many)


def appended(folder: Path, commits: int) -> None:
    """Steps of 8 MiB, each with a key: a young repository beside one of many commits, in turn. Those before are zeros, which need no room.

    In turn, because the disk and the processor of the first minute are not those of the last.
    """
    young, old = (_growing(folder / name) for name in ("young", "old"))
    steps, nothing = sea(80).sst.values, np.zeros(CHUNK[1:], np.float32)
    for _ in range(4):
        young(nothing)
    for _ in range(commits - 10):
        old(nothing)
    few, many = in_turn(9, lambda number: young(steps[number]), lambda number: old(steps[number]))
    row(f"append of 8 MiB, commits 6 to 14 and the last nine of {commits:,}", ms(few), ms(many), f"{many / few:.2f}")


def _growing(path: Path) -> Callable[[np.ndarray], object]:
    """What appends the next day to a repository of its own."""
    IcechunkRepo(path=str(path)).save(path.name)
    append, days = IcechunkAppend(path.name), itertools.count()

    def step(values: np.ndarray) -> object:
        number = next(days)
        time_ = np.datetime64("2000-01-01", "ns") + np.timedelta64(number, "D")
        data = xr.Dataset({"sst": (("time", "y", "x"), values[None])}, {"time": [time_]})
        data.sst.encoding["chunks"] = CHUNK
        return append(data, group="g", message="m", key=str(number))

    return step


def distributed(folder: Path, dataset: xr.Dataset, rounds: int) -> None:
    """A lazy dataset by one worker of Dask and by two, each with one thread."""
    IcechunkRepo(path=str(folder / "distributed")).save("distributed")
    write, lazy = IcechunkDistributedWrite("distributed"), dataset.chunk({"time": 1})
    with worker(1) as one, worker(2) as two:
        alone, both = in_turn(
            rounds,
            lambda _: write(lazy, one, group="one", message="m"),
            lambda _: write(lazy, two, group="two", message="m"),
        )
    mib = dataset.nbytes / 2**20
    row(f"{mib:.0f} MiB, one worker and two", f"{alone:.2f} s", f"{both:.2f} s", f"{alone / both:.2f} times faster")


@contextmanager
def worker(count: int) -> Iterator[Any]:
    cluster_of, client_of = cast("Any", LocalCluster), cast("Any", Client)  # untyped
    with (
        cluster_of(n_workers=count, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        client_of(cluster) as client,
    ):
        yield client


def by_hand(path: Path, dataset: xr.Dataset) -> None:
    repository = icechunk.Repository.create(icechunk.local_filesystem_storage(str(path)))
    session = repository.writable_session("main")
    to_icechunk(dataset, session, mode="w")
    session.commit("m")


def in_turn(rounds: int, *cases: Case, clean: Callable[[], object] = lambda: None) -> list[float]:
    """The median seconds of each; one round more goes before, which does not count."""
    taken: list[list[float]] = [[] for _ in cases]
    for number in range(-1, rounds):
        for times, case in zip(taken, cases, strict=True):
            clean()
            start = time.perf_counter()
            case(number)
            times.append(time.perf_counter() - start)
    return [statistics.median(times[1:]) for times in taken]


def sea(mib: int) -> xr.Dataset:
    """Temperatures that vary smoothly, and a little at random, as measured ones do."""
    random, (_, height, width) = np.random.default_rng(1), CHUNK
    pattern = 290 + 10 * np.outer(np.sin(np.linspace(0, 3, height)), np.cos(np.linspace(0, 6, width)))
    steps = mib // 8
    values = np.empty((steps, height, width), "f4")
    for step in range(steps):
        values[step] = pattern + step / 100 + random.normal(scale=0.05, size=pattern.shape)
    return xr.Dataset({"sst": xr.Variable(("time", "y", "x"), values, encoding={"chunks": CHUNK})})


def stored(path: Path) -> int:
    """Bytes of all files."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def difference(case: str, one: float, other: float) -> None:
    row(case, ms(one), ms(other), f"{1000 * (other - one):+.1f} ms")


def ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


def row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
