"""Questions on a terminal. They go to standard error, so that standard output stays clean."""

import getpass
import json
import sys
from collections.abc import Sequence

import typer

from bondstone.blocks.describe import Field
from bondstone.cli import output

_LONGEST = 1023 if sys.platform == "darwin" else 4095  # the kernel's line buffer, less the line end


def at_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def say(line: str) -> None:
    """A line of the conversation."""
    sys.stderr.write(f"{line}\n")


def ask(field: Field, choices: Sequence[str] = ()) -> str | None:
    """The answer; None if it was left empty, which a required field does not allow. One of `choices` may be given by its number."""
    for number, choice in enumerate(choices, 1):
        say(f"  {number}  {output.printable(choice)}")
    while True:
        answer = _secret(_prompt(field)) if field.secret else _visible(_prompt(field))
        if answer or not field.required:
            return choices[int(answer) - 1] if answer in map(str, range(1, len(choices) + 1)) else answer or None
        say(f"{field.name} is required.")


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


def _secret(prompt: str) -> str:
    """What was typed unseen. Its length is told: a paste may have been cut, or have brought nothing."""
    while fault := _cut(answer := hidden(prompt)):
        say(fault)  # the next question throws away what is left of the paste, before the shell gets it
    if answer:
        say(f"  {len(answer)} characters")
    return answer


def _cut(answer: str) -> str | None:
    if answer.startswith("-----BEGIN"):
        return "This has several lines, and a prompt takes one: answer @FILE, the path of a file that holds it."
    if len(answer.encode("utf-8", "surrogateescape")) >= _LONGEST:
        return f"A terminal takes {_LONGEST} bytes a line and drops the rest: answer @FILE, the path of a file that holds it."
    return None


def hidden(prompt: str) -> str:
    """An answer that does not appear as it is typed."""
    try:
        return getpass.getpass(prompt)
    except EOFError:
        raise typer.Abort from None


def asked(prompt: str) -> str:
    """An answer that is seen, and not empty."""
    while not (answer := _visible(prompt)):
        pass
    return answer


def confirmed(question: str) -> bool:
    """Whether the answer is yes."""
    return _visible(f"{question} [y/N] ").lower() in ("y", "yes")
