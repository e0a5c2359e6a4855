"""The page of the kinds."""

import inspect
import json
from collections.abc import Iterable
from typing import Any

from bondstone.blocks import Block, catalog
from bondstone.blocks.describe import Field, fields_of, summary

_LONGEST = 60  # characters of an example


def pages() -> dict[str, str]:
    """Text of each page by its path in `docs/reference/`. Kinds that other packages bring are left out."""
    kinds = [block for block in catalog().values() if block.__module__.startswith("bondstone.blocks.")]
    return {"kinds.md": "\n\n".join([_HEAD, _index(kinds), *map(_section, kinds)]) + "\n"}


_HEAD = """<!-- Made from the source by `make reference`: change that, not this page. -->

# Kinds of blocks

A secret field shows itself nowhere, and is not given on the command line but from a file (`=@FILE`), by standard input (`=-`) or by
hand. A field that takes a block takes the block itself or its reference, `kind/name`. What is neither *required* nor has a default
can be left out."""


def _index(kinds: Iterable[type[Block]]) -> str:
    return _table(("kind", "what it is"), ((f"[`{kind.kind}`](#{kind.kind})", summary(kind)) for kind in kinds))


def _section(kind: type[Block]) -> str:
    fields = fields_of(kind)
    required = " ".join(f"{field.name}={'@FILE' if field.secret else '…'}" for field in fields if field.required)
    return "\n\n".join(
        [
            f"## {kind.kind}",
            inspect.cleandoc(kind.__doc__ or ""),
            f"`from bondstone.blocks import {kind.__name__}`, schema version {kind.schema_version}.",
            _table(("field", "type", "notes", "description", "example"), map(_row, fields)),
            f"```console\n$ bondstone save {kind.kind}/NAME {required or 'FIELD=…'}\n```",
        ]
    )


def _row(field: Field) -> tuple[str, ...]:
    marks = [word for word, holds in (("required", field.required), ("**secret**", field.secret)) if holds]
    if field.default not in (None, ""):
        marks.append(f"default {_code(field.default)}")
    example = _code(field.examples[0]) if field.examples else ""
    return f"`{field.name}`", field.type, ", ".join(marks), field.description, example


def _code(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    line = text.splitlines()[0] if text else ""
    return f"`{line if line == text and len(text) <= _LONGEST else line[:_LONGEST] + '…'}`"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [tuple(head), *map(tuple, rows)]
    lines.insert(1, ("---",) * len(lines[0]))
    return "\n".join(f"| {' | '.join(cell.replace('|', r'\|') for cell in line)} |" for line in lines)
