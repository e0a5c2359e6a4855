"""What of a block goes into a registry: its document, and in it the blocks inside it."""

import hmac
import os
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from bondstone.blocks import document
from bondstone.blocks.block import Block

_apart = os.urandom(32)


def stored_form(block: Block, home: tuple[str, str]) -> dict[str, Any]:
    """The document of a block that goes into the registry `home`. A child that is saved in another one goes along by value."""

    def child(model: BaseModel) -> dict[str, Any] | None:
        if not isinstance(model, Block):
            return None
        if model._origin is None or model._origin.changed or model._origin.home != home:
            return {"$kind": model.kind, **stored_form(model, home)}
        return {"$ref": link(model)}

    fields = {name: document.plain(value, child) for name, value in block}
    return {"fields": fields, "schema_version": block.schema_version}


def link(block: Block) -> str:
    """What stands for a saved block inside another: its name, or its version where that was asked for by number."""
    origin = block._origin
    return f"{block.reference}@{block.version}" if origin and origin.pinned else str(block.reference)


def children(value: Any) -> Iterator[Block]:
    """Every block inside `value`, at any depth, not itself."""
    items: Any = ()
    if isinstance(value, BaseModel):
        items = [item for _, item in value]
    elif isinstance(value, Mapping):
        items = value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        items = value
    for item in items:
        if isinstance(item, Block):
            yield item
        yield from children(item)


def told_apart(block: Block) -> str:
    """The same for equal blocks of this process; says nothing of what is in them."""
    return hmac.digest(_apart, canonical(block), "sha256").hex()


def canonical(block: Block) -> bytes:
    """The fields in one form, children by value: they are saved in no registry without an address."""
    return document.dumps(stored_form(block, ("", "")))
