"""How many chunks are under way at once while a task of ours writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from bondstone.integrations.extras import need

CONCURRENCY = 32
_SETTING = "async.concurrency"


class _Writers:
    """Zarr's setting is one for all threads: the first who writes raises it, the last one puts it back."""

    def __init__(self) -> None:
        self._changing, self._count, self._raised = Lock(), 0, False

    def enter(self, config: Any) -> None:
        with self._changing:
            self._count += 1
            if not _chosen(config):
                config.set({_SETTING: CONCURRENCY})
                self._raised = True

    def leave(self, config: Any) -> None:
        with self._changing:
            self._count -= 1
            # What somebody has set meanwhile stays; should their `with` bring ours back, the next write ends it.
            if self._count == 0 and self._raised and config.get(_SETTING) == CONCURRENCY:
                config.set({_SETTING: _zarrs_own(config)})
                self._raised = False


_writers = _Writers()


@contextmanager
def concurrent_writes() -> Iterator[None]:
    """With 32 for Zarr's `async.concurrency`, 10 by default, unless the user has chosen another number."""
    config = need("zarr", "icechunk").config
    _writers.enter(config)
    try:
        yield
    finally:
        _writers.leave(config)


def _chosen(config: Any) -> bool:
    """By code, or by Zarr's files and environment, where the number may be the default's own."""
    return config.get(_SETTING) != _zarrs_own(config) or "concurrency" in (config.collect().get("async") or {})


def _zarrs_own(config: Any) -> Any:
    return config.defaults[0]["async"]["concurrency"]
