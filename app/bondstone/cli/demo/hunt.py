"""Looks for secrets where none may be: in every file of a folder, in whatever way they were written down."""

import base64
import binascii
import gzip
import re
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from numcodecs.zstd import Zstd  # type: ignore[import-untyped]

from bondstone.blocks.encodings import SHORTEST, encodings

_DEPTH = 4  # a pickle in base64, in JSON, in base64, in a row
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{24,}")
_LINE_BREAK = re.compile(rb"(?:\\+[rn]|[\r\n])+")  # also as JSON has it, once or more


class Hit(NamedTuple):
    """A secret that was found. Names it and the place, and does not repeat it."""

    where: str  # the file, relative to the folder, and what of it was unpacked
    name: str
    encoding: str


def hunt(secrets: Mapping[str, str | bytes], folder: Path) -> list[Hit]:
    """Every place below `folder`, file names included, where one of `secrets` (by name) stands.

    Base64, gzip, zlib and zstd (as in Icechunk's metadata) are unpacked, one in another too, so that pickled results are searched;
    SQLite databases are also read row by row, because a long row lies in pieces. Raises `ValueError` for a secret under 8 bytes.
    """
    hits: dict[Hit, None] = {}
    for path in sorted(folder.rglob("*")):
        where = str(path.relative_to(folder))
        hits |= dict.fromkeys(hunt_bytes(secrets, where.encode(errors="surrogateescape"), f"the name of {where}"))
        if path.is_file():
            with suppress(FileNotFoundError):  # a journal that was folded in meanwhile
                hits |= dict.fromkeys(_in_file(secrets, path, where))
    return list(hits)


def hunt_bytes(secrets: Mapping[str, str | bytes], data: bytes, where: str) -> list[Hit]:
    """As `hunt`, in one piece of data, such as captured output or a pickle."""
    wanted = {(name, how): form for name, value in secrets.items() for how, form in encodings(value).items()}
    return [
        Hit(f"{where}{inside}", name, how)
        for inside, piece in _pieces(data, _DEPTH)
        for (name, how), form in wanted.items()
        if form in piece
    ]


def _in_file(secrets: Mapping[str, str | bytes], path: Path, where: str) -> Iterator[Hit]:
    data = path.read_bytes()
    yield from hunt_bytes(secrets, data, where)
    if data.startswith(b"SQLite format 3\0"):
        for table, cell in _cells(path):
            yield from hunt_bytes(secrets, cell, f"{where}, table {table}")


def _cells(path: Path) -> Iterator[tuple[str, bytes]]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        database.text_factory = bytes
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0").fetchall()
        for name in (name.decode() for (name,) in tables):
            quoted = name.replace('"', '""')
            for row in database.execute(f'SELECT * FROM "{quoted}"'):  # noqa: S608 -- a table's own name, quoted
                yield from ((name, cell) for cell in row if isinstance(cell, bytes) and len(cell) >= SHORTEST)


def _pieces(data: bytes, depth: int) -> Iterator[tuple[str, bytes]]:
    """The data, and what can be unpacked from it, each with the way to it."""
    yield "", data
    if not depth:
        return
    for how, piece in _unpacked(data):
        for inside, found in _pieces(piece, depth - 1):
            yield f", {how}{inside}", found


def _unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    joined = _LINE_BREAK.sub(b"", data)  # base64 comes in lines
    for text in {run for source in (data, joined) for run in _BASE64.findall(source)}:
        whole = text[:-1] if len(text) % 4 == 1 else text + b"=" * (-len(text) % 4)
        with suppress(binascii.Error):
            yield "base64", base64.urlsafe_b64decode(whole.translate(bytes.maketrans(b"+/", b"-_")))
    with suppress(OSError, EOFError, zlib.error):
        yield "gzip", gzip.decompress(data)
    with suppress(zlib.error):
        yield "zlib", zlib.decompressobj().decompress(data)
    with suppress(ValueError, RuntimeError):
        yield "zstd", bytes(Zstd().decode(data[data.index(b"\x28\xb5\x2f\xfd") :]))
