"""The real program, in a process of its own, for the tests of the command line."""

import os
import pty
import select
import subprocess
import sys
import time
from typing import NamedTuple

PROGRAM = [sys.executable, "-m", "bondstone.cli"]
SENTINEL = "s3ntinel-Value-9"


class Ended(NamedTuple):
    """How a run of the program ended."""

    code: int
    out: str
    err: str


def bondstone(*arguments: str, stdin: bytes = b"", environment: dict[str, str] | None = None, **settings: str) -> Ended:
    """Run it without a terminal."""
    ended = subprocess.run(
        [*PROGRAM, *arguments],
        input=stdin,
        capture_output=True,
        env=os.environ | settings | (environment or {}),
        timeout=120,
    )
    return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


def on_a_terminal(*arguments: str, answers: tuple[str, ...] = (), columns: int = 100) -> Ended:
    """Run it on a terminal of its own. Each answer is typed once the program has asked; `out` is all that the terminal showed."""
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    child, terminal = pty.fork()
    if child == 0:
        os.execve(PROGRAM[0], [*PROGRAM, *arguments], environment)
    shown, waiting = b"", list(answers)
    asked = 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                piece = os.read(terminal, 4096)
            except OSError:  # Linux's way to say that the other end is closed
                break
            if not piece:
                break
            shown += piece
        if waiting and shown[asked:].rstrip(b"\r\n ").endswith((b":", b"[y/N]")):
            asked = len(shown)
            os.write(terminal, waiting.pop(0).encode() + b"\n")
    os.close(terminal)  # hangs up, if it waits for more than there are answers
    _, status = os.waitpid(child, 0)
    return Ended(os.waitstatus_to_exitcode(status), shown.decode().replace("\r\n", "\n"), "")
