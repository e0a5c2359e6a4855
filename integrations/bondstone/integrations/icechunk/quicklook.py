"""A picture of two versions of a dataset: before, after, difference."""

import base64
import html
import io
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bondstone.integrations.extras import need

if TYPE_CHECKING:
    import xarray

    from bondstone.integrations.icechunk.drift import Drift, Statistics

type Looks = dict[str, Any]  # arrays of one or two dimensions, by variable

_POINTS = 200  # a side
_VARIABLES = 8
_INCHES = (4.0, 3.0)  # of a panel


def looks(dataset: "xarray.Dataset") -> Looks:
    """Each numeric data variable, thinned out."""
    numeric = [
        name for name, array in dataset.data_vars.items() if array.dtype.kind in "biuf" and array.ndim and array.size
    ]
    return {str(name): _thin(dataset.variables[name]) for name in numeric[:_VARIABLES]}


def _thin(variable: "xarray.Variable") -> Any:
    """The last two dimensions at the end of the others."""
    plane = variable[(*(-1,) * (variable.ndim - 2), ...)] if variable.ndim > 2 else variable
    steps = tuple(slice(None, None, max(1, length // _POINTS)) for length in plane.shape)
    return need("numpy", "icechunk").asarray(plane[steps].values, dtype="f8")


def save(
    path: Path,
    title: str,
    before: Looks,
    after: Looks,
    drift: "Iterable[Drift]",
    old: "Mapping[str, Statistics]",
    new: "Mapping[str, Statistics]",
) -> Path:
    """Write the picture, or a page with it and the tables."""
    if path.suffix not in (".png", ".html"):
        raise ValueError("a quick-look is a .png or a .html file")
    picture = _picture(title, before, after)
    if path.suffix == ".png":
        path.write_bytes(picture)
    else:
        path.write_text(_page(title, picture, drift, old, new), encoding="utf-8")
    return path


def _picture(title: str, before: Looks, after: Looks) -> bytes:
    figures = need("matplotlib.figure", "demo")
    names = sorted({*before, *after})
    rows = max(1, len(names))
    figure = figures.Figure(figsize=(3 * _INCHES[0], rows * _INCHES[1]), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(rows, 3, squeeze=False)
    for row, name in zip(panels, names, strict=False):
        old, new = before.get(name), after.get(name)
        change = new - old if old is not None and new is not None and old.shape == new.shape else None
        for panel, what, values in zip(row, ("before", "after", "difference"), (old, new, change), strict=True):
            _draw(panel, f"{name}: {what}", values)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _draw(panel: Any, title: str, values: Any) -> None:
    panel.set_title(title, fontsize="small")
    if values is None:
        panel.set_axis_off()
        panel.text(0.5, 0.5, "none", ha="center")
    elif values.ndim == 1:
        panel.plot(values)
    else:
        panel.figure.colorbar(panel.imshow(values, aspect="auto", origin="lower"), ax=panel)


def _page(
    title: str,
    picture: bytes,
    drift: "Iterable[Drift]",
    old: "Mapping[str, Statistics]",
    new: "Mapping[str, Statistics]",
) -> str:
    numbers = [
        (name, when, *astuple(side[name]))
        for name in sorted({*old, *new})
        for when, side in (("before", old), ("after", new))
        if name in side
    ]
    return (
        f"<!doctype html><meta charset='utf-8'><title>{html.escape(title)}</title><h1>{html.escape(title)}</h1>"
        f"<img alt='before, after, difference' src='data:image/png;base64,{base64.b64encode(picture).decode()}'>"
        + _table(("variable", "what", "before", "after"), map(astuple, drift))
        + _table(("variable", "", "minimum", "maximum", "mean", "missing"), numbers)
    )


def _table(heading: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    def line(cells: Iterable[object], tag: str) -> str:
        shown = ("" if cell is None else html.escape(str(cell)) for cell in cells)
        return f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in shown)}</tr>"

    return f"<table>{line(heading, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"
