"""A lazy dataset, written block by block by the workers of Dask or of an executor.

Forks go out and come back as pickles, which hold the name of the repository's block. What is written through a session cannot leave it;
what is written through a fork, and what was merged into it, can.
"""

import math
import pickle
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bondstone.blocks import ServiceUnavailable
from bondstone.integrations.concurrency import concurrent_writes
from bondstone.integrations.encoding import with_default_codecs
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.commit import clear
from bondstone.integrations.icechunk.errors import refused
from bondstone.integrations.icechunk.repo import Repo

if TYPE_CHECKING:
    import icechunk
    import xarray


def written(
    dataset: "xarray.Dataset", group: str | None, fork: "icechunk.ForkSession", repo: Repo, client: Any
) -> "icechunk.ForkSession":
    """`fork` with the whole dataset. Raises `ServiceUnavailable` if workers lost chunks, and what computing raises."""
    dataset = aligned(with_default_codecs(dataset))
    clear(fork, group)
    dataset.to_zarr(fork.store, group=group, mode="a", compute=False, zarr_format=3, consolidated=False)
    job = Job(repo, pickle.dumps(fork.fork()), group)
    fork.merge(*_computed(list(_tasks(dataset, job)), client))
    refuse_missing(fork, group, [str(name) for name, variable in dataset.variables.items() if variable.chunks])
    return fork


def travelled(fork: "icechunk.ForkSession") -> "icechunk.ForkSession":
    """`fork` with all that was written through it, and with a client that asks for the keys that are current."""
    again: icechunk.ForkSession = pickle.loads(pickle.dumps(fork))  # noqa: S301 -- our own, of this moment
    return again


def aligned(dataset: "xarray.Dataset") -> "xarray.Dataset":
    """`dataset` in blocks that hold whole stored chunks, so that no two workers write to one."""
    (optimized,) = need("dask", "dask").optimize(dataset)
    for variable in optimized.variables.values():
        if variable.chunks == ():  # a lazy number
            variable.load()
        elif variable.chunks:
            variable.data = variable.data.rechunk(_blocks(variable))
    return optimized  # type: ignore[no-any-return]


def _blocks(variable: "xarray.Variable") -> tuple[int, ...]:
    """The sizes of blocks, along each dimension as many stored chunks as now go into the largest."""
    largest = tuple(map(max, variable.chunks or ()))
    unit = variable.encoding.get("shards") or variable.encoding.get("chunks") or largest
    return tuple(max(1, size // one) * one for size, one in zip(largest, unit, strict=True))


@dataclass(frozen=True)
class Job:
    """What workers need to know. It pickles to the name of a block."""

    repo: Repo
    fork: bytes
    group: str | None


def put(job: Job, name: str, region: dict[str, slice], values: Any) -> "icechunk.ForkSession":
    """Write one block, where a worker runs this; once more if the key is refused meanwhile."""
    vendor = need("icechunk", "icechunk")
    with job.repo.translated():
        try:
            return _put(job, name, region, values)
        except vendor.StorageError as error:
            if not refused(error):
                raise
        job.repo.handle.refresh()
        return _put(job, name, region, values)


def _put(job: Job, name: str, region: dict[str, slice], values: Any) -> "icechunk.ForkSession":
    fork: icechunk.ForkSession = pickle.loads(job.fork)  # noqa: S301 -- from the task that made the job
    block = need("xarray", "icechunk").Dataset({name: (tuple(region), values)})
    with concurrent_writes():
        # Empty chunks too: else an empty one and a lost one would look alike.
        block.to_zarr(
            fork.store, group=job.group, region=region, zarr_format=3, consolidated=False, write_empty_chunks=True
        )
    return fork


def _tasks(dataset: "xarray.Dataset", job: Job) -> Iterator[Any]:
    delayed, slices = need("dask", "dask").delayed, need("dask.array.core", "dask").slices_from_chunks
    sent = delayed(job, traverse=False, pure=False)
    for name, variable in dataset.variables.items():
        if variable.chunks:
            array: Any = variable.data
            for part, block in zip(slices(array.chunks), array.to_delayed(optimize_graph=False).ravel(), strict=True):
                yield delayed(put, pure=False)(sent, name, dict(zip(variable.dims, part, strict=True)), block)


def _computed(tasks: list[Any], client: Any) -> "tuple[icechunk.ForkSession, ...]":
    """By what Dask itself has for clients and executors; to an executor each task goes alone, as a pickle."""
    where = (
        {"scheduler": "processes", "pool": client, "chunksize": 1}
        if isinstance(client, Executor)
        else {"scheduler": client}
    )
    return need("dask", "dask").compute(*tasks, **where)  # type: ignore[no-any-return]


def refuse_missing(fork: "icechunk.ForkSession", group: str | None, names: list[str]) -> None:
    """Raise `ServiceUnavailable` unless each chunk of these arrays is there."""
    root = need("zarr", "icechunk").open_group(fork.store, path=group or "", mode="r")
    there = fork.status().updated_chunks
    short = []
    for name in names:
        array = root[name]
        wanted = math.prod(-(-size // one) for size, one in zip(array.shape, array.shards or array.chunks, strict=True))
        found = len(there.get(f"/{array.path}", ()))
        if found != wanted:
            short.append(f"{wanted - found} of {wanted} chunks of '{array.path}'")
    if short:
        raise ServiceUnavailable(f"workers came back without {', '.join(short)}: nothing was committed, try again")
