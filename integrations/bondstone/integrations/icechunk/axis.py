"""Where new steps belong on a dimension that grows, and what is wrong with them there."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bondstone.blocks import Conflict, InvalidData
from bondstone.integrations.extras import need

if TYPE_CHECKING:
    import pandas

_MONTH_DAYS = 27  # at least, from one month to the next
_ALIKE = 1e-3  # by how much steps of floating-point numbers may differ

type Run = tuple[slice, slice]  # of the new steps, and of the axis


@dataclass(frozen=True)
class Axis:
    """The steps that are stored along a dimension, and those that are to join them."""

    dim: str
    stored: "pandas.Index"
    new: "pandas.Index"

    @cached_property
    def positions(self) -> Any:
        """Of each new step, on the axis as it will be."""
        found = self.stored.get_indexer(self.new)
        numpy = need("numpy", "icechunk")
        return numpy.where(found < 0, len(self.stored) + numpy.cumsum(found < 0) - 1, found)

    @property
    def size(self) -> int:
        """Of the axis as it will be."""
        return int(max(len(self.stored), self.positions[-1] + 1))

    @property
    def there(self) -> Any:
        """Which of the new steps are stored already."""
        return self.positions < len(self.stored)

    def runs(self, *, all_: bool) -> list[Run]:
        """The new steps, all or those that are not there yet, in pieces that are in one piece on the axis as well."""
        return list(runs(self.positions, need("numpy", "icechunk").flatnonzero(all_ | ~self.there)))

    def check(self, *, gaps: bool) -> None:
        """Raise `InvalidData` for steps that are double, backwards, before the end or, without `gaps`, beyond a gap."""
        self._check_order()
        rest = self.new[~self.there]
        if not len(self.stored) or not len(rest):
            return
        if not rest[0] > self.stored[-1]:
            raise InvalidData(
                f"{self.dim!r} ends at {self.stored[-1]} in the group: {rest[0]} cannot be appended to it"
            )
        if not gaps:
            self._check_gap(rest)

    def refuse_overlap(self) -> None:
        """Raise `Conflict` if a step is stored already."""
        if self.there.any():
            first, last = self.new[self.there][[0, -1]]
            raise Conflict(
                f"{self.dim!r} from {first} to {last} is in the group already, which ends at {self.stored[-1]}: "
                "leave it out, or set policy='skip' or policy='upsert'"
            )

    def _check_order(self) -> None:
        for index, where in ((self.stored, "in the group"), (self.new, "in what is to be appended")):
            before, after = index[:-1], index[1:]
            if (wrong := ~(after > before)).any():
                first, second = before[wrong][0], after[wrong][0]
                fault = f"has {first} twice" if first == second else f"runs backwards, from {first} to {second},"
                raise InvalidData(f"{self.dim!r} {fault} {where}: its steps must increase")

    def _check_gap(self, rest: "pandas.Index") -> None:
        kinds = [kind for kind in (_differences, _months) if _regular(kind(self.stored))]
        joined = need("numpy", "icechunk").concatenate([self.stored.values, rest.values])
        both = type(self.stored)(joined)  # `append` would forget the calendar
        if not kinds or any(_regular(kind(both)) for kind in kinds):
            return
        raise InvalidData(f"{self._gap(both)}: append what is between, or set allow=('gap',)")

    def _gap(self, both: "pandas.Index") -> str:
        kind = _months if _regular(_months(self.stored)) and len(_months(both)) else _differences
        steps = kind(both)
        odd = next(at for at in range(len(self.stored) - 1, len(steps)) if not _regular(steps[[0, at]]))
        usual, wide = (
            f"{step} month{'s' * int(step > 1)}" if kind is _months else step for step in (steps[0], steps[odd])
        )
        return f"{self.dim!r} goes by {usual} in the group, and by {wide} from {both[odd]} to {both[odd + 1]}"


def runs(positions: Any, chosen: Any) -> Iterator[Run]:
    """Pieces of `chosen` in which both it and its positions go up by one."""
    numpy = need("numpy", "icechunk")
    breaks = numpy.flatnonzero((numpy.diff(positions[chosen]) != 1) | (numpy.diff(chosen) != 1)) + 1
    for piece in numpy.split(chosen, breaks):
        if piece.size:
            start, there = int(piece[0]), int(positions[piece[0]])
            yield slice(start, start + piece.size), slice(there, there + piece.size)


def _differences(index: "pandas.Index") -> Any:
    return index[1:] - index[:-1] if len(index) > 1 and _subtracts(index) else index[:0]


def _months(index: "pandas.Index") -> Any:
    """From one step to the next, for times at least a month apart; else nothing."""
    numpy = need("numpy", "icechunk")
    if len(index) < 2 or not hasattr(index, "month") or (_differences(index).days < _MONTH_DAYS).any():
        return numpy.array([], int)
    times: Any = index
    return numpy.diff(numpy.asarray(times.year) * 12 + numpy.asarray(times.month))


def _regular(steps: Any) -> bool:
    """All alike; of no step nobody knows."""
    if not len(steps):
        return False
    if getattr(steps, "dtype", None) is not None and steps.dtype.kind == "f":
        return bool((abs(steps - steps[0]) <= _ALIKE * abs(steps[0])).all())
    return bool((steps == steps[0]).all())


def _subtracts(index: "pandas.Index") -> bool:
    """Numbers and times do, texts do not."""
    return index.dtype.kind in "iufM" or hasattr(index, "month")
