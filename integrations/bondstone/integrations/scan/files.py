"""Files, and what is packed in them: gzip, zip (wheels and notebooks' exports too), tar, and the rows of SQLite databases."""

import gzip
import io
import os
import sqlite3
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

from bondstone.integrations.scan.pieces import Piece

_AT_ONCE = 8 * 2**20  # bytes
_DEEPEST = 3  # a gzip in a zip in a zip
_SQLITE = b"SQLite format 3\0"

Lost = Callable[[str, str], None]


def of_paths(paths: list[Path], overlap: int, lost: Lost) -> Iterator[Piece]:
    """Every regular file at and below `paths`; links are not followed. `lost` is told what cannot be read, and why.

    Long files come in pieces that overlap by `overlap` bytes.
    """
    for path in paths:
        for file in _below(path, lost):
            yield Piece(f"the name of {file}", os.fsencode(file), str(file))
            try:
                yield from _of_file(file, overlap, lost)
            except OSError as error:
                lost(str(file), error.strerror or type(error).__name__)


def _below(path: Path, lost: Lost) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in path.walk(on_error=lambda error: lost(str(error.filename), error.strerror or "?")):
        folders.sort()
        yield from (file for name in sorted(names) if _is_regular(file := folder / name))


def _is_regular(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _of_file(path: Path, overlap: int, lost: Lost) -> Iterator[Piece]:
    with path.open("rb") as file:
        head = file.read(len(_SQLITE))
        file.seek(0)
        yield from _of_stream(file, str(path), str(path), overlap, _DEEPEST, lost)
    if head == _SQLITE:
        yield from of_sqlite(path, lost)


def _of_stream(
    file: IO[bytes] | gzip.GzipFile, where: str, path: str, overlap: int, depth: int, lost: Lost
) -> Iterator[Piece]:
    kept, line = b"", 1
    while data := file.read(_AT_ONCE):
        whole = kept + data
        yield Piece(where, whole, path, line)
        kept = whole[-overlap:] if overlap else b""
        line += whole.count(b"\n") - kept.count(b"\n")
    file.seek(0)
    if depth:
        yield from _unpacked(file, where, overlap, depth - 1, lost)


def _unpacked(file: IO[bytes] | gzip.GzipFile, where: str, overlap: int, depth: int, lost: Lost) -> Iterator[Piece]:
    magic = file.read(4)
    file.seek(0)
    try:
        if magic[:2] == b"\x1f\x8b":
            with gzip.open(file) as inner:
                yield from _of_stream(inner, f"{where}, unpacked", "", overlap, depth, lost)
        elif magic == b"PK\x03\x04":
            with zipfile.ZipFile(file) as archive:
                for name in archive.namelist():
                    yield from _of_stream(io.BytesIO(archive.read(name)), f"{where}, {name}", "", overlap, depth, lost)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        lost(where, f"not unpacked: {type(error).__name__}")


def of_sqlite(path: Path, lost: Lost) -> Iterator[Piece]:
    """The rows of each table: a long one lies in the file in pieces. The write-ahead log counts as well."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            database.text_factory = bytes
            tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0").fetchall()
            for table in (name.decode() for (name,) in tables):
                quoted = table.replace('"', '""')
                for row in database.execute(f'SELECT * FROM "{quoted}"'):  # noqa: S608 -- a table's own name, quoted
                    cells = b"\n".join(cell for cell in row if isinstance(cell, bytes))
                    yield Piece(f"{path}, table {table}", cells, str(path))
    except sqlite3.Error as error:
        lost(str(path), f"its tables were not read: {error.sqlite_errorname}")
