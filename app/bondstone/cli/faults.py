"""Failures, as an exit code and one line that holds no argument of the user and no value."""

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer
from typer.exceptions import TyperException

CANCELLED = 1
USAGE = 2
BUG = 70  # EX_SOFTWARE of sysexits.h
OUTPUT = 74  # EX_IOERR: the output could not be written
INTERRUPTED = 130  # 128 + SIGINT
PIPE_CLOSED = 141  # 128 + SIGPIPE


class Usage(Exception):
    """The command line asks for something that this command does not do."""


def program_version() -> str:
    """The installed version."""
    try:
        return version("bondstone")
    except PackageNotFoundError:  # a source tree on the path
        return "unknown"


def exit_code_and_line(error: Exception) -> tuple[int, str]:
    """What to exit with and what to say."""
    if isinstance(error, Usage):
        return USAGE, str(error)
    if isinstance(error, TyperException):
        return USAGE, _usage(error)
    from bondstone.registry import BondstoneError

    if isinstance(error, BondstoneError):
        return error.exit_code, str(error)
    return BUG, _bug(error)


def _usage(error: TyperException) -> str:
    """Typer's text without what the user typed, which may be a secret in the wrong place."""
    command = getattr(getattr(error, "ctx", None), "command_path", "bondstone")
    return f"{_usage_fault(error)}; see '{command} --help'"


def _usage_fault(error: TyperException) -> str:
    text = error.format_message()
    possibilities = getattr(error, "possibilities", ())
    if possibilities or text.startswith("No such option"):
        return "no such option" + _did_you_mean(possibilities or ())
    if text.startswith("No such command"):
        near = re.search(r"Did you mean ((?:'[a-z]+'(?:, )?)+)\?$", text)
        return "no such command" + _did_you_mean(re.findall("[a-z]+", near[1]) if near else ())
    if text.startswith("Got unexpected extra"):
        return "too many arguments"
    if " is not one of " in text:  # of a choice; what was chosen comes before
        text = f"{text.partition(':')[0]}: not one of {text.rpartition(' is not one of ')[2]}"
    text = re.sub(r"\. Choose from:\s*", ": ", text).replace("\t", "").replace("\n", " ")
    known = isinstance(error, typer.BadParameter) or hasattr(error, "option_name")  # Typer's and pydantic's own words
    return (text[0].lower() + text[1:]).rstrip(".") if known else "not a command"


def _did_you_mean(words: "list[str] | tuple[str, ...]") -> str:
    return f", did you mean {' or '.join(words)}?" if words else ""


def _bug(error: Exception) -> str:
    """The type and the place; the text of a foreign error may hold anything."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        if "bondstone" in code.co_filename:
            place = f" at {Path(code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return (
        f"unexpected {type(error).__name__}{place} (bondstone {program_version()}): "
        "this is a bug; report this line and what you ran, without secrets"
    )
