"""What stands beside the masks in the JSON of a block, and what a reference in place of a block means."""

from typing import TYPE_CHECKING, Any

from bondstone.blocks.catalog import find
from bondstone.blocks.errors import NotLoaded, Refused
from bondstone.blocks.loading import load
from bondstone.registry import BondstoneError, InvalidName, Reference, current_registry

if TYPE_CHECKING:
    from bondstone.blocks.block import Block

REF, REGISTRY, UNSAVED = MARKS = "$ref", "$registry", "$unsaved"


def meant(cls: "type[Block]", value: Any) -> Any:
    """The block that a text or the JSON of a saved block names; anything else as it is."""
    if isinstance(value, str):
        return _referred(cls, value)
    if not isinstance(value, dict) or not any(mark in value for mark in MARKS):
        return value
    if isinstance(value.get(REF), str):
        block = _referred(cls, value[REF])
        if block._origin:
            block._origin = block._origin._replace(pinned=False)  # it is sent, not asked for by number
        return block
    return {name: item for name, item in value.items() if name not in (REGISTRY, UNSAVED)}


def _referred(cls: "type[Block]", text: str) -> "Block":
    """The block that a reference in another block's field names. Raises `Refused` or `NotLoaded`."""
    expected = f"expected a reference such as '{'kind' if cls.kind == 'block' else cls.kind}/name'"
    try:
        if "/" not in text:  # a token that was pasted here, as likely as not: it is not shown
            raise InvalidName(expected)
        reference = Reference.parse(text)
        kind = find(reference.kind)
        if reference.field is not None or not issubclass(kind, cls):
            raise InvalidName(expected)
    except BondstoneError as error:
        raise Refused(error) from None
    try:
        return load(kind, reference, current_registry())
    except BondstoneError as error:
        raise NotLoaded(error) from None
