"""The real program, in a process of its own, for the tests of the command line."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from typer.main import get_command

from bondstone.cli.commands import app

PROGRAM = [sys.executable, "-m", "bondstone.cli"]
SENTINEL = "s3ntinel-Value-9"


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command, those below others too, as it is typed."""
    top: Any = group or get_command(app)
    for name, command in dict(top.commands).items():
        yield (*path, name)
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


COMMANDS = list(commands())


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
