"""`bondstone render`: only the strings with references in them are replaced, so comments and form stay."""

from pathlib import Path
from typing import Any

from bondstone.blocks.resolving import Resolver
from bondstone.cli import output, readable
from bondstone.cli.faults import Usage
from bondstone.cli.private_file import write_private
from bondstone.cli.rendering import Format, Span, env, json, toml
from bondstone.registry import BondstoneError
from bondstone.registry.names import SCHEME, shown


def render(file: Path, out: Path | None, *, force: bool) -> None:
    if out is not None and out.exists() and out.samefile(file):
        raise Usage("--out is the file itself, whose references would be lost: name another one")
    text = rendered(readable.text(file), file)
    if out is None:
        output.emit_bytes(text.encode())
    else:
        write_private(out, text, force=force)


def rendered(text: str, file: Path) -> str:
    """`text` with the values of its references, in the format that the name of `file` says. Raises what `resolve` raises."""
    form = _format(file)
    resolver = Resolver()
    spans = [(span, _value(span, resolver, text, file)) for span in form.spans(text, file) if SCHEME in span.value]
    done = text
    for span, value in sorted(spans, key=lambda one: one[0].start, reverse=True):
        done = done[: span.start] + _written(form, value, span, text, file) + done[span.end :]
    if spans and not form.agrees(text, done, {span.start: value for span, value in spans}):
        raise Usage(f"{shown(file.name)}: a reference stands where no value can: put it in quotes, as a value")
    return done


def _format(file: Path) -> Format:
    if file.name.startswith(".env") or file.suffix == ".env":
        return env.FORMAT
    if file.suffix in (".yaml", ".yml"):
        from bondstone.cli.rendering import yaml

        return yaml.FORMAT
    if file.suffix not in (".toml", ".json"):
        raise Usage("a file to render ends with .yaml, .yml, .toml, .json or .env")
    return toml.FORMAT if file.suffix == ".toml" else json.FORMAT


def _value(span: Span, resolver: Resolver, text: str, file: Path) -> Any:
    try:
        return resolver(span.value)
    except BondstoneError as error:
        fault = type(error)(f"{_line(span, text, file)}: {error}")
    raise fault


def _written(form: Format, value: Any, span: Span, text: str, file: Path) -> str:
    try:
        return form.write(value, span)
    except BondstoneError as error:
        fault = type(error)(f"{_line(span, text, file)}: {error}")
    raise fault


def _line(span: Span, text: str, file: Path) -> str:
    return f"{shown(file.name)}: line {text.count('\n', 0, span.start) + 1}"
