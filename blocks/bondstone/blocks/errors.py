"""From pydantic's errors, which hold the input, to ours, which name the field and the fault."""

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from bondstone.blocks.secret_values import SecretData, SecretStr
from bondstone.registry import BondstoneError, InvalidBlock
from bondstone.registry.names import shown

_MASK = "**********"


class InvalidClass(InvalidBlock, TypeError):
    """A block class that could not keep what blocks promise."""

    code = "invalid_class"


def bare[E: BondstoneError](error: E) -> E:
    """`error` without the frames that it passed through, since their locals held values, and without what it came from."""
    error.__cause__ = error.__context__ = error.__traceback__ = None
    return error


def guarded[**P, R](method: Callable[P, R]) -> Callable[P, R]:
    """A method of a block, or of a block class, whose errors hold no value: neither in their text nor in the locals of a frame."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        fault: BondstoneError
        try:
            return method(*args, **kwargs)
        except ValidationError as error:
            cls: Any = args[0] if isinstance(args[0], type) else type(args[0])
            fault = invalid(cls, error, cls.kind)
        except BondstoneError as error:
            fault = bare(error)
        del args, kwargs
        raise fault

    return call


def scrubbed(error: ValidationError, value: object) -> ValidationError:
    """The same error without the input, for those who validate blocks by pydantic's own ways (adapters, web frameworks)."""
    values = [text for text in _strings(value) if len(text) >= 4]
    lines = [_scrub(line["type"], line["msg"], line["loc"], values) for line in error.errors(include_input=False)]
    return ValidationError.from_exception_data(error.title, lines, hide_input=True)


def _scrub(type_: str, message: str, loc: tuple[int | str, ...], values: list[str]) -> InitErrorDetails:
    if any(value in message for value in values):
        message = f"not accepted ({type_}; the text is not shown, it holds a value)"
    text = message.removeprefix("Value error, ")
    return InitErrorDetails(type=PydanticCustomError(_literal(type_), _literal(text)), loc=loc, input=_MASK)


def _literal(text: str) -> Any:
    # The stub of PydanticCustomError asks for literals, since it formats them with a context; here there is none.
    return text


def _strings(value: object) -> Iterator[str]:
    """Every text in `value`, secret ones and long numbers too."""
    pending, seen = [value], set[int]()
    while pending:
        item = pending.pop()
        if isinstance(item, SecretStr | SecretData):
            item = item.get_secret_value()
        if isinstance(item, str):
            yield item
        elif isinstance(item, bytes):
            yield item.decode("utf-8", "replace")
        elif type(item) in (int, float) and len(str(item)) >= 6:
            yield str(item)
        elif id(item) not in seen:
            seen.add(id(item))  # what holds itself is looked through once
            inner = item.__dict__ if isinstance(item, BaseModel) else item
            if isinstance(inner, Mapping):
                pending += inner.values()
            elif isinstance(inner, list | tuple | set | frozenset):
                pending += inner


def invalid(model: type[BaseModel], error: ValidationError, subject: str) -> InvalidBlock:
    """One line for all that is wrong, `subject` first."""
    faults = []
    for line in error.errors(include_input=False, include_url=False):
        where = ".".join(str(part) for part in line["loc"] if isinstance(part, int) or part.isidentifier())
        if line["type"] == "extra_forbidden":
            name = str(line["loc"][-1])
            faults.append(f"unknown field {shown(name)}{_nearest(model, name)}")
        elif line["type"] == "missing":
            faults.append(f"field '{where}' is missing{_example(model, where)}")
        else:
            faults.append(f"field '{where}': {line['msg']}" if where else line["msg"])
    return InvalidBlock(f"{subject}: {'; '.join(faults)}")


def _nearest(model: type[BaseModel], field: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(field, model.model_fields, 1)
    return f", did you mean '{near[0]}'?" if near else f" (it has {', '.join(model.model_fields)})"


def _example(model: type[BaseModel], field: str) -> str:
    description = model.model_fields[field].description if field in model.model_fields else None
    return f" ({description.rstrip('.')})" if description else ""
