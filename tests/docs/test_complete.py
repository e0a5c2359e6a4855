"""The page of the command line leaves out no command, option or error code."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from bondstone.blocks import errors
from bondstone.cli import faults
from bondstone.cli.commands import app
from bondstone.registry import BondstoneError

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
COMMANDS = dict(get_command(app).commands)  # type: ignore[attr-defined]
ROW = re.compile(r"^\| (\d+) \| (?:`(\w+)`)? ?\|", re.MULTILINE)


def error_classes(base: type[BondstoneError] = BondstoneError) -> Iterator[type[BondstoneError]]:
    """All of ours; those that a test defines are left out."""
    yield base
    for derived in base.__subclasses__():
        if derived.__module__.startswith("bondstone."):
            yield from error_classes(derived)


def section(command: str) -> str:
    return PAGE.partition(f"\n## {command}\n")[2].partition("\n## ")[0]


def test_every_command_has_its_heading_and_no_other_is_there() -> None:
    """In the order of the help."""
    headings = re.findall(r"^## ([a-z-]+)$", PAGE, re.MULTILINE)

    assert headings == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example_session(command: str) -> None:
    """And its section names every option but those that all have."""
    below = getattr(COMMANDS[command], "commands", {})
    params = [parameter for one in (COMMANDS[command], *below.values()) for parameter in one.params]
    options = {option for parameter in params for option in parameter.opts if option.startswith("--")}

    missing = [option for option in options - {"--help", "--json"} if option not in section(command)]

    assert f"$ bondstone {command}" in section(command)
    assert not missing
    assert not [name for name in below if f"$ bondstone {command} {name}" not in section(command)]


def test_every_error_code_has_its_row() -> None:
    """With its exit code; and no row is of a code that is not raised."""
    assert errors.InvalidClass in set(error_classes())

    rows = {(int(exit_code), code) for exit_code, code in ROW.findall(PAGE) if code}

    assert rows == {(error.exit_code, error.code) for error in error_classes()}


def test_every_other_exit_code_has_its_row() -> None:
    """Those of the program itself."""
    own = {value for name, value in vars(faults).items() if name.isupper() and isinstance(value, int)}

    rows = {int(exit_code) for exit_code, _ in ROW.findall(PAGE)}

    assert own | {0} <= rows
