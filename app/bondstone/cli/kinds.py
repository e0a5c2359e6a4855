"""`bondstone types`."""

import inspect
import json
from typing import Any

from bondstone.blocks import Block, catalog, find
from bondstone.blocks.describe import Field, fields_of, summary
from bondstone.cli import output


def types(kind: str | None, *, as_json: bool) -> None:
    if kind is None:
        _all(as_json=as_json)
    elif as_json:
        output.emit_json(_object(find(kind)))
    else:
        _one(find(kind))


def _all(*, as_json: bool) -> None:
    kinds = catalog()
    if as_json:
        output.emit_json([_object(kind) for kind in kinds.values()])
        return
    rows = [(name, summary(kind), ", ".join(kind.model_fields)) for name, kind in kinds.items()]
    output.table(("kind", "what it is", "fields"), rows)


def _one(kind: type[Block]) -> None:
    fields = fields_of(kind)
    if output.terminal():
        output.emit(f"{kind.kind}: {inspect.cleandoc(kind.__doc__ or '')}\n\n")
    output.table(("field", "type", "notes", "description", "example"), map(_row, fields))
    if output.terminal():
        output.emit(
            f"\nbondstone save {kind.kind}/NAME {' '.join(_argument(field) for field in fields if field.required)}\n"
        )


def _row(field: Field) -> tuple[str, ...]:
    marks = [word for word, holds in (("required", field.required), ("secret", field.secret)) if holds]
    return (
        field.name,
        field.type,
        ", ".join(marks),
        field.description,
        _text(field.examples[0]) if field.examples else "",
    )


def _argument(field: Field) -> str:
    return f"{field.name}=@FILE" if field.secret else f"{field.name}=…"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _object(kind: type[Block]) -> dict[str, Any]:
    return {
        "kind": kind.kind,
        "schema_version": kind.schema_version,
        "description": summary(kind),
        "fields": [_field(field) for field in fields_of(kind)],
    }


def _field(field: Field) -> dict[str, Any]:
    keys = ("name", "type", "description", "examples", "required", "default", "secret")
    return {key: json.loads(json.dumps(getattr(field, key), default=str)) for key in keys}
