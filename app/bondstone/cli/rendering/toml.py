"""TOML."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bondstone.blocks import InvalidBlock
from bondstone.cli.faults import Usage
from bondstone.cli.rendering import Format, Span, plain, quoted
from bondstone.registry.names import shown

# A comment, or a string of one of the four kinds. Source: TOML 1.0, "Comment" and "String".
_TOKEN = re.compile(
    r"#[^\n]*"
    r'|"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BEFORE_VALUE = re.compile(r"[ \t]*[=.]")


def _spans(text: str, path: Path) -> Iterator[Span]:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:  # its text may show a piece of the file
        line = re.search(r"\(at line (\d+), ", str(error))
    else:
        for found in _TOKEN.finditer(text):
            if found[0][0] != "#" and not _BEFORE_VALUE.match(text, found.end()):
                yield Span(*found.span(), tomllib.loads(f"x = {found[0]}")["x"])
        return
    raise Usage(f"{shown(path.name)}: line {line[1] if line else 'last'} is not TOML")


def _write(value: Any, span: Span) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)} = {_write(item, span)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_write(item, span) for item in value) + "]"
    text = plain(value)
    if text is None:
        raise InvalidBlock("the field is empty, and TOML has no null")
    return text


def _agrees(before: str, after: str, values: Mapping[int, Any]) -> bool:
    try:
        marks = {span.start: f"\0{span.start}" for span in _spans(before, Path()) if span.start in values}
        marked = before
        for span in sorted(_spans(before, Path()), key=lambda one: one.start, reverse=True):
            if span.start in marks:
                marked = marked[: span.start] + quoted(marks[span.start]) + marked[span.end :]
        wanted = {mark: values[start] for start, mark in marks.items()}
        return _dump(_put(tomllib.loads(marked), wanted)) == _dump(tomllib.loads(after))
    except tomllib.TOMLDecodeError:
        return False


def _put(value: Any, wanted: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _put(item, wanted) for key, item in value.items()}
    if isinstance(value, list):
        return [_put(item, wanted) for item in value]
    return wanted.get(value, value) if isinstance(value, str) else value


def _dump(value: Any) -> str:
    """Also of dates, and of NaN, which is not equal to itself."""
    return json.dumps(value, default=repr)


FORMAT = Format(_spans, _write, _agrees)
