"""What the arguments and the environments of a process and of all below it are, looked at while they run."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

PAUSE = 0.01  # seconds between two looks; git's own programs live for 30 ms and more
_FLOW_RUN = re.compile(rb"\A[^\0]+\0-m\0prefect\.engine\0\Z")


class Processes:
    """Those that were seen, as `/proc` has them: arguments and environment, each thing followed by a null byte."""

    def __init__(self, pid: int) -> None:
        self.seen: set[tuple[bytes, bytes]] = set()
        self._ours, self._others = {pid}, {os.getpid()}

    def look(self) -> None:
        """Once."""
        there = {int(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208 -- a tenth of the time
        self._ours &= there
        self._others &= there
        for pid in sorted(there - self._others - self._ours):  # a parent is mostly the older one
            (self._ours if _parent(pid) in self._ours else self._others).add(pid)
        for pid in self._ours:
            with suppress(OSError):  # it has ended
                self.seen.add((Path(f"/proc/{pid}/cmdline").read_bytes(), Path(f"/proc/{pid}/environ").read_bytes()))

    def arguments(self) -> bytes:
        return b"\n".join(sorted({arguments for arguments, _ in self.seen}))

    def environments(self, filled: str) -> bytes:
        """`filled` is the one secret that the process of a flow run is to have in its environment, so there it does not count."""
        return b"\n".join(sorted({self._counted(*seen, filled.encode()) for seen in self.seen}))

    def _counted(self, arguments: bytes, environment: bytes, filled: bytes) -> bytes:
        return environment.replace(filled, b"(as asked)") if _FLOW_RUN.match(arguments) else environment


def _parent(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


@contextmanager
def watched(pid: int) -> Iterator[Processes]:
    """Those of `pid` and below, until the end of the block."""
    processes, end = Processes(pid), Event()

    def watch() -> None:
        while not end.wait(PAUSE):
            processes.look()

    thread = Thread(target=watch)
    thread.start()
    try:
        yield processes
    finally:
        end.set()
        thread.join()
