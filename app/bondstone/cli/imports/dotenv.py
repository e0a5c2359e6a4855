"""Variables of a .env file."""

from collections.abc import Iterator
from pathlib import Path

from bondstone.cli.envfile import variables
from bondstone.cli.imports import Form, Found
from bondstone.registry.names import SCHEME


def found(path: Path) -> Iterator[Found]:
    """Each variable, as a Secret."""
    for name, value in variables(path).items():
        if not value or SCHEME in value:
            yield Found(name, name, problem="is a reference already" if value else "is empty")
        else:
            yield Found(name, name, (Form("secret", {"value": value}),))
