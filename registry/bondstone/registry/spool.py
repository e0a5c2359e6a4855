"""Rows of the audit log that could not be recorded yet, in a small file of the user's *state* folder, apart from the registry.

They are recorded as soon as the registry can be written again, by whichever process of the user comes first. A process that is killed
between recording them and emptying the file leaves them twice in the log: better than not at all.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bondstone.registry.audit_chain import AuditRow

if sys.platform == "win32":
    raise ImportError("no file locks")
import fcntl

MOST_BYTES = 4 * 1024 * 1024
_LONGEST = (0, 255, 32, 64, 255, 0, 32)  # as in `tables.py`; 0 for a number


class Spool:
    """One file for each registry and user. Raises `OSError` where it cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, rows: Sequence[AuditRow]) -> int:
        """Append as many of `rows` as there is room for, and say how many."""
        lines = [json.dumps(row).encode() + b"\n" for row in rows]
        with self._locked(fcntl.LOCK_EX) as file:
            room, fit = MOST_BYTES - os.fstat(file).st_size, 0
            while fit < len(lines) and (room := room - len(lines[fit])) >= 0:
                fit += 1
            _write(file, b"".join(lines[:fit]))
        return fit

    def drain(self, record: Callable[[Sequence[AuditRow]], None]) -> None:
        """Let `record` have all rows, and empty the file; what `record` raises leaves it full. Nothing if another process does it now."""
        try:
            with self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB) as file:
                if rows := list(_rows(_read(file))):
                    record(rows)
                os.ftruncate(file, 0)
        except BlockingIOError:
            return

    @contextmanager
    def _locked(self, how: int) -> Iterator[int]:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, how)
            yield file
            fcntl.flock(file, fcntl.LOCK_UN)  # a forked child may hold the same file: closing ours would not unlock it
        finally:
            os.close(file)


def _write(file: int, text: bytes) -> None:
    start, written = os.fstat(file).st_size, 0
    try:
        while written < len(text):
            written += os.write(file, text[written:])
    except OSError:
        os.ftruncate(file, start)  # the disk is full: no half line, and nothing that the caller keeps too
        raise


def _read(file: int) -> bytes:
    return os.pread(file, MOST_BYTES, 0)


def _rows(text: bytes) -> Iterator[AuditRow]:
    """What is whole; a line that was cut by a power failure is left out."""
    for line in text.splitlines():
        try:
            cells = json.loads(line)
        except ValueError:
            continue
        if isinstance(cells, list) and len(cells) == len(_LONGEST) and all(map(_fits, cells, _LONGEST)):
            yield AuditRow(*cells)


def _fits(cell: object, longest: int) -> bool:
    if longest:
        return isinstance(cell, str) and len(cell) <= longest and "\0" not in cell and cell.isascii()
    return type(cell) is int and 0 <= cell < 2**62
