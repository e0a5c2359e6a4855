"""A bar for what takes a while, in bytes: on a terminal only, and one at a time."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LEAST = 16 * 1024 * 1024  # bytes; what is smaller is done before anybody has read its bar
_one_bar = threading.Lock()


@contextmanager
def progress(what: str, size: int | None) -> Iterator[Callable[[int], None]]:
    """Gives what is to be told each number of bytes that was moved. On standard error; nothing in a pipe or a log.

    `size` is in bytes; None if it is not known.
    """
    looked_at = sys.stderr is not None and sys.stderr.isatty() and (size is None or size > _LEAST)
    if not looked_at or not _one_bar.acquire(blocking=False):
        yield lambda moved: None
        return
    try:
        with _bar(what, size) as moved:
            yield moved
    finally:
        _one_bar.release()


@contextmanager
def _bar(what: str, size: int | None) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=size)
        yield lambda moved: bar.advance(task, moved)
