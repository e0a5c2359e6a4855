"""One run of the command line: from arguments to an exit code."""

import os
from collections.abc import Sequence
from typing import Any

import typer
from typer.main import get_command

from bondstone.cli import completion, output
from bondstone.cli.commands import app
from bondstone.cli.faults import CANCELLED, INTERRUPTED, exit_code_and_line


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. Of a failure one line on standard error is seen, and never a traceback."""
    if completion.VARIABLE in os.environ:  # set by the shell, for this one run
        completion.answer(get_command(app))
        return 0
    try:
        # Typer's own handling of errors echoes arguments, and one of them may be a secret.
        ended: Any = get_command(app).main(list(arguments), "bondstone", standalone_mode=False)
        return ended or 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except typer.Abort:
        return CANCELLED
    except Exception as error:  # noqa: BLE001 -- the outermost door: a traceback could show what must not be shown
        code, line = exit_code_and_line(error)
    output.note(line)
    return code
