"""`bondstone run`."""

import os
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from bondstone.blocks import InvalidBlock
from bondstone.blocks.errors import bare
from bondstone.blocks.resolving import Resolver, as_text
from bondstone.cli import child
from bondstone.registry import BondstoneError, current_registry
from bondstone.registry.names import SCHEME, shown
from bondstone.registry.providers import is_address

_STDOUT, _STDERR = 1, 2
_KEYS = ("BONDSTONE_KEY", "BONDSTONE_PASSPHRASE", "BONDSTONE_TOKEN")


def run(command: Sequence[str], files: Sequence[Path], *, keep_key: bool, mask: bool | None) -> int:
    """Run a program with the values of references in its environment; its exit code.

    `mask`: its output and errors, neither (False), or by default its errors where nobody looks at them: there logs go.
    """
    given = _given(files)
    environment = os.environ | given
    if not keep_key:
        environment = without_keys(environment)
    resolved = with_values(environment, strict=given)
    if resolved != environment:
        current_registry().close()  # the loads are on record before the program runs, and no connection stays open beside it
    return child.run(command, resolved, _masked(mask) if resolved != environment else ())


def _masked(mask: bool | None) -> tuple[int, ...]:
    if mask is None:
        return () if os.isatty(_STDERR) else (_STDERR,)
    return (_STDOUT, _STDERR) if mask else ()


def _given(files: Sequence[Path]) -> dict[str, str]:
    """What the files say, the later over the earlier."""
    given: dict[str, str] = {}
    for file in files:
        from bondstone.cli.envfile import variables

        given |= variables(file)
    return given


def without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """Without what opens the registry. The address of a key, such as ``aws-kms:ARN``, is no key."""
    return {name: value for name, value in environment.items() if name not in _KEYS or is_address(value)}


def with_values(environment: Mapping[str, str], strict: Container[str] = ()) -> dict[str, str]:
    """With the values of references. Raises what `resolve` raises, with the name of the variable.

    Where a variable merely speaks of a reference inside a text, that is an error for those in `strict`. Others may be anybody's: shells and
    test runners put what you typed into variables.
    """
    resolver = Resolver()
    return {
        name: _value(resolver, name, text) if _concerned(text) or (name in strict and SCHEME in text) else text
        for name, text in environment.items()
    }


def _concerned(text: str) -> bool:
    return text.startswith(SCHEME) or f"${{{SCHEME}" in text


def _value(resolver: Resolver, name: str, text: str) -> str:
    try:
        value = as_text(resolver(text))
        if "\0" not in value:
            return value
        del value  # a frame with a value in it must not be in the traceback
        fault: BondstoneError = InvalidBlock(f"{shown(name)}: holds a NUL, which an environment cannot")
    except BondstoneError as error:
        fault = type(error)(f"{shown(name)}: {error}")
    raise bare(fault)
