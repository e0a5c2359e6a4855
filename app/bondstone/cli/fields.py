"""The FIELD arguments of `save`, and where their values come from."""

import json
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from bondstone.blocks import Block, InvalidBlock, InvalidName, Reference
from bondstone.blocks.describe import Field, fields_of
from bondstone.cli.ask import ask, at_terminal
from bondstone.registry.registry import MAX_DOCUMENT


class Given(NamedTuple):
    """One FIELD argument."""

    field: Field
    text: str | None  # None: to be asked for

    @property
    def source(self) -> str:
        if self.text is None:
            return "prompt"
        return "stdin" if self.text == "-" else "file" if self.text.startswith("@") else "inline"


def collect(kind: type[Block], words: list[str]) -> dict[str, Any]:
    """The fields that `words` give, and on a terminal the secrets that are missing. Raises `InvalidBlock`."""
    fields = fields_of(kind)
    given = _parsed(kind.kind, fields, words)
    given += _missing(kind.kind, fields, {one.field.name for one in given})
    values = ((one.field.name, _value(kind.kind, one)) for one in given)
    return {name: value for name, value in values if value is not None}


def some(kind: type[Block], words: list[str]) -> dict[str, Any]:
    """The fields that `words` give, and no others. Raises `InvalidBlock`."""
    given = _parsed(kind.kind, fields_of(kind), words)
    return {one.field.name: _value(kind.kind, one) for one in given}


def answer(kind: str, field: Field, choices: Sequence[str] = ()) -> Any:
    """What is answered at a prompt, where @FILE is read too; None for an optional field that is skipped. Raises `InvalidBlock`."""
    text = ask(field, choices)
    if text is None:
        return None
    subject = f"{kind}: field '{field.name}'"
    if text.startswith("@"):
        return _typed(field, decoded(field, _read(Given(field, text), subject), subject), subject)
    return _typed(field, text, subject)


def _missing(kind: str, fields: list[Field], named: set[str]) -> list[Given]:
    """The secrets to ask for."""
    missing = [field for field in fields if field.secret and field.required and field.name not in named]
    if missing and not at_terminal():
        name, description = missing[0].name, missing[0].description.rstrip(".")
        raise InvalidBlock(f"{kind}: field '{name}' is missing ({description}): give {name}=@FILE or {name}=-")
    return [Given(field, None) for field in missing]


def _parsed(kind: str, fields: list[Field], words: list[str]) -> list[Given]:
    by_name = {field.name: field for field in fields}
    cut = [word.partition("=") for word in words]
    given = [Given(by_name[name], text if equals else None) for name, equals, text in cut if name in by_name]
    _no_secret_inline(kind, given)
    for name, _, _ in cut:
        if name not in by_name:
            raise InvalidBlock(f"{kind}: {_unknown(name, list(by_name))}")
    for one in given:
        _check(kind, one, given)
    return given


def _no_secret_inline(kind: str, given: list[Given]) -> None:
    """Comes before all other faults: this one takes more than typing it again."""
    for name in (one.field.name for one in given if one.field.secret and one.source == "inline"):
        raise InvalidBlock(
            f"{kind}: '{name}' is a secret, and a command line is read by others and kept by the shell: give {name}=@FILE, "
            f"{name}=- (standard input), or '{name}' alone to be asked; if that was the real value, clear the shell's history"
        )


def _check(kind: str, one: Given, given: list[Given]) -> None:
    name = one.field.name
    if sum(other.field.name == name for other in given) > 1:
        raise InvalidBlock(f"{kind}: field '{name}' is given more than once")
    if one.source == "stdin" and sum(other.source == "stdin" for other in given) > 1:
        raise InvalidBlock(f"{kind}: only one field can be read from standard input")
    if one.source == "prompt" and not at_terminal():
        raise InvalidBlock(f"{kind}: '{name}' cannot be asked for without a terminal: give {name}=- or {name}=@FILE")


