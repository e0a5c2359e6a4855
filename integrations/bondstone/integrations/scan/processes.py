"""Environments and argument lists: what other programs of the same user can read."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from bondstone.integrations.scan.pieces import Piece


def of_environment(environment: Mapping[str, str]) -> Iterator[Piece]:
    """Of this process, which is that of the shell that started it."""
    for name, value in environment.items():
        yield Piece(f"environment variable {name}", os.fsencode(value))


def of_processes(proc: Path = Path("/proc")) -> Iterator[Piece]:
    """Arguments and environment of every process that may be read, but our own. Linux only: elsewhere there is no `proc`."""
    for folder in sorted(proc.glob("[0-9]*"), key=lambda folder: int(folder.name)):
        if folder.name == str(os.getpid()):
            continue
        try:
            name = (folder / "comm").read_text().strip()
            yield Piece(f"arguments of process {folder.name} ({name})", (folder / "cmdline").read_bytes())
            for item in (folder / "environ").read_bytes().split(b"\0"):
                variable, _, value = item.partition(b"=")
                where = f"variable {os.fsdecode(variable)} of process {folder.name} ({name})"
                yield Piece(where, value)
        except OSError:  # it has ended, or is somebody else's
            continue
