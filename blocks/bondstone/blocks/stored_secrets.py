"""The secret values of a stored block, without making the block: no child is loaded for it."""

import base64
import json
from collections.abc import Iterator
from typing import Any

from bondstone.blocks.catalog import find
from bondstone.blocks.describe import fields_of


def stored_secrets(kind: str, content: bytes) -> Iterator[tuple[str, str | bytes]]:
    """Field and value of each text and each piece of bytes in the secret fields of a document, by-value blocks included.

    Raises `UnknownKind`.
    """
    yield from _of_fields(kind, json.loads(content)["fields"], "")


def _of_fields(kind: str, stored: dict[str, Any], before: str) -> Iterator[tuple[str, str | bytes]]:
    secret = {field.name for field in fields_of(find(kind)) if field.secret}
    for name, value in stored.items():
        yield from _values(value, f"{before}{name}", secret=name in secret)


def _values(value: Any, name: str, *, secret: bool) -> Iterator[tuple[str, str | bytes]]:
    if isinstance(value, dict) and "$kind" in value:
        yield from _of_fields(value["$kind"], value["fields"], f"{name}.")
    elif isinstance(value, dict) and "$bytes" in value:
        yield from [(name, base64.b64decode(value["$bytes"]))] if secret else []
    elif isinstance(value, dict) and "$ref" not in value:
        for key, item in value.items():
            yield from _values(item, f"{name}.{key}", secret=secret)
    elif isinstance(value, list):
        for item in value:
            yield from _values(item, name, secret=secret)
    elif isinstance(value, str) and secret:
        yield name, value
