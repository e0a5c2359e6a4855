"""Which kinds there are: those of this folder, those of installed packages, those defined in this process."""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import distribution, entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING
from warnings import warn

import bondstone.blocks
from bondstone.blocks.errors import InvalidClass
from bondstone.registry import UnknownKind
from bondstone.registry.names import check_kind

if TYPE_CHECKING:
    from bondstone.blocks.block import Block

GROUP = "bondstone.blocks"
_classes: "dict[str, type[Block]]" = {}


def register(block: "type[Block]") -> None:
    """Note a class by its kind. A later definition takes the place of an earlier one (a notebook cell run twice), but not of ours."""
    known = _classes.get(check_kind(block.kind))
    ours = known is not None and known.__module__.startswith("bondstone.blocks.")
    if known is not None and ours and block.__module__ != known.__module__:
        raise InvalidClass(
            f"the kind '{block.kind}' is taken by {known.__module__}.{known.__name__}: set another kind = …"
        )
    _classes[block.kind] = block


def find(kind: str) -> "type[Block]":
    """The class of a kind. Imports no more than it must. Raises `UnknownKind`."""
    if check_kind(kind) not in _classes and own(kind) is None:
        for entry in entry_points(group=GROUP, name=kind):
            entry.load()
    if kind not in _classes:
        from difflib import get_close_matches

        near = get_close_matches(kind, catalog(), 1)
        hint = f"did you mean '{near[0]}'?" if near else "see 'bondstone types'"
        raise UnknownKind(f"unknown kind '{kind}': {hint}")
    return _classes[kind]


def own(kind: str) -> "type[Block] | None":
    """The class of a kind that needs no other package. Imports the modules of this folder, the likeliest first, until one defines it."""
    for module in sorted(_modules(tuple(bondstone.blocks.__path__)), key=lambda name: not kind.startswith(name)):
        if kind in _classes:
            break
        importlib.import_module(f"bondstone.blocks.{module}")
    return _classes.get(kind)


def catalog() -> "Mapping[str, type[Block]]":
    """Every kind and its class, by kind. A package whose entry point does not load is named in a warning."""
    own("")  # there is none, so all are imported
    for entry in entry_points(group=GROUP):
        if entry.name not in _classes:
            try:
                entry.load()
            except (ImportError, AttributeError, TypeError, ValueError) as error:
                warn(
                    f"block kind '{entry.name}' of {entry.value} cannot be loaded: {type(error).__name__}", stacklevel=2
                )
    return MappingProxyType(dict(sorted(_classes.items())))


def newer(block: "type[Block]") -> str:
    """What to do about a document that a newer version of this class wrote."""
    ours = block.__module__.startswith("bondstone.blocks.")
    entry = next(iter(entry_points(group=GROUP, name=block.kind)), None)
    package = distribution("bondstone") if ours else entry.dist if entry else None
    if package is None:
        return f"use the newer {block.__module__}"
    return f"install a newer {package.name} than {package.version}"


@lru_cache
def _modules(folders: tuple[str, ...]) -> list[str]:
    """The modules of this folder: a new kind is a new file and no other edit."""
    return [module.name for module in pkgutil.iter_modules(folders) if module.name != "testing"]
