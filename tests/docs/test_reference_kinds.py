"""`docs/reference/kinds.md` is what the classes say, not what they once said."""

from pathlib import Path

import pytest

from bondstone.blocks import catalog
from bondstone.blocks.describe import fields_of
from bondstone.cli.reference import kinds

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
OURS = {kind: block for kind, block in catalog().items() if block.__module__.startswith("bondstone.blocks.")}


def section(kind: str) -> str:
    return (FOLDER / "kinds.md").read_text().partition(f"\n## {kind}\n")[2].partition("\n## ")[0]


def test_the_page_is_what_is_committed() -> None:
    """If it is not, run `make reference`."""
    for path, text in kinds.pages().items():
        assert (FOLDER / path).read_text() == text


@pytest.mark.parametrize("kind", OURS)
def test_every_kind_and_field_has_its_place(kind: str) -> None:
    """With what marks it: required, secret."""
    rows = [line.split(" | ") for line in section(kind).splitlines() if line.startswith("| `")]

    assert [row[0] for row in rows] == [f"| `{field.name}`" for field in fields_of(OURS[kind])]
    assert [("secret" in row[2], "required" in row[2]) for row in rows] == [
        (field.secret, field.required) for field in fields_of(OURS[kind])
    ]
