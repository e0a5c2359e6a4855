"""The values that a scan looks for: those of the registered blocks."""

from collections.abc import Callable, Iterator

from bondstone.blocks import UnknownKind
from bondstone.blocks.finder import Finder, Secret
from bondstone.blocks.stored_secrets import stored_secrets
from bondstone.registry import Registry


def finder(registry: Registry, lost: Callable[[str, str], None]) -> Finder:
    """Made of what is current under every name; on record as one `look`. `lost` is told what does not open, or is of no known kind."""
    return Finder(_values(registry, lost))


def _values(registry: Registry, lost: Callable[[str, str], None]) -> Iterator[tuple[Secret, str | bytes]]:
    listed = {(item.kind, item.name): item.version for item in registry.list()}
    opened = set()
    for kind, name, content in registry.look_over(listed):
        opened.add((kind, name))
        try:
            for field, value in stored_secrets(kind, content):
                yield Secret(f"{kind}/{name}", listed[kind, name], field), value
        except (UnknownKind, ValueError, KeyError) as error:
            lost(f"{kind}/{name}", "no known kind" if isinstance(error, UnknownKind) else "not a block")
    for kind, name in sorted(listed.keys() - opened):
        lost(f"{kind}/{name}", "cannot be opened")
