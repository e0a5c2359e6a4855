"""Commits that can be told apart, for programs that make them in processes of their own."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import xarray as xr

from bondstone.integrations.icechunk import IcechunkCommit, connect
from bondstone.integrations.receipts import CommitReceipt


def layer(number: int) -> xr.Dataset:
    """A variable of four chunks, all of it `number`."""
    values = xr.Variable(("t", "x"), np.full((4, 100), float(number)), encoding={"chunks": (1, 100)})
    return xr.Dataset({"a": values}, attrs={"number": number})


def commit(repo: str, number: int, group: str = "") -> CommitReceipt:
    """The layer of a number into a group of its own, or into that one; the number is key and message, too."""
    return IcechunkCommit(repo)(layer(number), group=group or f"g{number}", message=str(number), key=str(number))


def commit_when_ready(ready: Path, repo: str, number: int) -> None:
    """Say so by a file when the libraries are loaded, then commit."""
    import icechunk.xarray  # noqa: F401 -- which takes a second

    ready.touch()
    commit(repo, number)


def commit_all(repo: str, numbers: Iterable[int], group: str = "") -> None:
    for number in numbers:
        commit(repo, number, group)


def messages(repo: str) -> list[int]:
    """The numbers of the history, the oldest first; without the first commit, which icechunk makes itself."""
    return [int(snapshot.message) for snapshot in list(connect(repo).ancestry(branch="main"))[-2::-1]]


def check(repo: str, numbers: Iterable[int]) -> None:
    """Each number was committed once, none besides, and what it wrote is there, whole."""
    expected = sorted(numbers)
    assert sorted(messages(repo)) == expected
    store = connect(repo).readonly_session("main").store
    for number in expected:
        found = xr.open_zarr(store, group=f"g{number}", consolidated=False, chunks=None).load()
        xr.testing.assert_identical(found, layer(number))
