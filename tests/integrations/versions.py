"""What the tests of commits read, and how they race."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import icechunk
import xarray as xr

from bondstone.integrations.icechunk import connect


def read(repo: str, group: str | None) -> xr.Dataset:
    """A group of the newest version, by a repository that is opened anew."""
    return loaded(connect(repo).readonly_session("main"), group)


def loaded(session: icechunk.Session, group: str | None) -> xr.Dataset:
    dataset: xr.Dataset = xr.open_zarr(session.store, group=group, consolidated=False).load()
    return dataset


def messages(repo: str) -> list[str]:
    """Of all commits but the first, which icechunk makes itself."""
    return [snapshot.message for snapshot in connect(repo).ancestry(branch="main")][:-1]


def at_once[T](call: Callable[[int], T], times: int, *, threads: int | None = None) -> list[T]:
    """What the calls with 0, 1, 2 … give, made by threads at once."""
    with ThreadPoolExecutor(threads or times) as pool:
        return list(pool.map(call, range(times)))
