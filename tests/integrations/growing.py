"""Monthly temperatures that grow along time."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bondstone.blocks import InvalidData
from bondstone.integrations.icechunk import IcechunkAppend
from bondstone.integrations.receipts import CommitReceipt

START = np.datetime64("2000-01", "M")


def months(first: int, count: int = 1, seed: int = 0) -> xr.Dataset:
    """Some months from the `first` after January 2000; each has values of its own, other ones for another `seed`."""
    time = (START + np.arange(first, first + count)).astype("M8[ns]")
    fields = [np.random.default_rng((seed, number)).normal(280, 5, (3, 4)) for number in range(first, first + count)]
    sst = xr.Variable(("time", "lat", "lon"), np.stack(fields), {"units": "K"})
    coords = {"time": time, "lat": [-10.0, 0.0, 10.0], "lon": [0.0, 90.0, 180.0, 270.0]}
    return xr.Dataset({"sst": sst, "area": (("lat", "lon"), np.ones((3, 4)))}, coords)


def meanwhile(dataset: xr.Dataset, happen: Callable[[], object]) -> tuple[xr.Dataset, list[int]]:
    """The dataset, lazy, of which the first computation makes something happen; and how often it was computed."""
    times: list[int] = []

    def computed(block: np.ndarray) -> np.ndarray:
        times.append(1)
        if len(times) == 1:
            happen()
        return block

    lazy: Any = dataset.sst.chunk()
    return dataset.assign(sst=lazy.copy(data=lazy.data.map_blocks(computed, meta=np.empty((0, 0, 0))))), times


def append_month(repo: str, number: int) -> CommitReceipt:
    """To the group `g`; the number is key and message, too."""
    return IcechunkAppend(repo)(months(number), group="g", message=str(number), key=str(number))


def append_when_ready(ready: Path, repo: str, number: int) -> None:
    """Say so by a file when the libraries are loaded, then append that month."""
    import icechunk.xarray  # noqa: F401 -- which takes a second

    ready.touch()
    append_month(repo, number)


def in_turn(repo: str, dataset: xr.Dataset, message: str) -> CommitReceipt:
    """Append as soon as the months before are there; within 5 minutes."""
    for _ in range(6000):
        try:
            return IcechunkAppend(repo)(dataset, group="g", message=message, key=message)
        except InvalidData as error:
            assert ": append what is between" in str(error)  # noqa: PT017 -- a gap: not ours yet
            time.sleep(0.05)
    raise AssertionError(f"the month before that of {message} never came")


def append_in_turn(repo: str, numbers: Iterable[int]) -> None:
    """Those months; somebody else appends the ones between."""
    for number in numbers:
        in_turn(repo, months(number), str(number))
