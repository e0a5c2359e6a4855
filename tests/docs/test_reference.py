"""The generated pages are those that are committed."""

import subprocess
import sys
from pathlib import Path

from typer.main import get_command

from bondstone.cli.commands import app
from tests.docs.test_complete import error_classes

ROOT = Path(__file__).parents[2]
MAKE = [sys.executable, "-m", "bondstone.cli.reference"]


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MAKE, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)


def test_the_pages_are_up_to_date() -> None:
    """If this fails, run `make reference` and look at what changes."""
    done = make(ROOT, "--check")

    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_stale_is_found_and_made_anew(tmp_path: Path) -> None:
    """A page that was changed, one that is missing, and one that nothing makes any more."""
    folder = tmp_path / "docs" / "reference"
    folder.parent.mkdir()
    make(tmp_path)
    (folder / "cli.md").write_text((folder / "cli.md").read_text().replace("--json", "--jsn", 1))
    (folder / "errors.md").unlink()
    (folder / "gone.md").write_text("# Gone")

    found, again = make(tmp_path, "--check"), make(tmp_path)
    after = make(tmp_path, "--check")

    assert found.returncode == 1
    assert [line.split()[0] for line in found.stderr.splitlines()] == [
        f"docs/reference/{name}.md" for name in ("cli", "errors", "gone")
    ]
    assert (again.returncode, after.returncode) == (0, 0)


def test_the_pages_are_the_same_everywhere(tmp_path: Path) -> None:
    """Whatever the width and the colours of the terminal."""
    (tmp_path / "docs").mkdir()
    environment = {"COLUMNS": "40", "FORCE_COLOR": "1", "TERMINAL_WIDTH": "40", "HOME": str(tmp_path)}
    subprocess.run(MAKE, cwd=tmp_path, env=environment, check=True, timeout=60)

    for page in (ROOT / "docs" / "reference").rglob("*.md"):
        assert (tmp_path / page.relative_to(ROOT)).read_text() == page.read_text()


def test_every_command_and_error_code_is_in_them() -> None:
    """And every option of each command."""
    commands = (ROOT / "docs/reference/cli.md").read_text()
    errors = (ROOT / "docs/reference/errors.md").read_text()

    assert not [error.code for error in error_classes() if f"| `{error.code}` | " not in errors]
    for name, command in dict(get_command(app).commands).items():  # type: ignore[attr-defined]
        section = commands.partition(f"\n## bondstone {name}\n")[2].partition("\n## bondstone ")[0]
        options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
        assert section
        assert not [option for option in options if option not in section]
