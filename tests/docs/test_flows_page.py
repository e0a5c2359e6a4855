"""The diffs of `docs/flows.md`: what they add is there to import, and the programs are there to run."""

import re

import pytest

from tests.docs.test_pages import ROOT, blocks

PAGE = ROOT / "docs/flows.md"
ADDED = [
    line[1:]
    for _, language, text in blocks(PAGE)
    if language == "diff"
    for line in text.splitlines()
    if line[:1] == "+"
]
IMPORTS = sorted({line for line in ADDED if re.match(r"(from|import) ", line)})


@pytest.mark.parametrize("line", IMPORTS)
def test_what_a_diff_adds_can_be_imported(line: str) -> None:
    """By those very words."""
    exec(line, {})


def test_each_flow_has_its_program_and_the_command() -> None:
    """Five sections, in each a diff, and a command that names the program of the section."""
    sections = PAGE.read_text().split("\n## ")[1:-1]

    programs = [re.findall(r"^`(examples/\w+\.py)`", section, re.MULTILINE) for section in sections]
    assert [len(found) for found in programs] == [1] * 5
    for (program,), section in zip(programs, sections, strict=True):
        assert (ROOT / program).is_file()
        assert "```diff" in section
        assert f"    python {program}" in section
        assert "--plain" in section
