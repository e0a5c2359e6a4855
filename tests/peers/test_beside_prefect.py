"""The table of docs/coming-from-prefect.md is what comes of doing it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers.beside_prefect import CASES, WITH_PREFECT, Bondstones, copied

PAGE = (Path(__file__).parents[2] / "docs/coming-from-prefect.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ")]


def said(case: str) -> tuple[str, str]:
    """What the page says came of it, with Prefect's and with ours."""
    (line,) = [line for line in ROWS if line.startswith(f"| {CASES[case]} | ")]
    _, _, theirs, ours, _ = (cell.strip() for cell in line.split("|"))
    return theirs, ours


@pytest.mark.parametrize("case", [case for case in CASES if case not in WITH_PREFECT])
def test_ours_is_as_the_page_says(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cases that need no Prefect, run each time."""
    monkeypatch.setenv("BONDSTONE_REGISTRY", f"sqlite:///{tmp_path}/registry.db")

    assert getattr(Bondstones(tmp_path), case)() == said(case)[1]


@pytest.mark.slow
def test_the_table_is_what_comes_of_it() -> None:
    """All of it, with a real Prefect and its server in a folder of their own, in a process of their own; half a minute."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.peers.beside_prefect"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=240,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in PAGE


def test_the_copy_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy that cannot be opened elsewhere holds the secret: with the key it can."""
    monkeypatch.setenv("BONDSTONE_REGISTRY", f"sqlite:///{tmp_path}/registry.db")
    ours = Bondstones(tmp_path)
    ours.save("a", "value")

    monkeypatch.setenv("BONDSTONE_REGISTRY", f"sqlite:///{copied(ours.database, tmp_path / 'copy.db')}")

    assert ours.secret.load("a").get() == "value"
