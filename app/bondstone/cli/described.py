"""Blocks described in files: what the files say, with secrets from where they may come."""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bondstone.blocks import Block, InvalidBlock, InvalidName, find
from bondstone.blocks.describe import Field, fields_of
from bondstone.blocks.resolving import Resolver
from bondstone.cli import readable, strict_yaml
from bondstone.cli.faults import Usage
from bondstone.cli.references import whole
from bondstone.registry import BondstoneError, Reference
from bondstone.registry.names import SCHEME, check_name, shown

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_URI = re.compile(rf"{SCHEME}[^\s{{}}]+")
_WAYS = '${VARIABLE}, "@file" or bondstone://kind/name#field'


class Described(NamedTuple):
    """One block of a file, not yet made."""

    reference: Reference
    fields: Mapping[str, yaml.Node]
    place: str  # file and line, for errors
    path: Path


class Files(NamedTuple):
    """What all the files say."""

    blocks: dict[Reference, Described]
    prefixes: tuple[str, ...]


def read(paths: Sequence[Path]) -> Files:
    """All blocks of all files. Raises `Usage` for a block that is described twice, and what is no such file."""
    blocks: dict[Reference, Described] = {}
    prefixes = []
    for path in paths:
        prefix, described = _file(path)
        prefixes += [prefix] if prefix else []
        for block in described:
            if block.reference in blocks:
                raise Usage(f"{block.place}: {block.reference} is described in {blocks[block.reference].place} too")
            blocks[block.reference] = block
    return Files(blocks, tuple(prefixes))


def _file(path: Path) -> tuple[str, list[Described]]:
    node = strict_yaml.document(path)
    top = dict(strict_yaml.entries(node, path)) if node else {}
    if "blocks" not in top or top.keys() - {"blocks", "prefix"}:
        raise Usage(
            f"{shown(path.name)}: at the top stands 'blocks', and 'prefix' if names are to be pruned; nothing else"
        )
    prefix = _prefix(top["prefix"], path) if "prefix" in top else ""
    nodes = {} if strict_yaml.text(top["blocks"]) is None else dict(strict_yaml.entries(top["blocks"], path))
    blocks = [_described(name, node, path) for name, node in nodes.items()]
    for block in blocks:
        if not block.reference.name.startswith(prefix):
            raise Usage(f"{block.place}: {block.reference} is not below the prefix '{prefix}' of its file")
    return prefix, blocks


def _prefix(node: yaml.Node, path: Path) -> str:
    prefix = strict_yaml.text(node)
    if not isinstance(prefix, str) or not prefix.endswith("/"):
        raise Usage(f"{strict_yaml.where(node, path)}: a prefix ends with '/', such as team/")
    check_name(prefix.removesuffix("/"))
    return prefix


def _described(name: str, node: yaml.Node, path: Path) -> Described:
    place = strict_yaml.where(node, path)
    reference = _at(place, lambda: whole(name))
    fields = {} if strict_yaml.text(node) is None else dict(strict_yaml.entries(node, path))
    return Described(Reference(reference.kind, reference.name), fields, place, path)


def _at[T](place: str, call: Callable[[], T]) -> T:
    """What `call` gives; its error with the place in front. Nothing of its frames is kept."""
    try:
        return call()
    except BondstoneError as error:
        fault = type(error)(f"{place}: {error}")
    raise fault


def needs(described: Described) -> set[Reference]:
    """The blocks that must be there first: its parts, and those whose values it takes."""
    kind = _at(described.place, lambda: find(described.reference.kind))
    found: list[Reference] = []
    for field in fields_of(kind):
        if field.name in described.fields:
            found += _at(described.place, partial(_named, field, described.fields[field.name]))
    return {Reference(one.kind, one.name) for one in found if one.version is None}


def _named(field: Field, node: yaml.Node) -> list[Reference]:
    value = strict_yaml.data(node)
    if field.holds_blocks:
        items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else (value,)
        return [_part(field, item) for item in items if item is not None]
    return [Reference.parse(uri) for text in _texts(value) for uri in _URI.findall(text)]


def _part(field: Field, value: Any) -> Reference:
    """The block that a field names. What is no reference is not shown: it may be the secret itself."""
    if isinstance(value, str):
        with suppress(InvalidName):
            return Reference.parse(value)
    raise InvalidBlock(
        f"field '{field.name}' takes references, such as aws-credentials/prod: describe the block in it by itself"
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(item)


def made(described: Described, parts: Mapping[Reference, Block], resolver: Resolver) -> Block:
    """The block, with `parts` for the references to blocks that are described too. Raises `InvalidBlock` and what `resolve` raises."""

    def make() -> Block:
        kind = find(described.reference.kind)
        known = {field.name: field for field in fields_of(kind)}
        values = {}
        for name, node in described.fields.items():
            if name in known:
                values[name] = _Value(known[name], described, parts, resolver).of(node)
            else:
                values[name] = None  # which the block refuses, with the nearest name that it has
        return kind(**values)

    return _at(described.place, make)


class _Value:
    """The value of one field."""

    def __init__(
        self, field: Field, described: Described, parts: Mapping[Reference, Block], resolver: Resolver
    ) -> None:
        self._field, self._described, self._parts, self._resolver = field, described, parts, resolver

    def of(self, node: yaml.Node) -> Any:
        value = strict_yaml.data(node) if self._field.structured or self._field.holds_blocks else strict_yaml.text(node)
        if self._field.holds_blocks:
            return self._block(value)
        return self._read(value)

    def _block(self, value: Any) -> Any:
        """References are live, so they stay what they are, or are what stands in these files."""
        if value is None:
            return value
        if isinstance(value, dict) and self._field.structured:
            return {key: self._block(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._block(item) for item in value]
        reference = _part(self._field, value)
        return self._parts.get(reference, reference)

    def _read(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._read(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._read(item) for item in value]
        if isinstance(value, str):
            return self._text(value)
        if self._field.secret and value is not None:
            self._in_clear()
        return value

    def _text(self, text: str) -> Any:
        variable = _VARIABLE.fullmatch(text)
        if variable:
            if not os.environ.get(variable[1]):
                raise InvalidBlock(f"field '{self._field.name}': the variable {variable[1]} is not set, or empty")
            return os.environ[variable[1]]
        if text.startswith("@"):
            return self._file(text[1:])
        if SCHEME in text:
            return self._resolver(text)
        if self._field.secret:
            self._in_clear()
        return text

    def _file(self, name: str) -> str | bytes:
        """Relative to the folder of the description. Text loses one line end, as in `save`."""
        from bondstone.cli.fields import decoded

        content = readable.content(self._described.path.parent / Path(name).expanduser())
        if not content:
            raise InvalidBlock(f"field '{self._field.name}': {shown(name)} is empty")
        return decoded(self._field, content, f"field '{self._field.name}'")

    def _in_clear(self) -> None:
        raise InvalidBlock(
            f"field '{self._field.name}' is a secret, and stands in clear in the file: write {_WAYS}; if it was the real one, replace it"
        )
