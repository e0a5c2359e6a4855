"""Kinds that hold no credential of their own, but a block that does."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bondstone.blocks import Block, InvalidSettings
from bondstone.blocks.rotator import Guided


class Holder(Guided):
    """Not rotated itself. Says which block is, and verifies through it."""

    def existing(self, block: Block) -> Sequence[str]:
        raise _not_here(block)

    def create[B: Block](self, block: B, given: Mapping[str, Any]) -> B:
        raise _not_here(block)


def _not_here(block: Block) -> InvalidSettings:
    who = block.reference or block.kind
    held = list(_blocks(value for _, value in block))
    if not held:
        return InvalidSettings(f"{who} holds no credential: there is nothing to rotate")
    names = sorted({str(part.reference) for part in held if part.is_saved})
    if names:
        return InvalidSettings(f"{who} holds no credential of its own: rotate {' or '.join(names)}")
    kinds = ", ".join(sorted({part.kind for part in held}))
    return InvalidSettings(f"the {kinds} of {who} has no name: save it by itself, refer to it, and rotate that")


def _blocks(values: Iterator[Any]) -> Iterator[Block]:
    for value in values:
        if isinstance(value, Block):
            yield value
        elif isinstance(value, Mapping):
            yield from _blocks(iter(value.values()))
