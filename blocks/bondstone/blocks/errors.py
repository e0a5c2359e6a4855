"""From pydantic's errors, which hold the input, to ours, which name the field and the fault."""

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from bondstone.blocks.secret_values import SecretData, SecretStr
from bondstone.registry import BondstoneError, InvalidBlock
from bondstone.registry.names import shown

_MASK = "**********"


class InvalidClass(InvalidBlock, TypeError):
    """A block class that could not keep what blocks promise."""

    code = "invalid_class"


class NotLoaded(RuntimeError):
    """The block that a reference names was found and could not be loaded, or is not there; `fault` says why.

    No `ValueError`, so that a union does not take the text in its place. Blocks raise `fault` itself: this is seen only by those
    who validate by pydantic's own ways (adapters, web frameworks).
    """

    def __init__(self, fault: BondstoneError) -> None:
        super().__init__(str(fault))
        self.fault = fault


class Refused(ValueError):
    """A text that is no reference to a block of the kind that is wanted; a union may take it for something else."""

    def __init__(self, fault: BondstoneError) -> None:
        super().__init__(str(fault))
        self.fault = fault


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
            fault = told(cls, error, cls.kind)
        except NotLoaded as error:
            fault = bare(error.fault)
        except BondstoneError as error:
            fault = bare(error)
        del args, kwargs
        raise fault

    return call


def scrubbed(error: ValidationError, value: object) -> ValidationError:
    """The same error without the input, for those who validate blocks by pydantic's own ways (adapters, web frameworks)."""
    values = [text for text in strings(value) if len(text) >= 4]
    lines = [_scrub(line, values) for line in error.errors(include_input=False)]
    return ValidationError.from_exception_data(error.title, lines, hide_input=True)


def _scrub(line: ErrorDetails, values: list[str]) -> InitErrorDetails:
    type_, message, loc = line["type"], line["msg"], line["loc"]
    refused = _refused(line)
    if refused:  # its text is ours, and shows nothing
        return InitErrorDetails(type="value_error", loc=loc, input=_MASK, ctx={"error": refused})
    if any(value in message for value in values):
        message = f"not accepted ({type_}; the text is not shown, it holds a value)"
    text = message.removeprefix("Value error, ")
    return InitErrorDetails(type=PydanticCustomError(_literal(type_), _literal(text)), loc=loc, input=_MASK)


def _refused(line: ErrorDetails) -> Refused | None:
    error = line.get("ctx", {}).get("error")
    return error if isinstance(error, Refused) else None


def _literal(text: str) -> Any:
    # The stub of PydanticCustomError asks for literals, since it formats them with a context; here there is none.
    return text


def strings(value: object) -> Iterator[str]:
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


def told(model: type[BaseModel], error: ValidationError, subject: str) -> BondstoneError:
    """The error of the reference, if references are all that is wrong, with the field; else `InvalidBlock` with all that is."""
    lines = error.errors(include_input=False, include_url=False)
    refused = [(line["loc"], refusal.fault) for line in lines if (refusal := _refused(line))]
    if len(refused) < len(lines):
        return invalid(model, error, subject)
    loc, fault = refused[0]
    texts = dict.fromkeys(str(other) for place, other in refused if _where(place) == _where(loc))  # those of a union
    text = "; ".join(texts)
    return type(fault)(f"{subject}: field '{_where(loc)}': {text}" if loc else text)


def invalid(model: type[BaseModel], error: ValidationError, subject: str) -> InvalidBlock:
    """One line for all that is wrong, `subject` first."""
    faults = []
    for line in error.errors(include_input=False, include_url=False):
        where = _where(line["loc"])
        if line["type"] == "extra_forbidden":
            name, above = str(line["loc"][-1]), _where(line["loc"][:-1])
            within = f"field '{above}': " if above else ""
            faults.append(f"{within}unknown field {shown(name)}{'' if above else _nearest(model, name)}")
        elif line["type"] == "missing":
            faults.append(f"field '{where}' is missing{_example(model, where)}")
        else:
            text = line["msg"].removeprefix("Value error, ")
            faults.append(f"field '{where}': {text}" if where else text)
    return InvalidBlock(f"{subject}: {'; '.join(faults)}")


def _where(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc if isinstance(part, int) or part.isidentifier())


def _nearest(model: type[BaseModel], field: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(field, model.model_fields, 1)
    return f", did you mean '{near[0]}'?" if near else f" (it has {', '.join(model.model_fields)})"


def _example(model: type[BaseModel], field: str) -> str:
    description = model.model_fields[field].description if field in model.model_fields else None
    return f" ({description.rstrip('.')})" if description else ""
