"""What a kind looks like to people: its fields, and the fields of one block with the secrets masked."""

import inspect
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeAliasType, Union, get_args, get_origin

import pydantic
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from bondstone.blocks.block import Block
from bondstone.blocks.document import plain
from bondstone.blocks.secret_values import MASK, SecretData, SecretStr
from bondstone.blocks.storing import link

_SECRET = (pydantic.SecretStr, pydantic.SecretBytes, pydantic.Secret, SecretData)
_MANY = (Mapping, list, tuple, set, frozenset)


class Field(NamedTuple):
    """One field of a kind."""

    name: str
    type: str  # such as "str", "int | str"; for a block its kind
    description: str
    examples: tuple[Any, ...]
    required: bool
    default: Any  # None if there is none, or if it is made anew for each block
    secret: bool
    structured: bool  # takes a list or a mapping, not a text
    binary: bool  # takes bytes as they are
    holds_blocks: bool


def summary(kind: type[Block]) -> str:
    """The first paragraph of the class's docstring, as one line."""
    return " ".join(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].split())


def fields_of(kind: type[Block]) -> list[Field]:
    """The fields of a kind, in the order of the class."""
    if not kind.__pydantic_fields_complete__:
        kind.model_rebuild()
    return [_field(name, info) for name, info in kind.model_fields.items()]


def _field(name: str, info: FieldInfo) -> Field:
    ways = [way for way in _ways(info.annotation) if way is not type(None)]
    parts = list(_parts(info.annotation))
    return Field(
        name=name,
        type=" | ".join(dict.fromkeys(map(_called, ways))),
        description=info.description or "",
        examples=tuple(info.examples or ()),
        required=info.is_required(),
        default=None if info.default is PydanticUndefined else info.default,
        secret=any(map(_is_secret, parts)),
        structured=bool(ways) and all(_is_a(get_origin(way) or way, (*_MANY, BaseModel)) for way in ways)
        and not any(_is_a(way, (Block,)) for way in ways),
        binary=any(_is_a(part, (bytes, SecretData, pydantic.SecretBytes)) for part in parts),
        holds_blocks=any(_is_a(part, (Block,)) for part in parts),
    )  # fmt: skip


def _ways(annotation: Any) -> Iterator[Any]:
    """The members of a union, without what annotates them."""
    if isinstance(annotation, TypeAliasType):
        yield from _ways(annotation.__value__)
    elif get_origin(annotation) is Annotated:
        yield from _ways(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for way in get_args(annotation):
            yield from _ways(way)
    else:
        yield annotation


def _parts(annotation: Any) -> Iterator[Any]:
    """Every type in an annotation, at any depth."""
    for way in _ways(annotation):
        yield get_origin(way) or way
        for part in get_args(way):
            yield from _parts(part)


def _is_a(part: Any, classes: tuple[type, ...]) -> bool:
    return isinstance(part, type) and issubclass(part, classes)


def _is_secret(part: Any) -> bool:
    """Whether values of this type hold a secret. A block does not: in a field it is a reference."""
    if _is_a(part, (Block,)) or not _is_a(part, (*_SECRET, BaseModel)):
        return _is_a(part, _SECRET)
    fields = part.model_fields.values() if issubclass(part, BaseModel) else ()
    return issubclass(part, _SECRET) or any(_is_secret(inner) for field in fields for inner in _parts(field.annotation))


def _called(way: Any) -> str:
    if get_origin(way) is Literal:
        return " | ".join(f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in get_args(way))
    way = get_origin(way) or way
    if _is_a(way, (Block,)):
        return str(way.kind)
    if _is_a(way, (pydantic.SecretStr,)):
        return "str"
    if _is_a(way, (SecretData,)) or not isinstance(way, type):
        return "any"
    return way.__name__


def displayed(block: Block, *, reveal: bool = False) -> dict[str, Any]:
    """The fields of a block as JSON values. Secrets are masked unless `reveal`; a saved block inside is its reference."""
    return {name: _displayed(value, reveal) for name, value in block}


def _displayed(value: Any, reveal: bool) -> Any:
    if isinstance(value, SecretStr | SecretData):
        return plain(value.get_secret_value(), lambda model: None) if reveal else MASK
    if isinstance(value, Block) and value.is_saved:
        return link(value)
    if isinstance(value, BaseModel):
        kind = {"kind": value.kind} if isinstance(value, Block) else {}
        return kind | {name: _displayed(item, reveal) for name, item in value}
    if isinstance(value, Mapping):
        return {str(key): _displayed(item, reveal) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_displayed(item, reveal) for item in value]
    return plain(value, lambda model: None)
