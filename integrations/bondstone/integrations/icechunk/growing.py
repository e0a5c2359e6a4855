"""A group that grows along one dimension: begun with the first step of its first dataset, then written to like any other time."""

import math
from typing import TYPE_CHECKING, Any

from bondstone.integrations.encoding import with_default_codecs
from bondstone.integrations.extras import need

if TYPE_CHECKING:
    import icechunk
    import xarray

_CHUNK = 2**20  # bytes that each further step may have to read and write again
_STEPS = 4096  # in a chunk, at most: half a year of hours
_STEP = 32 * 2**20  # bytes; larger steps are more than one chunk


def opened(session: "icechunk.Session", group: str | None) -> "xarray.Dataset | None":
    """The dataset of a group, not loaded; None if there is no array in it."""
    try:
        node = need("zarr", "icechunk").open_group(session.store, path=group or "", mode="r")
    except FileNotFoundError:
        return None
    if next(iter(node.array_keys()), None) is None:
        return None
    return _dataset(session, group)


def begin(session: "icechunk.Session", group: str | None, dataset: "xarray.Dataset", dim: str) -> "xarray.Dataset":
    """Make the arrays, with all that does not grow, and one step of what does; what `opened` gives then."""
    first = dataset.isel({dim: slice(0, 1)}).compute()
    for name, variable in first.variables.items():
        if variable.dims:
            whole = dataset.variables[name]
            variable.encoding = {"chunks": _chunks(whole, dim), **_time_units(whole), **variable.encoding}
    need("icechunk.xarray", "icechunk").to_icechunk(with_default_codecs(first), session, group=group, mode="a")
    return _dataset(session, group)


def _dataset(session: "icechunk.Session", group: str | None) -> "xarray.Dataset":
    opened: xarray.Dataset = need("xarray", "icechunk").open_zarr(
        session.store, group=group, consolidated=False, chunks=None
    )
    return opened


def _chunks(variable: "xarray.Variable", dim: str) -> tuple[int, ...]:
    """Dask's own; else whole steps, as many as make a MiB."""
    if variable.chunks:
        return tuple(sizes[0] for sizes in variable.chunks)
    lengths = {name: size for name, size in variable.sizes.items() if name != dim}
    while (row := variable.dtype.itemsize * math.prod(lengths.values())) > _STEP:
        longest = max(lengths, key=lambda name: lengths[name])
        lengths[longest] = -(-lengths[longest] // 2)
    steps = max(1, min(_STEPS, _CHUNK // max(1, row)))
    return tuple(lengths.get(name, steps) for name in variable.dims)


def _time_units(variable: "xarray.Variable") -> dict[str, Any]:
    """Xarray would take the coarsest unit that fits the first times, in which later ones may not fit."""
    cftime = need("xarray.core.common", "icechunk").contains_cftime_datetimes(variable)
    if "units" in variable.encoding or not (cftime or variable.dtype.kind == "M"):
        return {}
    values = variable.values
    if cftime:
        unit = "microseconds" if any(value.microsecond for value in values.flat) else "seconds"
    else:
        unit = "nanoseconds" if (values != values.astype("M8[s]")).any() else "seconds"
    return {"units": f"{unit} since 1970-01-01", "dtype": "int64"}
