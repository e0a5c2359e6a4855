"""The command line, run in this process: a twentieth of the time of a process of its own."""

from collections.abc import Callable

import pytest

from bondstone.cli.program import run
from tests.app.program import Ended


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs one command without a terminal."""

    def call(*arguments: str) -> Ended:
        capsys.readouterr()
        code = run(arguments)
        return Ended(code, *capsys.readouterr())

    return call
