"""The page of the commands, from what typer knows of each: no width, colour or box of its help, so it is the same everywhere."""

import inspect
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from bondstone.cli.commands import app
from bondstone.cli.reference import NOTICE, cell

_INTRODUCTION = """# Commands

Every command with all that it takes. [The command line](../cli.md) says how they are used, and what the exit codes mean.
`-h` and `--help` of each command print the same.
"""


def pages() -> dict[str, str]:
    """One page for all."""
    return {"cli.md": NOTICE + _INTRODUCTION + "".join(map("\n{}".format, _sections(get_command(app), "bondstone")))}


def _sections(command: Any, typed: str) -> Iterator[str]:
    yield _section(command, typed)
    for name, below in getattr(command, "commands", {}).items():
        yield from _sections(below, f"{typed} {name}")


def _section(command: Any, typed: str) -> str:
    prose, _, example = inspect.cleandoc(command.help or "").partition("\b\nExample:\n")
    parameters = [parameter for parameter in command.params if not parameter.hidden]
    usage = " ".join([typed, *(_usage(parameter) for parameter in parameters), *_below(command)])
    parts = [f"## {typed}", prose.strip(), f"```text\n{usage}\n```", _table(parameters), _session(example)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _below(command: Any) -> list[str]:
    return ["COMMAND …"] if getattr(command, "commands", {}) else []


def _usage(parameter: Any) -> str:
    many = "…" if parameter.nargs == -1 or getattr(parameter, "multiple", False) else ""
    text = _called(parameter, first=True) + many
    return text if parameter.required else f"[{text}]"


def _called(parameter: Any, *, first: bool = False) -> str:
    metavar = parameter.metavar or ""
    if parameter.param_type_name == "argument":
        return metavar or parameter.name.upper()
    names = [*parameter.opts, *parameter.secondary_opts][: 1 if first else None]
    flag = parameter.is_flag or parameter.count
    value = "" if flag else f" {metavar or parameter.name.upper()}"
    return ", ".join(names) + value


def _table(parameters: list[Any]) -> str:
    if not parameters:
        return ""
    rows = [f"| `{cell(_called(parameter))}` | {cell(_described(parameter))} |" for parameter in parameters]
    return "\n".join(["| takes | which is |", "| --- | --- |", *rows])


def _described(parameter: Any) -> str:
    default = parameter.default
    told = f" Default: `{default}`." if default not in (None, False, "") and not callable(default) else ""
    return f"{(parameter.help or '').rstrip('.')}.{told}"


def _session(example: str) -> str:
    lines = [line.strip() for line in example.splitlines() if line.strip()]
    return "```console\n" + "\n".join(f"$ {line}" for line in lines) + "\n```" if lines else ""
