"""A terminal shows how far a commit is; a pipe shows nothing."""

import os
import pty
import re
import subprocess
import sys

import pytest

from tests.integrations.conftest import Account

PROGRAM = """
import sys, time, icechunk, zarr
from bondstone.integrations.icechunk import IcechunkCommit
def write(session):
    options = {{"chunks": (1,), "dtype": "f8", "overwrite": {new}}}
    array = {make}
    for number in range(8):
        array[number] = 1.5
        time.sleep({pause})
print(IcechunkCommit("local")(write, message="[b]Sea[/b]").changes.chunks)
"""
NEW = "zarr.create_array(session.store, name='a', shape=(8,), **options)"
SLOW = PROGRAM.format(new=True, make=NEW, pause=0.25)
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def on_a_terminal(program: str) -> tuple[str, str]:
    """What it printed, and what the terminal showed that is its standard error."""
    terminal, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    running = subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            break
        shown += piece
    os.close(terminal)
    assert running.stdout is not None
    with running.stdout as stdout:
        printed = stdout.read().decode()
    assert running.wait(60) == 0, shown
    return printed, ESCAPES.sub("", shown.decode())


class TestProgress:
    """Chunks that are written, of those that there will be."""

    def test_on_a_terminal(self, reports: Account) -> None:
        """The count grows, the message is plain text, and at the end nothing of it is left but the result."""
        printed, shown = on_a_terminal(SLOW)

        counts = [int(count) for count in re.findall(r"(\d)/8 chunks", shown)]
        assert printed == "8\n"
        assert counts
        assert counts == sorted(counts)
        assert 0 < counts[-1] <= 8
        assert "[b]Sea[/b]" in shown

    def test_into_what_is_there(self, reports: Account) -> None:
        """How many there will be is not known, and not made up."""
        on_a_terminal(PROGRAM.format(new=True, make=NEW, pause=0))

        _, shown = on_a_terminal(PROGRAM.format(new=False, make="zarr.open_array(session.store, path='a')", pause=0.25))

        assert re.search(r"[1-8]/\? chunks", shown)

    def test_what_is_quick(self, reports: Account) -> None:
        """Draws nothing."""
        _, shown = on_a_terminal(PROGRAM.format(new=True, make=NEW, pause=0))

        assert "chunks" not in shown

    @pytest.mark.parametrize("closed", [False, True])
    def test_in_a_pipe(self, closed: bool, reports: Account) -> None:
        """Not a byte; nor is an error made of a standard error that is not there."""
        argv = ["/bin/sh", "-c", 'exec "$0" -c "$1"' + (" 2>&-" if closed else ""), sys.executable, SLOW]

        ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

        assert (ended.returncode, ended.stdout) == (0, "8\n")
        assert ended.stderr == ""
