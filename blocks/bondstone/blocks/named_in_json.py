"""What the JSON schema of something that has blocks in it says of them: a name goes there, so that no form asks for their secrets."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema

from bondstone.blocks.catalog import catalog
from bondstone.registry.names import SCHEME

if TYPE_CHECKING:
    from bondstone.blocks.block import Block

_SEGMENT = r"[a-z0-9._-]+"
_asked_for: ContextVar["type[Block] | None"] = ContextVar("asked_for", default=None)


@contextmanager
def fields_of_its_own(cls: "type[Block]") -> Iterator[None]:
    """Within the block the schema of `cls` lists its fields."""
    before = _asked_for.set(cls)
    try:
        yield
    finally:
        _asked_for.reset(before)


def schema_of(cls: "type[Block]", schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
    """Of a block among other things; what is written out, as FastAPI does with answers, has its fields, with masks."""
    if handler.mode == "serialization" or _asked_for.get() is cls:
        return handler(schema)
    return by_name(cls)


def by_name(cls: "type[Block]", *, field: bool = False) -> dict[str, Any]:
    """The JSON schema of a reference to a block of `cls` or of a class derived from it; with `field`, also to one of its fields."""
    anything = cls.kind == "block"
    kinds = sorted(kind for kind, one in catalog().items() if issubclass(one, cls))
    one_of = r"[a-z][a-z0-9-]*" if anything else f"({'|'.join(kinds)})"
    example = "secret/token" if anything else f"{cls.kind}/name"
    return {
        "type": "string",
        "pattern": rf"^({SCHEME})?{one_of}/{_SEGMENT}(/{_SEGMENT})*(@[0-9]+)?{'(#[A-Za-z0-9_.-]+)?' if field else ''}$",
        "examples": [example],
        "description": f"Name of a saved block, such as {example}.",
    }
