"""Files of variables, as python-dotenv reads them."""

import re
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from bondstone.blocks.resolving import as_text
from bondstone.cli.rendering import Format, Span

_NAME = re.compile(r"\s*(?:export\s+)?(?:'[^']+'|[^=#\s]+)[^\S\r\n]*=[^\S\r\n]*")
_VALUE = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|(?:(?!\s+\#)[^\r\n])*(?<!\s)""", re.DOTALL)


def _spans(text: str, path: Path) -> Iterator[Span]:
    from bondstone.cli.envfile import bindings

    start = 0
    for binding in bindings(text, path):
        name, whole = _NAME.match(binding.original.string), len(binding.original.string)
        if binding.key is not None and binding.value is not None and name:
            value = _VALUE.match(binding.original.string, name.end())
            yield Span(start + name.end(), start + (value.end() if value else name.end()), binding.value)
        start += whole


def _write(value: Any, span: Span) -> str:
    from bondstone.cli.envfile import quoted

    return quoted("the value", as_text(value))


def _agrees(before: str, after: str, values: Mapping[int, Any]) -> bool:
    from dotenv import dotenv_values

    wanted = [as_text(values.get(span.start, span.value)) for span in _spans(before, Path())]
    return wanted == [span.value for span in _spans(after, Path())] and (
        list(dotenv_values(stream=StringIO(before))) == list(dotenv_values(stream=StringIO(after)))
    )


FORMAT = Format(_spans, _write, _agrees)
