"""What a dataset must have in common with the group that it goes into. Each refusal names the variable, and what it is there and here."""

from typing import TYPE_CHECKING, Any

from bondstone.blocks import InvalidData
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.same import plain, unlike

if TYPE_CHECKING:
    import xarray

FREE = (
    "history",
    "comment",
    "actual_range",
)  # attributes that tell of the values or of the file, not of what they mean


def check_growing(dataset: "xarray.Dataset", stored: "xarray.Dataset", dim: str) -> None:
    """Raise `InvalidData` unless `dataset` is alike in everything but the steps along `dim`, of its variables that have it."""
    check_names(dataset, stored)
    for name, variable in dataset.variables.items():
        if dim in variable.dims:
            check_variable(name, variable, stored.variables[name])
            check_sizes(name, variable, stored.variables[name], (dim,))
        else:
            check_same(name, dataset, stored)


def check_names(dataset: "xarray.Dataset", stored: "xarray.Dataset") -> None:
    """Raise `InvalidData` unless both have the same variables."""
    check_known(dataset, stored)
    for name in sorted(set(stored.variables) - set(dataset.variables), key=str):
        raise InvalidData(f"the variable {name!r} of the group is missing in what is to be added: {_list(dataset)}")


def check_known(dataset: "xarray.Dataset", stored: "xarray.Dataset") -> None:
    """Raise `InvalidData` if there is a variable that is not stored."""
    for name in sorted(set(dataset.variables) - set(stored.variables), key=str):
        raise InvalidData(f"the variable {name!r} is not in the group, which has {_list(stored)}")


def _list(dataset: "xarray.Dataset") -> str:
    return ", ".join(sorted(map(str, dataset.variables)))


def check_variable(name: Any, mine: "xarray.Variable", stored: "xarray.Variable") -> None:
    """Raise `InvalidData` unless dimensions, type, calendar and attributes are those that are stored."""
    for what, theirs, ours in (
        ("dimensions", stored.dims, mine.dims),
        ("type", _type(stored), _type(mine)),
        *((f"attribute {key!r}", *pair) for key, pair in _attributes(mine, stored).items()),
    ):
        if theirs != ours and not (what == "type" and _packs(stored, mine)):
            raise InvalidData(f"{what} of {name!r}: {theirs!r} in the group, {ours!r} in what is to be added to it")


def check_sizes(name: Any, mine: "xarray.Variable", stored: "xarray.Variable", but: tuple[str, ...]) -> None:
    """Raise `InvalidData` if one is longer along a dimension, `but` those."""
    for dim, size in stored.sizes.items():
        if dim not in but and mine.sizes[dim] != size:
            raise InvalidData(
                f"length of {name!r} along {dim!r}: {size} in the group, {mine.sizes[dim]} in what is to be added"
            )


def check_same(name: Any, dataset: "xarray.Dataset", stored: "xarray.Dataset") -> None:
    """Raise `InvalidData` unless a variable that is not to be changed is the one that is stored."""
    check_variable(name, dataset.variables[name], stored.variables[name])
    check_sizes(name, dataset.variables[name], stored.variables[name], ())
    if difference := unlike(with_free(dataset[[name]], stored), stored, name):
        there, here = _first(stored.variables[name].values, dataset.variables[name].values)
        raise InvalidData(f"{difference}: {there} in the group, {here} in what is to be added to it")


def with_free(dataset: "xarray.Dataset", stored: "xarray.Dataset") -> "xarray.Dataset":
    """`dataset` with those attributes of the stored one that may differ, its global ones among them: they stay as they are."""
    dataset = dataset.copy(deep=False)
    dataset.attrs = dict(stored.attrs)
    for name, variable in dataset.variables.items():
        free = {key: value for key, value in stored.variables[name].attrs.items() if key in FREE}
        variable.attrs = {key: value for key, value in variable.attrs.items() if key not in FREE} | free
    return dataset


def _type(variable: "xarray.Variable") -> str:
    """In words. Times of NumPy are alike whatever their unit, and texts whatever their length."""
    kind = variable.dtype.kind
    if kind == "M":
        return "times of the standard calendar"
    if kind == "O" and need("xarray.core.common", "icechunk").contains_cftime_datetimes(variable):
        return f"times of the calendar {variable[(0,) * variable.ndim].values.item().calendar}"
    return {"m": "durations", "U": "text", "S": "text", "O": "text", "T": "text"}.get(kind, str(variable.dtype))


def _packs(stored: "xarray.Variable", mine: "xarray.Variable") -> bool:
    """Numbers in few bits are read as floating-point numbers of any width."""
    return bool(
        stored.dtype.kind == mine.dtype.kind == "f" and stored.encoding.get("dtype", stored.dtype) != stored.dtype
    )


def _attributes(mine: "xarray.Variable", stored: "xarray.Variable") -> dict[str, tuple[Any, Any]]:
    """Of each attribute that matters, what is there and here."""
    there, here = (
        plain({key: each.encoding[key] for key in ("grid_mapping",) if key in each.encoding} | each.attrs)
        for each in (stored, mine)
    )
    return {key: (there.get(key), here.get(key)) for key in sorted({*there, *here} - {*FREE})}


def _first(stored: Any, mine: Any) -> tuple[str, str]:
    """Where they begin to differ, and by what."""
    numpy, isna = need("numpy", "icechunk"), need("pandas", "icechunk").isna
    at = tuple(numpy.argwhere((mine != stored) & ~(isna(mine) & isna(stored)))[0].tolist())
    return f"{stored[at]} at {list(at)}", f"{mine[at]}"
