"""Where strings stand in the text of a file, and how values are written there; a module for each format."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bondstone.blocks import InvalidBlock


class Span(NamedTuple):
    """A string in a text: from where to where, with its quotes, and what it says."""

    start: int
    end: int
    value: str


class Format(NamedTuple):
    """What a format has to tell."""

    spans: Callable[[str, Path], Iterator[Span]]  # the strings that are values; `Usage` if the text does not parse
    write: Callable[
        [Any, Span], str
    ]  # a value, to stand where the span stood; `InvalidBlock` if the format cannot say it
    agrees: Callable[
        [str, str, Mapping[int, Any]], bool
    ]  # whether the text before, with values by start, says what the one after says


def quoted(text: str) -> str:
    """In double quotes, as YAML and TOML read it: every character that is not printable by its number."""
    return '"' + "".join(_escaped(c) for c in text) + '"'


_LETTERS = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escaped(c: str) -> str:
    if c in _LETTERS:
        return _LETTERS[c]
    if c.isprintable():
        return c
    return f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}"


def plain(value: Any) -> str | None:
    """What YAML, TOML and JSON write alike: true, false and numbers; None for all else. Raises `InvalidBlock` for bytes."""
    if isinstance(value, bytes):
        raise InvalidBlock("the value is bytes, which this format cannot say")
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, int | float) else None
