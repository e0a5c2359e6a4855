"""What is searched: pieces of data, each with the place that it is of."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bondstone.blocks.finder import Finder, Found, Secret


class Piece(NamedTuple):
    """Some data, and where it lies. `path` is a file that an editor can open, or empty."""

    where: str
    data: bytes
    path: str = ""
    line: int = 0  # of its first byte, from 1; 0: it has no lines


class Sighting(NamedTuple):
    """A secret that stands where it must not. It names the block, and does not repeat the value."""

    where: str
    path: str
    line: int
    secret: Secret
    encoding: str


def sightings(finder: Finder, pieces: Iterable[Piece]) -> Iterator[Sighting]:
    """Each once, in the order of the pieces."""
    seen: set[Sighting] = set()
    for piece in pieces:
        for found in finder.search(piece.data):
            sighting = _sighting(finder, piece, found)
            if sighting not in seen:
                seen.add(sighting)
                yield sighting


def _sighting(finder: Finder, piece: Piece, found: Found) -> Sighting:
    line = piece.line and piece.line + piece.data.count(b"\n", 0, found.at)
    return Sighting(finder.masked(piece.where), finder.masked(piece.path), line, found.secret, found.encoding)
