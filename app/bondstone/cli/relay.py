"""A process of ours between a program and where it writes, which masks the secrets that we have loaded.

It is no thread: what the program leaves running may write for longer than we live.
"""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from select import select
from typing import NamedTuple

from bondstone.blocks.redact import redact

_AT_ONCE = 64 * 1024  # bytes
_PATIENCE = 0.2  # seconds; then a piece of a line is passed on: it may be a question
_LAST_WORDS = 1.0  # seconds that we wait for them after the program has ended


class Relay(NamedTuple):
    """A running one: what the program is to have in place of each stream, and which process it is."""

    pipes: dict[int, int]
    process: int

    def let_go(self) -> None:
        """Close our ends, once the program has its own."""
        for pipe in self.pipes.values():
            os.close(pipe)

    def wait(self) -> None:
        """Until what the program said is passed on; not for those that it left running."""
        end = time.monotonic() + _LAST_WORDS
        with suppress(ChildProcessError):  # it was buried with the others
            while time.monotonic() < end and os.waitpid(self.process, os.WNOHANG) == (0, 0):
                time.sleep(0.005)


def relay(streams: Iterable[int]) -> Relay:
    """Begin to pass on, for each of these descriptors. To be called while this process has one thread, and signals are blocked."""
    ends = {stream: os.pipe() for stream in streams}
    process = os.fork()
    if process == 0:
        for _, writing in ends.values():
            os.close(writing)
        _pass_on({reading: stream for stream, (reading, _) in ends.items()})
        os._exit(0)
    for reading, _ in ends.values():
        os.close(reading)
    return Relay({stream: writing for stream, (_, writing) in ends.items()}, process)


def _pass_on(streams: dict[int, int]) -> None:
    held = dict.fromkeys(streams, b"")
    while held:
        ready, _, _ = select(list(held), [], [], _PATIENCE)
        for reading in ready or [one for one, rest in held.items() if rest]:
            data = os.read(reading, _AT_ONCE) if ready else b""
            whole, rest = _lines(held[reading] + data) if data else (held[reading], b"")
            held[reading] = rest
            if not _written(streams[reading], whole) or (ready and not data):
                os.close(reading)  # so the program learns that nobody listens, as it would without us
                del held[reading]


def _lines(data: bytes) -> tuple[bytes, bytes]:
    end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
    return data[:end], data[end:]


def _written(stream: int, data: bytes) -> bool:
    masked = redact(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    try:
        while masked:
            masked = masked[os.write(stream, masked) :]
    except OSError:
        return False
    return True
