"""What saving some blocks would change: found out before anything is written, told without values."""

from collections.abc import Container, Iterable, Mapping
from typing import Any, NamedTuple

from bondstone.blocks import Block, find
from bondstone.blocks.document import plain
from bondstone.blocks.storing import link
from bondstone.registry import Reference, current_registry

CREATE, CHANGE, SAME, DELETE = "create", "change", "same", "delete"


class Change(NamedTuple):
    """What is to become of one name."""

    action: str
    reference: Reference
    fields: tuple[str, ...] = ()  # that are new or differ
    block: Block | None = None  # what to save, or, if that is the same, what is there


def change(reference: Reference, wanted: Block, there: Container[str], names: Mapping[int, Reference]) -> Change:
    """What it takes for `reference` to be `wanted`, where `there` are the names that are taken.

    `names` has, by id, the blocks that are parts by reference though not saved yet.
    """
    if reference not in there:
        return Change(CREATE, reference, tuple(sorted(wanted.model_fields_set)), wanted)
    found = find(reference.kind).load(reference.name)
    before, after = _form(found, {}), _form(wanted, names)
    fields = tuple(name for name in after if before[name] != after[name])
    if not fields:
        return Change(SAME, reference, (), found)
    update = {name: getattr(wanted, name) for name in type(wanted).model_fields}
    return Change(CHANGE, reference, fields, found.model_copy(update=update))  # which knows what it replaces


def carry_out(changes: Iterable[Change]) -> None:
    """Save and delete, in order. A block that somebody else has changed meanwhile is `Conflict`."""
    for one in changes:
        if one.action in (CREATE, CHANGE) and one.block is not None:
            one.block.save(one.reference.name, overwrite=one.action == CHANGE)
        elif one.action == DELETE:
            current_registry().delete(one.reference.kind, one.reference.name)


def _form(block: Block, names: Mapping[int, Reference]) -> dict[str, Any]:
    """The fields as they are stored, with references for parts that have a name."""

    def part(model: Any) -> dict[str, Any] | None:
        if id(model) in names:
            return {"$ref": str(names[id(model)])}
        if isinstance(model, Block) and model.is_saved:
            return {"$ref": link(model)}
        return {"$kind": model.kind, **_form(model, names)} if isinstance(model, Block) else None

    return {name: plain(value, part) for name, value in block}
