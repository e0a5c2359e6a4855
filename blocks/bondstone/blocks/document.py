"""The stored form of a block (`docs/format.md`, "Document"): the one place where secret values are written out, to be sealed at once."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import pydantic
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from bondstone.blocks.secret_values import SecretData, SecretStr
from bondstone.registry import InvalidBlock

Encode = Callable[[BaseModel], dict[str, Any] | None]


def dumps(document: dict[str, Any]) -> bytes:
    """The canonical byte form."""
    try:
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        pass
    raise InvalidBlock("JSON has no infinity, no NaN and no numbers of more than 4300 digits: store them as text")


def plain(value: Any, child: Encode) -> Any:
    """`value` as JSON. `child` gives the form of a block inside it, or None for a model that is no block."""
    if value is None or isinstance(value, bool | int | float) or type(value) is str:
        return value
    if isinstance(value, SecretStr | SecretData):
        return plain(value.get_secret_value(), child)
    if isinstance(value, BaseModel):
        return child(value) or {name: plain(item, child) for name, item in _fields(value)}
    if isinstance(value, Mapping):
        return _mapping(value, child)
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, child) for item in value]
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, pydantic.SecretStr | pydantic.SecretBytes | pydantic.Secret):
        raise InvalidBlock(
            f"pydantic's {type(value).__name__} would be stored as its mask: use bondstone.blocks.SecretStr"
        )
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name), child) for field in fields(value)}
    try:
        return to_jsonable_python(value)
    except ValueError:  # pydantic's error shows the value
        pass
    raise InvalidBlock(
        f"a {type(value).__name__} cannot be stored: give JSON values, bytes, or a type that pydantic writes as JSON"
    )


def _fields(model: BaseModel) -> list[tuple[str, Any]]:
    return [(name, getattr(model, name)) for name in type(model).model_fields]


def _mapping(value: Mapping[Any, Any], child: Encode) -> dict[str, Any]:
    if all(isinstance(key, str) and not key.startswith("$") for key in value):
        return {key: plain(item, child) for key, item in value.items()}
    return {"$map": [[plain(key, child), plain(item, child)] for key, item in value.items()]}


def live(value: Any, child: Callable[[dict[str, Any]], Any]) -> Any:
    """`value` from JSON. `child` makes the block of a mapping with ``$ref`` or ``$kind``."""
    if isinstance(value, list):
        return [live(item, child) for item in value]
    if not isinstance(value, dict):
        return value
    if "$bytes" in value:
        return base64.b64decode(value["$bytes"], validate=True)
    if "$map" in value:
        return {_hashable(live(key, child)): live(item, child) for key, item in value["$map"]}
    if "$ref" in value or "$kind" in value:
        return child(value)
    return {key: live(item, child) for key, item in value.items()}


def _hashable(key: Any) -> Any:
    return tuple(key) if isinstance(key, list) else key
