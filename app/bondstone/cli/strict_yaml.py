"""YAML as written: no key twice, no value changed on the way (1.10 stays 1.10, no stays no), errors without the text."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from bondstone.cli import readable
from bondstone.cli.faults import Usage
from bondstone.registry.names import shown

_CORE = re.compile(
    r"(?P<none>~|null|Null|NULL|)|(?P<bool>true|false)|(?P<int>[-+]?[0-9]+)|(?P<float>[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?)"
)


def document(path: Path) -> yaml.Node | None:
    """The one document in the file; None if there is nothing in it. Raises `Usage`."""
    nodes = all_composed(readable.text(path), path)
    if len(nodes) > 1:
        raise Usage(f"{where(nodes[1], path)} is not YAML of one document")
    return _checked(nodes[0], path) if nodes else None


def _checked(node: yaml.Node, path: Path, above: tuple[yaml.Node, ...] = ()) -> yaml.Node:
    """The same, after a look at every mapping in it: no key twice, no key that is no text. Nothing holds itself."""
    if any(node is one for one in above):
        raise Usage(f"{where(node, path)}: this holds itself")
    seen = set[str]()
    for item in node.value if isinstance(node, yaml.CollectionNode) else ():
        if isinstance(item, tuple):
            _checked_key(item[0], seen, path)
        _checked(item[1] if isinstance(item, tuple) else item, path, (*above, node))
    return node


def _checked_key(key: yaml.Node, seen: set[str], path: Path) -> None:
    if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
        raise Usage(f"{where(key, path)}: a key is a text here")
    if key.value in seen:
        raise Usage(f"{where(key, path)}: {shown(key.value)} is there twice")
    seen.add(key.value)


def all_composed(text: str, path: Path) -> list[yaml.Node]:
    """The documents in a text. Raises `Usage` without a piece of it."""
    try:
        return list(yaml.compose_all(text, yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:  # its text shows a piece of the file
        mark, problem = error.problem_mark or error.context_mark, error.problem or ""
        line = mark.line + 1 if mark else 1
        hint = " (a value that begins with @ stands in quotes)" if "'@'" in problem else ""
    except yaml.reader.ReaderError as error:
        line, hint = text.count("\n", 0, error.position) + 1, " (it has a character that cannot stand there)"
    raise Usage(f"{shown(path.name)}: line {line} is not YAML{hint}")


def entries(node: yaml.Node, path: Path) -> Iterator[tuple[str, yaml.Node]]:
    """The entries of a mapping of a `document`. Raises `Usage` for anything else."""
    if not isinstance(node, yaml.MappingNode):
        raise Usage(f"{where(node, path)}: a mapping belongs here (name: value)")
    yield from ((key.value, value) for key, value in node.value)


def text(node: yaml.Node) -> Any:
    """A scalar as its text, None for null; lists and mappings as `data`."""
    if not isinstance(node, yaml.ScalarNode):
        return data(node)
    return None if node.style is None and node.value in ("", "~", "null", "Null", "NULL") else node.value


def data(node: yaml.Node) -> Any:
    """Values with the types of YAML 1.2's core schema."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: data(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [data(item) for item in node.value]
    found = _CORE.fullmatch(node.value) if isinstance(node, yaml.ScalarNode) and node.style is None else None
    if found is None:
        return node.value
    return _CONVERT[found.lastgroup or "none"](node.value)


_CONVERT: dict[str, Callable[[str], Any]] = {
    "none": lambda _: None,
    "bool": lambda text: text == "true",
    "int": int,
    "float": float,
}


def where(node: yaml.Node, path: Path) -> str:
    """The file and the line."""
    return f"{shown(path.name)}: line {node.start_mark.line + 1}"
