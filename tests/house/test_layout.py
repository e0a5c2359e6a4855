"""What must stay true of the repository itself, whatever is built in it."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOP = Path(__file__).parents[2]
ROOTS = [TOP / name for name in ("app", "blocks", "integrations", "registry")]
LOCKS = ["requirements.lock", "requirements-ministack.lock", "requirements-airflow.lock"]


def git(*arguments: str) -> list[str]:
    """The lines that git prints."""
    return subprocess.run(["git", *arguments], cwd=TOP, capture_output=True, text=True).stdout.splitlines()


def files() -> Iterator[Path]:
    """All that is tracked, or would be by `git add .`."""
    paths = (TOP / line for line in git("ls-files", "--cached", "--others", "--exclude-standard"))
    return (path for path in paths if path.is_file())


def parts() -> list[Path]:
    """The folders that hold one part each of the namespace package, such as `registry/bondstone/registry`."""
    inside = (path for root in ROOTS for path in (root / "bondstone").iterdir())
    return [path for path in inside if path.is_dir() and path.name != "__pycache__"]


def pins(lock: str) -> dict[str, str]:
    """The entries of a lock file by name: each a pin, and the lines that belong to it."""
    text = (TOP / lock).read_text()
    entries = re.findall(r"^[^\s#].*\n(?:[ \t].*\n)*", text, re.MULTILINE)
    return {re.split(r"[^\w.-]", entry, maxsplit=1)[0]: entry for entry in entries}


def requirements() -> Iterator[Requirement]:
    """What `pyproject.toml` asks for, in all extras and for development."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    optional = project["project"]["optional-dependencies"].values()
    asked = [project["project"]["dependencies"], *optional, project["dependency-groups"]["dev"]]
    every = (Requirement(line) for lines in asked for line in lines)
    return (requirement for requirement in every if requirement.name != "bondstone")


def test_the_namespace_package_has_no_init() -> None:
    """No folder `bondstone` holds an `__init__.py`; with one, type checkers lose the other parts."""
    found = [path for path in files() if path.match("**/bondstone/__init__.py")]

    assert not found


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.name)
def test_a_source_root_holds_only_bondstone(root: Path) -> None:
    """A module beside `bondstone` would be importable under a top-level name of its own."""
    found = {path.relative_to(root).parts[0] for path in files() if path.is_relative_to(root)}

    assert found == {"bondstone"}


def test_each_part_is_a_typed_package() -> None:
    """A `py.typed` stands in every part; without it a user's type checker ignores our annotations."""
    untyped = [part for part in parts() if not (part / "py.typed").is_file()]
    loose = [path for root in ROOTS for path in (root / "bondstone").iterdir() if path.is_file()]

    assert not untyped
    assert not loose


def test_no_file_says_where_to_download_from() -> None:
    """Each machine fetches packages from where its own configuration says; no file here may decide that."""
    address = re.compile(r"https?://\S+/simple\b|index-url[ =\"']+\w+:/|files\.pythonhosted|/packages/\w\w/\w\w/")

    found = [path for path in files() if address.search(path.read_text(errors="replace"))]

    assert not found


def test_uv_lock_stays_out() -> None:
    """`uv.lock` records download addresses: it is ignored and not tracked."""
    assert git("check-ignore", "--no-index", "uv.lock") == ["uv.lock"]
    assert git("ls-files", "uv.lock") == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash(lock: str) -> None:
    """Set-up installs only files that it knows: each entry is one exact version with at least one hash."""
    loose = [entry for entry in pins(lock).values() if "==" not in entry or "--hash=sha256:" not in entry]

    assert pins(lock)
    assert not loose


def test_the_lock_file_keeps_up_with_pyproject() -> None:
    """Whatever `pyproject.toml` asks for, `requirements.lock` pins; if it does not, run `make lock`."""
    locked = {name: entry.split("==")[1].split()[0] for name, entry in pins("requirements.lock").items()}

    missing = [
        str(requirement)
        for requirement in requirements()
        if not requirement.specifier.contains(locked.get(canonicalize_name(requirement.name), "0"))
    ]

    assert not missing


def test_ci_runs_make_test_and_nothing_else() -> None:
    """What passes here passes there: `.ci/run` goes to the top of the checkout and runs `make test`."""
    lines = (TOP / ".ci" / "run").read_text().splitlines()

    commands = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]

    assert commands == ["make test"]


def test_the_wheel_holds_the_four_parts(tmp_path: Path) -> None:
    """Built by way of the sdist, the wheel holds every source file of the four parts, and nothing else."""
    sources = {path.relative_to(root).as_posix() for root in ROOTS for path in files() if path.is_relative_to(root)}

    build = [sys.executable, "-m", "uv", "build", "--quiet", "--offline", "--no-build-isolation"]
    subprocess.run([*build, "--python", sys.executable, "--out-dir", tmp_path], cwd=TOP, check=True)

    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as sdist:
        tops = {name.split("/")[1] for name in sdist.getnames()}
    assert inside == sources
    assert ".venv" not in tops
