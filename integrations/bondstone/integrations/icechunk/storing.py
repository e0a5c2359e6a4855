"""Values into arrays that are there: in the encoding of those, and read back from it before they are written."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bondstone.blocks import InvalidData
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.reads import path

if TYPE_CHECKING:
    import icechunk
    import xarray
    import zarr

_BYTES = 64 * 2**20  # encoded, checked and written at a time
_ENCODING = ("dtype", "units", "calendar", "scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned")
_ROUNDING = 1e-6  # of what is computed in 32 bits

type Slices = tuple[slice, ...]


@dataclass(frozen=True)
class Target:
    """A stored variable: the array, and what decodes it."""

    name: str
    array: "zarr.Array[Any]"
    stored: "xarray.Variable"

    @property
    def grain(self) -> dict[str, int]:
        """What is written as a whole along each dimension, in elements: chunks, or the shards that hold them."""
        shape = getattr(self.array, "shards", None) or self.array.chunks
        return dict(zip(map(str, self.stored.dims), shape, strict=True))

    def lengthen(self, dim: str, size: int) -> None:
        """Make the array at least `size` long along `dim`."""
        axis, shape = self.stored.get_axis_num(dim), list(self.array.shape)
        if shape[axis] < size:
            shape[axis] = size
            self.array.resize(shape)

    def write(self, variable: "xarray.Variable", where: Mapping[str, slice]) -> bool:
        """Write `variable` to the places `where` along some dimensions; False if all of it is missing values.

        What is lazy is computed once, in pieces. Raises `InvalidData` if values would be read back as others.
        """
        present = False
        for piece, place in self._pieces(variable, where):
            part = need("xarray", "icechunk").Variable(variable.dims, variable[piece].values)
            self.array[place] = self._encoded(part)
            present = present or not need("pandas", "icechunk").isna(part.values).all()
        return present

    def _pieces(self, variable: "xarray.Variable", where: Mapping[str, slice]) -> Iterator[tuple[Slices, Slices]]:
        """Of about 64 MiB, along the first dimension that is in `where`, with no chunk in two of them."""
        whole = tuple(where.get(str(dim), slice(0, size)) for dim, size in variable.sizes.items())
        axis = next(number for number, dim in enumerate(variable.dims) if dim in where)
        bounds, grain = whole[axis], self.grain[str(variable.dims[axis])]
        row = variable.dtype.itemsize * math.prod(size for n, size in enumerate(variable.shape) if n != axis)
        step = max(1, _BYTES // max(1, row) // grain) * grain
        start = bounds.start
        while start < bounds.stop:
            stop = min(bounds.stop, (start // step + 1) * step)
            source = slice(start - bounds.start, stop - bounds.start)
            yield (
                tuple(source if n == axis else slice(None) for n in range(variable.ndim)),
                tuple(slice(start, stop) if n == axis else each for n, each in enumerate(whole)),
            )
            start = stop

    def _encoded(self, part: "xarray.Variable") -> Any:
        numpy, conventions = need("numpy", "icechunk"), need("xarray.conventions", "icechunk")
        encoding = {name: value for name, value in self.stored.encoding.items() if name in _ENCODING}
        plain = need("xarray", "icechunk").Variable(part.dims, part.values, encoding=encoding)
        with numpy.errstate(invalid="ignore", over="ignore"):
            coded = conventions.encode_cf_variable(plain, name=self.name)
            values = coded.values.astype(self.array.dtype, copy=False)
        if values is not part.values:
            units = {name: encoding[name] for name in ("units", "calendar") if name in encoding}
            self._check(part, coded.copy(data=values)._replace(attrs=coded.attrs | units))
        return values

    def _check(self, part: "xarray.Variable", coded: "xarray.Variable") -> None:
        """What is read back must be what was given, but for what packing rounds."""
        numpy, pandas = need("numpy", "icechunk"), need("pandas", "icechunk")
        decode = need("xarray.conventions", "icechunk").decode_cf_variable
        back = decode(self.name, coded, decode_timedelta=part.dtype.kind == "m").values
        alike = (_close(part.values, back, coded.attrs)) | (pandas.isna(part.values) & pandas.isna(back))
        if not numpy.all(alike):
            given, read = (_told(values[~alike].flat[0]) for values in (part.values, back))
            raise InvalidData(
                f"{self.name!r} is stored as {_code(coded)}, in which {given} would be read back as {read}: "
                "append what can be stored in it, or begin another group"
            )


def opened_target(session: "icechunk.Session", stored: "xarray.Dataset", name: Any, group: str | None) -> Target:
    """The target for a variable of `stored`, which is that group in the version of `session`."""
    array = need("zarr", "icechunk").open_array(session.store, path=path(str(name), group).strip("/"), mode="r+")
    return Target(str(name), array, stored.variables[name])


def _close(given: Any, read: Any, attrs: Mapping[str, Any]) -> Any:
    """Where they are the same, as far as the scale of packed numbers goes."""
    if given.dtype.kind not in "fc" or read.dtype.kind not in "fc":
        return given == read
    return abs(given - read) <= abs(attrs.get("scale_factor", 0)) / 2 + _ROUNDING * abs(given)


def _told(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _code(coded: "xarray.Variable") -> str:
    """The encoding in words."""
    words = [f"{name} {coded.attrs[name]}" for name in ("scale_factor", "add_offset") if name in coded.attrs]
    return ", ".join([f"{coded.dtype} {coded.attrs.get('units', '')}".strip(), *words])
