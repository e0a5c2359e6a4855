"""The FIELD arguments of `save`, and where their values come from."""

import json
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from bondstone.blocks import Block, InvalidBlock
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
    """The fields that `words` give, and on a terminal those that it takes to be asked for. Raises `InvalidBlock`."""
    fields = fields_of(kind)
    if not words and at_terminal():
        sys.stderr.write(f"{kind.kind}: Enter leaves out what is optional.\n")
        given = [Given(field, None) for field in fields]
    else:
        given = _parsed(kind.kind, fields, words)
        given += _missing(kind.kind, fields, {one.field.name for one in given})
    values = ((one.field.name, _value(kind.kind, one)) for one in given)
    return {name: value for name, value in values if value is not None}


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
    if one.text is None or (one.source == "stdin" and one.field.secret and at_terminal()):
        text = ask(one.field)
        return text if text is None else _typed(one.field, text, subject)
    if one.source == "inline":
        return _typed(one.field, one.text, subject, inline=True)
    return _typed(one.field, decoded(one.field, _read(one, subject), subject), subject)


def _read(one: Given, subject: str) -> bytes:
    """At most a little more than a registry takes, which then refuses it."""
    try:
        if one.source == "stdin":
            content = sys.stdin.buffer.read(MAX_DOCUMENT + 1) if sys.stdin else b""
        else:
            with Path((one.text or "")[1:]).expanduser().open("rb") as file:
                content = file.read(MAX_DOCUMENT + 1)
    except (OSError, ValueError, RuntimeError) as error:  # the last: ~nobody
        # Without the path: a secret may begin with @.
        reason = getattr(error, "strerror", None) or "not a path"
        raise InvalidBlock(f"{subject}: cannot read the file after '@' ({reason})") from None
    if not content and one.source == "stdin":
        raise InvalidBlock(f"{subject}: standard input is empty")
    return content


def decoded(field: Field, content: bytes, subject: str) -> str | bytes:
    """Text loses one line end, which editors and `echo` add; bytes stay as they are."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        if field.binary:
            return content
        raise InvalidBlock(f"{subject}: is not text in UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _typed(field: Field, text: str | bytes, subject: str, *, inline: bool = False) -> Any:
    """`text`, or the JSON in it if the field takes a list or a mapping; pydantic does the rest."""
    if not field.structured:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        raise InvalidBlock(f"{subject}: takes JSON, such as {json.dumps(_example(field))}") from None
    if inline and field.holds_blocks and _nested(value):
        raise InvalidBlock(f"{subject}: takes references here, such as {json.dumps(_example(field))}")
    return value


def _example(field: Field) -> Any:
    return field.examples[0] if field.examples else {}


def _nested(value: Any) -> bool:
    """Whether blocks are written out in it: their secrets would stand on the command line."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(isinstance(item, dict | list) for item in items)
