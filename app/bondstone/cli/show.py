"""`bondstone show`. The one command that reveals secrets."""

import json
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from bondstone.blocks import Block, NotFound, Reference, SecretData, SecretStr, find
from bondstone.blocks.describe import displayed, fields_of
from bondstone.cli import output
from bondstone.cli.faults import Usage
from bondstone.registry import current_registry


def show(text: str, *, reveal: bool, as_json: bool) -> None:
    reference = Reference.parse(text)
    block = find(reference.kind).load(reference.name, reference.version)
    if reference.field is not None:
        _field(block, reference, reference.field, reveal=reveal, as_json=as_json)
    elif as_json:
        output.emit_json(_document(block, reference, reveal))
    else:
        _table(block, reference, reveal)


def _document(block: Block, reference: Reference, reveal: bool) -> dict[str, Any]:
    saved_at = _saved_at(block, reference)
    return {
        "kind": reference.kind,
        "name": reference.name,
        "version": block.version,
        "saved_at": saved_at.isoformat() if saved_at else None,
        "fields": displayed(block, reveal=reveal),
    }


def _table(block: Block, reference: Reference, reveal: bool) -> None:
    if output.terminal():
        saved_at = _saved_at(block, reference)
        when = f", saved {output.clock(saved_at)}" if saved_at else ""
        output.emit(f"{reference.kind}/{reference.name}@{block.version}{when}\n\n")
    rows = [(name, _cell(value)) for name, value in displayed(block, reveal=reveal).items()]
    output.table(("field", "value"), rows)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def _saved_at(block: Block, reference: Reference) -> datetime | None:
    versions = current_registry().history(reference.kind, reference.name)
    return next((version.saved_at for version in versions if version.version == block.version), None)


def _field(block: Block, reference: Reference, name: str, *, reveal: bool, as_json: bool) -> None:
    """The value alone, exactly: it goes into a pipe or a file."""
    field = next((field for field in fields_of(type(block)) if field.name == name), None)
    if field is None:
        near = get_close_matches(name, type(block).model_fields, 1)
        hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(type(block).model_fields)}"
        raise NotFound(f"{reference.kind} has no such field: {hint}")
    if field.secret and not reveal:  # a mask in its place would be taken for the secret
        raise Usage(f"'{reference}' is a secret: add --reveal to show it")
    if as_json:
        output.emit_json(displayed(block, reveal=reveal)[name])
        return
    value = getattr(block, name)
    content = value.get_secret_value() if isinstance(value, SecretStr | SecretData) else None
    if not isinstance(content, bytes):
        content = _cell(displayed(block, reveal=reveal)[name]).encode("utf-8", "surrogatepass")
    output.emit_bytes(content)
