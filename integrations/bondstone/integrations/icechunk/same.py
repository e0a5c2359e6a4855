"""Whether a dataset is the one that a key has committed. Asked only when a key is repeated: hashing each commit would cost 13 %."""

import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bondstone.blocks import Conflict
from bondstone.integrations.extras import need

if TYPE_CHECKING:
    import icechunk
    import xarray

_BYTES = 64 * 2**20  # read at a time


def refuse_other(
    dataset: "xarray.Dataset", group: str | None, session: "icechunk.Session | None", facts: dict[str, Any]
) -> None:
    """Raise `Conflict` unless `dataset` is what the commit of `session` has in `group`. Where that has expired, the group is compared."""
    if facts.get("group") != group:
        raise Conflict(f"this key has committed the group {facts.get('group')!r}: use another key for {group!r}")
    if session is None:
        return
    stored = need("xarray", "icechunk").open_zarr(session.store, group=group, consolidated=False, chunks=None)
    if difference := differing(dataset, stored):
        raise Conflict(f"this key has committed other content ({difference}): use another key for another version")


def differing(dataset: "xarray.Dataset", stored: "xarray.Dataset") -> str | None:
    """In what they differ, by name and never by value; None if they are the same as far as storing can tell."""
    dataset = need("xarray", "icechunk").decode_cf(dataset)  # as reading does: the units of times are no attribute then
    if odd := sorted(set(dataset.variables) ^ set(stored.variables), key=str):
        return f"variable {odd[0]!r}"
    if plain(dataset.attrs) != plain(stored.attrs):
        return "attributes"
    return next((found for name in dataset.variables if (found := unlike(dataset, stored, name))), None)


def unlike(dataset: "xarray.Dataset", stored: "xarray.Dataset", name: Any) -> str | None:
    """In what one variable differs; None if it does not."""
    mine, theirs = dataset.variables[name], stored.variables[name]
    if (mine.dims, mine.shape) != (theirs.dims, theirs.shape):
        return f"shape of {name!r}"
    if plain(mine.attrs) != plain(theirs.attrs):
        return f"attributes of {name!r}"
    alike = all(_equal(mine[part], theirs[part], theirs.encoding) for part in parts(mine))
    return None if alike else f"values of {name!r}"


def _equal(mine: "xarray.Variable", theirs: "xarray.Variable", encoding: dict[str, Any]) -> bool:
    """As the store has them: what was packed into few bits has lost the rest, on both sides alike."""
    numpy = need("numpy", "icechunk")
    left, right = (_encoded(variable, encoding) for variable in (mine, theirs))
    if left.dtype.kind in "fc" and right.dtype.kind in "fc":
        return bool(numpy.array_equal(left.astype(right.dtype, copy=False), right, equal_nan=True))
    return bool(numpy.array_equal(left, right))


def _encoded(variable: "xarray.Variable", encoding: dict[str, Any]) -> Any:
    kept = {name: value for name, value in encoding.items() if name in _MATTERS}
    plain = need("xarray", "icechunk").Variable(variable.dims, variable.values, encoding=kept)
    return need("xarray.conventions", "icechunk").encode_cf_variable(plain).values


_MATTERS = ("dtype", "units", "calendar", "scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned")


def parts(variable: "xarray.Variable") -> Iterator[tuple[slice, ...]]:
    """Slices along the first dimension, of about 64 MiB."""
    if not variable.ndim:
        yield ()
        return
    row = math.prod(variable.shape[1:]) * variable.dtype.itemsize
    step = max(1, _BYTES // max(1, row))
    for start in range(0, variable.shape[0], step):
        yield (slice(start, start + step),)


def plain(attributes: dict[Any, Any]) -> Any:
    """As JSON keeps them: tuples are lists, numpy's numbers are numbers."""
    return json.loads(json.dumps(attributes, default=lambda value: value.tolist(), sort_keys=True))
