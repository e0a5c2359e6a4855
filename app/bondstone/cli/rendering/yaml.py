"""YAML, of several documents too."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from bondstone.cli import strict_yaml
from bondstone.cli.rendering import Format, Span, plain, quoted

_ANCHOR_OR_TAG = re.compile(r"(?:[&!]\S*\s+)*")


def _spans(text: str, path: Path) -> Iterator[Span]:
    seen = set[int]()  # an alias is its anchor's node once more
    for node in strict_yaml.all_composed(text, path):
        for scalar in _scalars(node, seen):
            yield _span(scalar, text)


def _scalars(node: yaml.Node, seen: set[int]) -> Iterator[yaml.ScalarNode]:
    """Those that are values, not keys."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield node
    for item in node.value if isinstance(node, yaml.CollectionNode) else ():
        yield from _scalars(item[1] if isinstance(item, tuple) else item, seen)


def _span(node: yaml.ScalarNode, text: str) -> Span:
    start, end = node.start_mark.index, node.end_mark.index
    start += len(_ANCHOR_OR_TAG.match(text[start:end])[0])  # type: ignore[index]  # it matches nothing, too
    while node.style in ("|", ">") and text[end - 1 : end] in (
        "\n",
        "\r",
    ):  # the end of the line is not part of the value
        end -= 1
    return Span(start, end, node.value)


def _write(value: Any, span: Span) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)}: {_write(item, span)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_write(item, span) for item in value) + "]"
    return plain(value) or "null"


def _agrees(before: str, after: str, values: Mapping[int, Any]) -> bool:
    try:
        nodes = (list(yaml.compose_all(text, yaml.SafeLoader)) for text in (before, after))
        return all(_same(old, new, before, values) for old, new in zip(*nodes, strict=True))
    except (yaml.YAMLError, ValueError, RecursionError):
        return False


def _same(old: Any, new: Any, before: str, values: Mapping[int, Any]) -> bool:
    """Whether two nodes say the same but for the values."""
    if isinstance(old, tuple):
        return all(_same(one, other, before, values) for one, other in zip(old, new, strict=True))
    if isinstance(old, yaml.ScalarNode):
        start = _span(old, before).start
        if start in values:
            return bool(strict_yaml.data(new) == values[start])
    if type(old) is not type(new) or old.tag != new.tag:
        return False
    if isinstance(old, yaml.ScalarNode):
        return bool(old.value == new.value)
    return all(_same(one, other, before, values) for one, other in zip(old.value, new.value, strict=True))


FORMAT = Format(_spans, _write, _agrees)
