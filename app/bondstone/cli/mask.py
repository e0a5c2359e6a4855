"""`bondstone mask`."""

import os
import re
import stat
from collections.abc import Iterable, Iterator

from bondstone.blocks import find, known
from bondstone.blocks.encodings import SHORTEST
from bondstone.cli import output
from bondstone.cli.faults import Usage
from bondstone.cli.references import whole

_STDOUT = 1


def mask(names: Iterable[str]) -> None:
    """Print a command for the runner for each secret value of the blocks, theirs inside too.

    Raises `Usage`, before anything is printed, where somebody else would read it.
    """
    _refuse_elsewhere()
    for name in names:
        reference = whole(name)
        find(reference.kind).load(reference.name)
    lines = dict.fromkeys(line for value in known.values() for line in _lines(value))  # what was loaded is known
    if not lines:
        raise Usage(f"nothing of these blocks can be masked: they have no secret of at least {SHORTEST} characters")
    output.emit("".join(f"::add-mask::{line.replace('%', '%25')}\n" for line in lines))


def _refuse_elsewhere() -> None:
    if os.environ.get("GITHUB_ACTIONS") != "true":
        raise Usage(
            "this is no runner of GitHub Actions (GITHUB_ACTIONS is not 'true'): whoever else reads these lines would show the values"
        )
    if output.terminal() or stat.S_ISREG(os.fstat(_STDOUT).st_mode):
        raise Usage("the runner does not read a terminal or a file: let the output of this command be that of the step")


def _lines(value: str | bytes) -> Iterator[str]:
    """The lines that identify it: a runner masks line by line. Bytes that are no text are in no log as they are."""
    try:
        text = value if isinstance(value, str) else value.decode()
    except UnicodeDecodeError:
        return
    for line in re.split(r"[\r\n]+", text):
        if len(line) >= SHORTEST and not line.startswith("-----"):
            yield line
