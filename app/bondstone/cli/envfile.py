"""Files of variables in dotenv syntax, read as python-dotenv reads them; but a line that it would skip is an error."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from bondstone.blocks import InvalidBlock
from bondstone.cli import readable
from bondstone.cli.faults import Usage
from bondstone.registry.names import shown


def variables(path: Path) -> dict[str, str]:
    """The variables of a file, in its order; ``${NAME}`` in a value is that variable, as python-dotenv has it. Raises `Usage`."""
    text = readable.text(path)
    for _ in bindings(text, path):
        pass
    return {name: value for name, value in dotenv_values(stream=StringIO(text)).items() if value is not None}


def bindings(text: str, path: Path) -> Iterator[Binding]:
    """Its lines, and what they say. Raises `Usage` at one that is no variable, comment or empty line."""
    for binding in parse_stream(StringIO(text)):
        if binding.error or (binding.key is not None and "\0" in binding.key + (binding.value or "")):
            line = binding.original.line + len(binding.original.string) - len(binding.original.string.lstrip("\n"))
            raise Usage(f"{shown(path.name)}: line {line} is not NAME=value")
        yield binding


def quoted(name: str, value: str) -> str:
    """`value` in single quotes, in which python-dotenv knows two escapes. Raises `InvalidBlock` for what it would change all the same."""
    if "\0" in value or "${" in value:
        raise InvalidBlock(f"{shown(name)}: has a NUL or '${{' in it, which a .env file cannot say: keep the reference")
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
