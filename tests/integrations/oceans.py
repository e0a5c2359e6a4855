"""What the tests of versions write and read: chunks of 8 kB, which icechunk keeps as objects of their own."""

import icechunk
import numpy as np
import xarray as xr
import zarr

from bondstone.integrations.icechunk import connect


def sea(number: int, rows: int = 4) -> xr.Dataset:
    """Temperatures, different for each number, in one chunk for each row of 8 kB."""
    values = np.random.default_rng(number).normal(size=(rows, 1024))
    dataset = xr.Dataset({"sst": (("time", "x"), values)})
    dataset.sst.encoding = {"chunks": (1, 1024)}
    return dataset


def put(session: icechunk.Session, name: str, data: int | np.ndarray, rows: int = 4) -> None:
    """Write an array, or that of the sea with a number, by zarr alone."""
    values = sea(data, rows).sst.values if isinstance(data, int) else data
    zarr.create_array(session.store, name=name, data=values, chunks=(1, 1024), overwrite=True)


def values(repo: str, name: str, snapshot: str | None = None) -> np.ndarray:
    """An array of the newest version, or of another."""
    repository = connect(repo)
    session = repository.readonly_session(snapshot_id=snapshot or repository.lookup_branch("main"))
    return np.asarray(zarr.open_array(session.store, path=name, mode="r")[:])


def messages(repo: str) -> list[str]:
    """Of all commits but the first, which icechunk makes itself, newest first."""
    return [snapshot.message for snapshot in connect(repo).ancestry(branch="main")][:-1]
