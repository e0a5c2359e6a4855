"""The watcher of all tests finds what is planted, and does not repeat it."""

from pathlib import Path

import pytest

PROGRAM = """
import logging
import sys

import pytest

from bondstone.blocks import Secret

@pytest.mark.parametrize("where", ["stdout", "stderr", "log", "file", "name", "nowhere"])
def test_planted(where, tmp_path):
    token = Secret(value=f"a-planted-{where}").get()
    if where in ("stdout", "stderr"):
        print(token, file=getattr(sys, where))
    if where == "log":
        logging.getLogger("x").warning(token.encode().hex())
    if where == "file":
        (tmp_path / "below").mkdir()
        (tmp_path / "below/a.bin").write_bytes(bytes(10) + token.encode("utf-16-le"))
    if where == "name":
        (tmp_path / token).touch()

@pytest.mark.shows_secrets("a.*")
@pytest.mark.parametrize("name", ["a.env", "b.env"])
def test_allowed(name, tmp_path):
    (tmp_path / name).write_text(Secret(value="a-planted-secret").get())
"""


def test_what_is_planted_is_found(pytester: pytest.Pytester) -> None:
    """In each place, by the test that left it; a test that says so may."""
    pytester.makepyfile(PROGRAM)

    result = pytester.runpytest_subprocess("-p", "tests.leaks.watch", "-p", "no:cacheprovider", "--strict-markers")

    result.assert_outcomes(passed=8, errors=6)
    found = [line for line in result.outlines if line.startswith("a secret shows in ")]
    assert found == [
        "a secret shows in stdout (raw)",
        "a secret shows in stderr (raw)",
        "a secret shows in log (hex)",
        "a secret shows in a.bin (utf-16-be), a.bin (utf-16-le)",
        "a secret shows in the name of a-planted-name (raw)",
        "a secret shows in b.env (raw)",
    ]


def root() -> Path:
    """Of the checkout, which the program needs on its path."""
    return Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(root()))
