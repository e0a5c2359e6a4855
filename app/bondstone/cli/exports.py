"""`bondstone export`."""

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from bondstone.blocks import Block, InvalidBlock, find
from bondstone.blocks.describe import fields_of
from bondstone.blocks.resolving import Resolver, as_text
from bondstone.cli import output
from bondstone.cli.envfile import quoted
from bondstone.cli.faults import Usage
from bondstone.cli.private_file import write_private
from bondstone.registry import Reference


def dotenv(texts: Sequence[str], out: Path | None, *, reveal: bool, force: bool) -> None:
    """A line for each field of each block that has a value."""
    if reveal and out is None:
        raise Usage("--reveal writes secrets: add --out FILE, which gets mode 0600")
    references = [Reference.parse(text) for text in texts or Block.names()]
    lines: dict[str, str] = {}
    for name, reference in chain.from_iterable(map(_variables, references)):
        if name in lines:
            raise InvalidBlock(f"two of these blocks would be {name}: export them one by one")
        lines[name] = quoted(name, as_text(Resolver()(reference.uri))) if reveal else reference.uri
    text = "".join(f"{name}={value}\n" for name, value in lines.items())
    if out is None:
        output.emit(text)
    else:
        write_private(out, text, force=force)


def _variables(reference: Reference) -> Iterator[tuple[str, Reference]]:
    """The variables of a block: TOKEN for secret/token, PROD_ACCESS_KEY_ID and so on for aws-credentials/prod. Raises `NotFound`."""
    block = find(reference.kind).load(reference.name, reference.version)
    if reference.field is not None or reference.kind == "secret":
        yield _named(reference), reference
    else:
        for field in fields_of(type(block)):
            value = getattr(block, field.name)
            if value not in (None, "", {}, [], ()) and not field.holds_blocks:
                one = Reference(reference.kind, reference.name, reference.version, field.name)
                yield _named(one), one


def _named(reference: Reference) -> str:
    words = reference.name if reference.field in (None, "value") else f"{reference.name}_{reference.field}"
    name = re.sub(r"[^A-Za-z0-9]+", "_", words).upper()
    return f"_{name}" if name[0].isdigit() else name
