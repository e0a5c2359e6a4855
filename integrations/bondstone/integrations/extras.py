"""Optional packages, imported where they are needed and asked for by the name of their extra."""

import importlib
from typing import Any

from bondstone.blocks import MissingExtra


def need(module: str, extra: str) -> Any:
    """The module. Raises `MissingExtra`, which tells what to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.partition(".")[0] != error.name.partition(".")[0]:
            raise
    raise MissingExtra(f"{module.partition('.')[0]} is not installed: pip install 'bondstone[{extra}]'")
