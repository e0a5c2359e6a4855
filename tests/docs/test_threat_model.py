"""Each promise of the threat model names the tests that attack it, and they are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text()
LEAKS = (ROOT / "docs" / "leaks.md").read_text()
PROMISES = [line for line in PAGE.partition("## What is promised")[2].splitlines() if line.startswith("| ")][2:]
NAME = re.compile(r"`(tests/[\w/]+\.py)?::(\w+)`")


def named(text: str) -> list[tuple[str, str]]:
    """File and name of each test; `::name` alone is in the file before."""
    found: list[tuple[str, str]] = []
    for file, name in NAME.findall(text):
        found.append((file or found[-1][0], name))
    return found


@pytest.mark.parametrize(("file", "name"), sorted(set(named(PAGE) + named(LEAKS))))
def test_the_named_test_exists(file: str, name: str) -> None:
    """In that file, as a test that runs by default or is marked slow."""
    source = (ROOT / file).read_text()

    assert re.search(rf"^ *(async )?def {name}\(", source, re.MULTILINE)
    assert not re.search(rf"xfail[^\n]*\n(@[^\n]*\n)*def {name}\(", source)


@pytest.mark.parametrize("file", ["test_attacks.py", "test_strays.py"])
def test_every_attack_is_named(file: str) -> None:
    """What attacks storage stands on the page, beside the promise that it tries to break."""
    file = f"tests/registry/{file}"
    attacks = re.findall(r"^def (test_\w+)\(", (ROOT / file).read_text(), re.MULTILINE)

    assert not set(attacks) - {name for where, name in named(PAGE) if where == file}


def test_every_promise_names_a_test() -> None:
    """None stands there by itself."""
    assert len(PROMISES) > 20
    assert not [line for line in PROMISES if not named(line)]
