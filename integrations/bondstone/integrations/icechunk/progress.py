"""A bar for what takes a while to write, on a terminal only."""

import math
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.markers import FOLDER

if TYPE_CHECKING:
    import icechunk

_SECONDS = 0.5  # between two looks, and before the first one: what is quicker needs no bar


@contextmanager
def progress(session: "icechunk.Session", what: str) -> Iterator[None]:
    """Show on standard error how many chunks `session` has got, of how many, while the block lasts; nothing where nobody looks at it."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    drawing = threading.Thread(target=_draw, args=(session, what, done), daemon=True, name="bondstone-progress")
    drawing.start()
    try:
        yield
    finally:
        done.set()
        drawing.join()


def _draw(session: "icechunk.Session", what: str, done: threading.Event) -> None:
    if done.wait(_SECONDS):
        return
    with _bar() as bar:
        row = bar.add_task(what, total=None)
        while not done.wait(_SECONDS):
            try:
                written, total = _counted(session)
            except (need("icechunk", "icechunk").IcechunkError, OSError, ValueError):  # whoever writes will be told
                return
            bar.update(row, completed=written, total=total)


def _bar() -> Any:
    from rich import progress as columns
    from rich.console import Console

    return columns.Progress(
        columns.TextColumn("{task.description}", markup=False),
        columns.BarColumn(),
        columns.MofNCompleteColumn(),
        columns.TextColumn("chunks"),
        columns.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,  # those are the caller's, in another thread
        redirect_stderr=False,
    )


def _counted(session: "icechunk.Session") -> tuple[int, int | None]:
    """Chunks that were written, and those that there will be: known as long as all arrays are new ones."""
    status = session.status()
    written = {path: len(places) for path, places in status.updated_chunks.items() if FOLDER not in path}
    if written.keys() - status.new_arrays:
        return sum(written.values()), None
    return sum(written.values()), sum(_grid(session, path) for path in status.new_arrays)


def _grid(session: "icechunk.Session", path: str) -> int:
    array = need("zarr", "icechunk").open_array(session.store, path=path.strip("/"), mode="r")
    return math.prod(array.cdata_shape)
