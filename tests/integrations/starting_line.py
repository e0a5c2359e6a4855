"""Workers of a proof begin together: each says when its clients are made, and waits for the word."""

import time
from collections.abc import Callable
from pathlib import Path

_PATIENCE = 120.0  # seconds


def ready(folder: Path, number: int) -> float:
    """Say so, and wait; until when to work (seconds since 1970)."""
    (folder / f"ready-{number}").touch()
    _wait((folder / "go").exists)
    return float((folder / "go").read_text())


def go(folder: Path, numbers: range, seconds: float, alive: Callable[[], bool]) -> float:
    """Wait for all of them, then let them work for so long; when they began. Fails if one ended before."""

    def all_ready() -> bool:
        assert alive(), "a worker ended before it began"
        return all((folder / f"ready-{number}").exists() for number in numbers)

    _wait(all_ready)
    start = time.time() + 0.2
    (folder / "go.new").write_text(str(start + seconds))
    (folder / "go.new").rename(folder / "go")
    return start


def _wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE
    while not until():
        assert time.monotonic() < end, "the workers are not ready"
        time.sleep(0.02)
