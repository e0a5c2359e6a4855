"""What comes out: tables on a terminal, tab-separated lines in a pipe, JSON when asked."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from io import TextIOWrapper
from typing import Any

import typer

from bondstone.cli.faults import OUTPUT, PIPE_CLOSED

_STYLES = {"ok": "green", "warn": "yellow", "fail": "red", "unreadable": "red"}


def any_encoding() -> None:
    """A terminal that lacks a character gets its number, not an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def terminal() -> bool:
    """Whether somebody looks at standard output."""
    return sys.stdout is not None and sys.stdout.isatty()


def note(line: str) -> None:
    """One line on standard error."""
    if sys.stderr is not None:
        sys.stderr.write(f"bondstone: {printable(' '.join(line.splitlines()))}\n")


def emit(text: str) -> None:
    """Write to standard output, now: what fails, fails here."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        raise _lost(error) from None


def emit_bytes(value: bytes) -> None:
    """Write to standard output exactly this; on a terminal also the end of the line."""
    try:
        sys.stdout.buffer.write(value + (b"\n" if terminal() else b""))
        sys.stdout.flush()
    except OSError as error:
        raise _lost(error) from None


def _lost(error: OSError) -> typer.Exit:
    # What is still buffered would fail once more, aloud, when Python ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return typer.Exit(PIPE_CLOSED)
    note(f"cannot write the output ({error.strerror})")
    return typer.Exit(OUTPUT)


def emit_json(value: Any) -> None:
    emit(json.dumps(value, indent=2) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table with a heading on a terminal; without, one line a row, with tabs between the cells."""
    if terminal():
        emit(_drawn(columns, rows))
    else:
        emit("".join("\t".join(map(one_line, row)) + "\n" for row in rows))


def _drawn(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(printable(cell), _STYLES.get(cell, "")) for cell in row))
    console = Console()
    with console.capture() as captured:
        console.print(drawn)
    return captured.get()


def printable(text: str) -> str:
    """`text` without what a terminal would obey: names come from a registry that others may have written."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    return printable(text.replace("\\", "\\\\").replace("\n", "\\n"))


def clock(time: datetime) -> str:
    """A time as people read it."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ")