def _unknown(name: str, names: list[str]) -> str:
    """Without the name: who forgets `value=` has put the secret there."""
    near = get_close_matches(name, names, 1)
    return f"unknown field, did you mean '{near[0]}'?" if near else f"unknown field; it has {', '.join(names)}"


def _value(kind: str, one: Given) -> Any:
    """What the block is made of; None for an optional field that was skipped at the prompt."""
    subject = f"{kind}: field '{one.field.name}'"
    if one.text is None:
        return answer(kind, one.field)
    if one.source == "stdin" and one.field.secret and at_terminal():  # as it is, also if it begins with @
        text = ask(one.field)
        return text if text is None else _typed(one.field, text, subject)
    if one.source == "inline":
        return _typed(one.field, one.text, subject, inline=True)
    return _typed(one.field, decoded(one.field, _read(one, subject), subject), subject)


def _read(one: Given, subject: str) -> bytes:
    """At most as much as a registry takes, however much there is."""
    try:
        if one.source == "stdin":
            content = sys.stdin.buffer.read(MAX_DOCUMENT + 1) if sys.stdin else b""
        else:
            with _path(one.text or "").open("rb") as file:
                content = file.read(MAX_DOCUMENT + 1)
    except (OSError, ValueError, RuntimeError) as error:  # the last: ~nobody
        # Without the path: a secret may begin with @.
        reason = getattr(error, "strerror", None) or "not a path"
    else:
        return _measured(content, "standard input" if one.source == "stdin" else "the file after '@'", subject)
    raise InvalidBlock(  # here, where it holds nothing of the error, which has the path
        f"{subject}: cannot read the file after '@' ({reason}): give a file that you can read; "
        f"a value that begins with @ goes through {one.field.name}=-"
    )


def _measured(content: bytes, what: str, subject: str) -> bytes:
    if not content:
        raise InvalidBlock(f"{subject}: {what} is empty: did the program that was to write it fail?")
    if len(content) > MAX_DOCUMENT:
        raise InvalidBlock(
            f"{subject}: is larger than 1 MiB, the most that a block holds: keep it in a file or a bucket"
        )
    return content


def _path(text: str) -> Path:
    if text == "@":
        raise ValueError
    return Path(text[1:]).expanduser()


def decoded(field: Field, content: bytes, subject: str) -> str | bytes:
    """Text of one line loses the line end that editors and `echo` add. Of several, as in a PEM file, it belongs to the text."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        pass
    else:
        line = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
        return text if "\n" in line else line
    if field.binary:
        return content
    raise InvalidBlock(  # here, where it holds nothing of the error, which has the content
        f"{subject}: takes text in UTF-8, and this is none: is it the right file? A binary value goes into a secret block"
    )


def _typed(field: Field, text: str | bytes, subject: str, *, inline: bool = False) -> Any:
    """`text`, or the JSON in it if the field takes a list or a mapping; pydantic does the rest."""
    if field.holds_blocks and isinstance(text, str) and not field.structured:
        return _referred(field, text, subject)
    if not field.structured:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "all of it"
        fault = InvalidBlock(f"{subject}: takes JSON, such as {json.dumps(_example(field))}; this is none ({where})")
    else:
        if inline and field.holds_blocks and _nested(value):
            raise InvalidBlock(f"{subject}: takes references here, such as {json.dumps(_example(field))}")
        return value
    raise fault


def _referred(field: Field, text: str, subject: str) -> str:
    """`text`, if it is a reference; pydantic's way to say that it is not would not say what is."""
    try:
        return Reference.parse(text)
    except InvalidName:
        pass
    kinds = [f"{kind}/NAME" for kind in field.type.split(" | ") if kind not in ("any", "str")]
    raise InvalidBlock(f"{subject}: takes the name of a saved block: {' or '.join(kinds)}")


def _example(field: Field) -> Any:
    return field.examples[0] if field.examples else {}


def _nested(value: Any) -> bool:
    """Whether blocks are written out in it: their secrets would stand on the command line."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(isinstance(item, dict | list) for item in items)
