"""JSON."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bondstone.cli.faults import Usage
from bondstone.cli.rendering import Format, Span, plain
from bondstone.registry.names import shown

_STRING = re.compile(r'"(?:\\.|[^"\\])*"')
_BEFORE_VALUE = re.compile(r"\s*:")


def _spans(text: str, path: Path) -> Iterator[Span]:
    try:
        json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", 1)
    else:
        for found in _STRING.finditer(text):
            if not _BEFORE_VALUE.match(text, found.end()):
                yield Span(*found.span(), json.loads(found[0]))
        return
    raise Usage(f"{shown(path.name)}: line {line} is not JSON")


def _write(value: Any, span: Span) -> str:
    plain(value)  # which refuses bytes
    return json.dumps(value, ensure_ascii=False)


def _agrees(before: str, after: str, values: Mapping[int, Any]) -> bool:
    wanted = iter([values.get(span.start, span.value) for span in _spans(before, Path())])
    return _dump(_replaced(json.loads(before), wanted)) == _dump(json.loads(after))


def _replaced(value: Any, wanted: Iterator[Any]) -> Any:
    """With the strings of the text, in its order."""
    if isinstance(value, dict):
        return {key: _replaced(item, wanted) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, wanted) for item in value]
    return next(wanted) if isinstance(value, str) else value


def _dump(value: Any) -> str:
    return json.dumps(value)


FORMAT = Format(_spans, _write, _agrees)
