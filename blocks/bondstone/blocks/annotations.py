"""Whether the annotation of a field names a type that would show a secret."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, get_args, get_origin, get_type_hints

import pydantic
from pydantic import BaseModel

from bondstone.blocks.secret_values import SecretStr


def shows_secrets(annotation: Any, block: type) -> bool:
    """Whether it names one of pydantic's own secret types, at any depth; a `block` inside was looked at by itself."""
    return any(_shows(part) for part in _types(annotation, block, set()))


def _types(annotation: Any, block: type, seen: set[int]) -> Iterator[Any]:
    """Every type that an annotation names, also by an alias and in the fields of models, dataclasses and the like; not inside blocks."""
    if id(annotation) in seen:
        return
    seen.add(id(annotation))
    yield annotation
    inner = [*get_args(annotation), getattr(annotation, "__value__", None), getattr(annotation, "__supertype__", None)]
    if isinstance(annotation, type) and not issubclass(annotation, block):
        if issubclass(annotation, BaseModel):
            inner += [field.annotation for field in annotation.model_fields.values()]
        elif "__annotations__" in annotation.__dict__ and annotation.__module__.partition(".")[0] != "pydantic":
            with suppress(NameError):  # an annotation of what is not defined yet
                inner += get_type_hints(annotation).values()
    for part in inner:
        yield from _types(part, block, seen)


def _shows(part: Any) -> bool:
    part = get_origin(part) or part
    secret = (pydantic.SecretStr, pydantic.SecretBytes, pydantic.Secret)
    return isinstance(part, type) and issubclass(part, secret) and not issubclass(part, SecretStr)
