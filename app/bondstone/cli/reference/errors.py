"""The page of the errors, from their classes."""

import re
from collections.abc import Iterator

from bondstone.blocks import errors as of_blocks
from bondstone.cli.reference import NOTICE, cell
from bondstone.registry import BondstoneError
from bondstone.registry import errors as of_registry

_INTRODUCTION = """# Errors

All derive from `BondstoneError` and are imported from `bondstone.blocks`. `code` is for machines and is never renamed.
The exit code is that of the command line.

| code | class | is also | exit code | what happened | what to do |
| --- | --- | --- | --- | --- | --- |
"""


def pages() -> dict[str, str]:
    """One page for all."""
    classes = sorted({*_classes(of_registry), *_classes(of_blocks)}, key=lambda cls: (cls.exit_code, cls.__name__))
    return {"errors.md": NOTICE + _INTRODUCTION + "".join(map(_row, classes))}


def _classes(module: object) -> Iterator[type[BondstoneError]]:
    for found in vars(module).values():
        if isinstance(found, type) and issubclass(found, BondstoneError):
            yield found


def _row(cls: type[BondstoneError]) -> str:
    also = ", ".join(f"`{base.__name__}`" for base in cls.__bases__ if base not in (BondstoneError, Exception))
    what = cell((cls.__doc__ or "").partition("\n\n")[0])
    return f"| `{cls.code}` | `{cls.__name__}` | {also} | {cls.exit_code} | {what} | {_remedy(cls)} |\n"


def _remedy(cls: type[BondstoneError]) -> str:
    """As the tree at the head of `bondstone.registry.errors` says it; what is not there is mended as its base is."""
    for base in cls.__mro__:
        if found := re.search(rf"^[ │]*[├└]── {base.__name__} +(\S.*)$", of_registry.__doc__ or "", re.MULTILINE):
            return cell(found[1])
    return "read the line"
