"""References inside other values: in environments, YAML, TOML and JSON, and in any dict or list."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from bondstone.blocks.block import Block, in_thread
from bondstone.blocks.describe import fields_of
from bondstone.blocks.errors import bare
from bondstone.blocks.secret import Secret
from bondstone.blocks.secret_values import SecretData, SecretStr
from bondstone.registry import BondstoneError, InvalidBlock, InvalidName, NotFound, Reference
from bondstone.registry.names import SCHEME

_INSIDE = re.compile(r"\$\{(bondstone://[^{}]*)\}")
_MISSING = object()


def resolve(obj: Any) -> Any:
    """A copy of `obj` in which every reference is replaced by its value, at any depth of dicts, lists and tuples; keys stay.

    ``bondstone://kind/name#field``, with ``@version`` if one is meant, is a string by itself and gives the value of that
    field with its type; ``#field.key`` goes into a mapping or a block in the field. Without ``#field`` it is the value of a
    `Secret`. Inside a longer string write ``${bondstone://…}``, which puts in the text of the value as it is. Each block is
    loaded once.

    Raises what `Block.load` raises, `NotFound` for a field that is not there, `InvalidBlock` where a block has no one value, and
    `InvalidName` for ``bondstone://`` inside a longer string without ``${…}``: it would be taken for the value.
    """
    try:
        return Resolver()(obj)
    except BondstoneError as error:
        fault = bare(error)
    raise fault  # outside the `except`: the frames it came through held values


async def aresolve(obj: Any) -> Any:
    """`resolve`, without blocking the event loop."""
    return await in_thread(lambda: resolve(obj))


class Resolver:
    """One call of `resolve`, which may ask for several values: it loads each block once."""

    def __init__(self, load: Callable[[str], Block] = Block.load) -> None:
        self._load, self._loaded = load, dict[str, Block]()

    def __call__(self, obj: Any) -> Any:
        if isinstance(obj, str):
            return self._text(obj) if SCHEME in obj else obj
        if isinstance(obj, dict):
            return {key: self(value) for key, value in obj.items()}
        if isinstance(obj, list):
            return [self(value) for value in obj]
        if isinstance(obj, tuple):
            items = [self(value) for value in obj]
            return type(obj)(*items) if hasattr(obj, "_fields") else tuple(items)
        return obj

    def _text(self, text: str) -> Any:
        if text.startswith(SCHEME):
            return self.value(Reference.parse(text))
        parts = _INSIDE.split(text)
        if any(SCHEME in literal for literal in parts[::2]):
            raise InvalidName(
                "a reference stands inside a longer text: write ${bondstone://kind/name#field}, or let the reference be all of the text"
            )
        parts[1::2] = (self._inside(Reference.parse(part)) for part in parts[1::2])
        return "".join(parts)

    def _inside(self, reference: Reference) -> str:
        value = self.value(reference)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return str(value)
        raise InvalidBlock(f"'{reference}' holds no text and no number: it cannot stand inside a longer text")

    def value(self, reference: Reference) -> Any:
        """What a reference stands for."""
        whole = str(reference).partition("#")[0]
        if whole not in self._loaded:
            self._loaded[whole] = self._load(whole)
        return value_of(self._loaded[whole], reference)


def value_of(block: Block, reference: Reference) -> Any:
    """The value in `block` that `reference` names: of a field, of a key in it, or of a `Secret` as a whole."""
    field = reference.field
    if field is None:
        if not isinstance(block, Secret):
            raise InvalidBlock(
                f"'{reference}' has several fields: write '{reference}#{fields_of(type(block))[0].name}' or another"
            )
        field = "value"
    value: Any = block
    for part in field.split("."):
        value = _inner(value, part)
        if value is _MISSING:
            raise NotFound(
                f"'{reference}': there is no such field; a {block.kind} has {', '.join(type(block).model_fields)}"
            )
    if isinstance(value, Block):
        raise InvalidBlock(
            f"'{reference}' is a block: name one of its fields, such as '{reference}.{fields_of(type(value))[0].name}'"
        )
    return value


def _inner(value: Any, part: str) -> Any:
    if isinstance(value, Block):
        found = getattr(value, part) if part in type(value).model_fields else _MISSING
    else:
        found = value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING
    return found.get_secret_value() if isinstance(found, SecretStr | SecretData) else found


def as_text(value: Any) -> str:
    """A value as text, for an environment: a string as it is, other values as JSON. Raises `InvalidBlock` for bytes that are no UTF-8."""
    if isinstance(value, str):
        return value
    try:
        return value.decode() if isinstance(value, bytes) else json.dumps(value)
    except (UnicodeDecodeError, TypeError, ValueError):
        pass
    raise InvalidBlock(
        "the value is no text: name one of its fields, or write it to a file with 'bondstone show --reveal'"
    )
