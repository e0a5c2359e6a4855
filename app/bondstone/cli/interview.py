"""A block by question and answer. What is not accepted is asked for again; nothing else is."""

from typing import Any

from pydantic import ValidationError

from bondstone.blocks import Block, BondstoneError, InvalidName, NotFound, Reference, UnknownKind, catalog, find
from bondstone.blocks.describe import Field, fields_of, summary
from bondstone.blocks.errors import NotLoaded
from bondstone.cli.ask import asked, say
from bondstone.cli.fields import answer
from bondstone.registry import NoRegistry, current_registry

_MOST_CHOICES = 20


def kind_asked() -> str:
    """One of the kinds, which are listed."""
    for name, kind in catalog().items():
        say(f"  {name:24}{summary(kind)}")
    while True:
        try:
            return find(asked("kind: ")).kind
        except (UnknownKind, InvalidName) as error:
            say(str(error))


def name_asked(kind: str) -> Reference:
    """A legal name."""
    while True:
        try:
            return Reference(kind, asked("name (such as prod, or team/prod): "))
        except InvalidName as error:
            say(str(error))


def taken(reference: Reference) -> bool:
    """Whether there is such a block: who is to answer ten questions wants to know before."""
    try:
        versions = current_registry().history(reference.kind, reference.name)
    except (NoRegistry, NotFound):
        return False
    return not all(version.deleted for version in versions)


def interviewed(kind: type[Block]) -> Block:
    """A block of what is answered for each field."""
    say(f"{kind.kind}: Enter leaves out what is optional; @FILE takes what a file holds.")
    fields, given = fields_of(kind), dict[str, Any]()
    for field in fields:
        _accepted(kind, field, given)
    while True:
        try:
            return kind(**given)
        except BondstoneError as error:  # of fields that do not go together
            say(str(error))
        _accepted(kind, _which(fields), given)


def _accepted(kind: type[Block], field: Field, given: dict[str, Any]) -> None:
    """Put an answer that the field accepts into `given`."""
    while True:
        given.pop(field.name, None)
        try:
            value = answer(kind.kind, field, _choices(field))
            if value is not None:
                given[field.name] = value
            fault = _fault(kind, field.name, given)
        except BondstoneError as error:
            fault = str(error)
        if fault is None:
            return
        say(fault)


def _fault(kind: type[Block], name: str, given: dict[str, Any]) -> str | None:
    """What is wrong with that field, as far as can be told without the ones to come."""
    try:
        kind.__pydantic_validator__.validate_python(dict(given))
    except NotLoaded as error:  # the block that was just named
        return str(error)
    except ValidationError as error:
        of_field = (name, kind.model_fields[name].alias)
        lines = [line for line in error.errors(include_input=False, include_url=False) if line["loc"][:1]]
        faults = [line["msg"] for line in lines if line["loc"][0] in of_field and line["type"] != "missing"]
        return f"field '{name}': {'; '.join(faults)}" if faults else None
    return None


def _which(fields: list[Field]) -> Field:
    by_name = {field.name: field for field in fields}
    while (name := asked(f"field to answer again ({', '.join(by_name)}): ")) not in by_name:
        pass
    return by_name[name]


def _choices(field: Field) -> list[str]:
    """The saved blocks that a field takes."""
    asked_for = field.type.split(" | ")
    bases = tuple(Block if kind == Block.kind else catalog().get(kind, _Nothing) for kind in asked_for)
    if field.structured or not any(issubclass(base, Block) for base in bases):
        return []
    kinds = [kind for kind, cls in catalog().items() if issubclass(cls, bases)]
    return [name for name in Block.names() if name.partition("/")[0] in kinds][:_MOST_CHOICES]


class _Nothing:
    """The base of no block."""
