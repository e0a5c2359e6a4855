"""Questions on a terminal. They go to standard error, so that standard output stays clean."""

import getpass
import json
import sys

import typer

from bondstone.blocks import InvalidBlock
from bondstone.blocks.describe import Field


def at_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def ask(field: Field) -> str | None:
    """The answer; None if it was left empty, which a required field does not allow."""
    while True:
        answer = _hidden(_prompt(field)) if field.secret else _visible(_prompt(field))
        if answer or not field.required:
            return answer or None
        sys.stderr.write(f"{field.name} is required.\n")


def _prompt(field: Field) -> str:
    hints = [field.description.rstrip(".")] if field.description else []
    if field.examples and not field.secret:
        hints.append(f"such as {_shown(field.examples[0])}")
    default = "" if field.default in (None, "") else f" [{_shown(field.default)}]"
    return f"{field.name}{f' ({"; ".join(hints)})' if hints else ''}{default}: "


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _visible(prompt: str) -> str:
    sys.stderr.write(prompt)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise typer.Abort
    return line.strip()


def _hidden(prompt: str) -> str:
    try:
        answer = getpass.getpass(prompt)
    except EOFError:
        raise typer.Abort from None
    if answer.startswith("-----BEGIN"):
        raise InvalidBlock("a prompt takes one line, and this has several: give it as name=@FILE")
    return answer


def hidden(prompt: str) -> str:
    """An answer that does not appear as it is typed."""
    return _hidden(prompt)


def confirmed(question: str) -> bool:
    """Whether the answer is yes."""
    return _visible(f"{question} [y/N] ").lower() in ("y", "yes")
