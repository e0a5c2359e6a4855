"""In what a dataset differs from the one before: its structure, and its values in numbers."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.same import parts

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class Drift:
    """One thing that differs: `what` of a variable, or of the whole dataset where that is None."""

    variable: str | None
    what: str  # added, deleted, dtype, dimensions, shape, or an attribute as "attribute units"
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Statistics:
    """Of one numeric variable; None where no value is there. `missing` is the share of NaN and masked values, 0 to 1."""

    minimum: float | None
    maximum: float | None
    mean: float | None
    missing: float


def structure(before: "xarray.Dataset", after: "xarray.Dataset") -> Iterator[Drift]:
    """What differs but for values."""
    yield from _attributes(None, before.attrs, after.attrs)
    for name in sorted({*before.variables, *after.variables}, key=str):
        if name not in after.variables:
            yield Drift(str(name), "deleted", _shape(before.variables[name]), None)
        elif name not in before.variables:
            yield Drift(str(name), "added", None, _shape(after.variables[name]))
        else:
            yield from _differing(str(name), before.variables[name], after.variables[name])


def statistics(dataset: "xarray.Dataset") -> dict[str, Statistics]:
    """Of every numeric variable, read in parts of about 64 MiB."""
    numeric = {str(name): variable for name, variable in dataset.variables.items() if variable.dtype.kind in "biuf"}
    return {name: _statistics(variable) for name, variable in numeric.items()}


def _differing(name: str, before: "xarray.Variable", after: "xarray.Variable") -> Iterator[Drift]:
    for what in ("dtype", "dims", "shape"):
        old, new = str(getattr(before, what)), str(getattr(after, what))
        if old != new:
            yield Drift(name, {"dims": "dimensions"}.get(what, what), old, new)
    yield from _attributes(name, {**before.attrs, **_time(before)}, {**after.attrs, **_time(after)})


def _time(variable: "xarray.Variable") -> dict[str, Any]:
    """What reading makes of the attributes of a time: it is drift all the same."""
    return {name: variable.encoding[name] for name in ("units", "calendar") if name in variable.encoding}


def _attributes(name: str | None, before: dict[Any, Any], after: dict[Any, Any]) -> Iterator[Drift]:
    for key in sorted({*before, *after}, key=str):
        old, new = (str(attributes[key]) if key in attributes else None for attributes in (before, after))
        if old != new:
            yield Drift(name, f"attribute {key}", old, new)


def _shape(variable: "xarray.Variable") -> str:
    return f"{variable.dtype} {dict(variable.sizes)}"


def _statistics(variable: "xarray.Variable") -> Statistics:
    numpy = need("numpy", "icechunk")
    low, high, total, count = math.inf, -math.inf, 0.0, 0
    for part in parts(variable):
        values = numpy.asarray(variable[part].values, dtype="f8")
        values = values[~numpy.isnan(values)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            total, count = total + float(values.sum()), count + values.size
    if not count:
        return Statistics(None, None, None, 1.0 if variable.size else 0.0)
    return Statistics(low, high, total / count, 1 - count / variable.size)
