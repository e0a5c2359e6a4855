"""What `scripts/setup` says to someone whose machine lacks something."""

import os
import shutil
import subprocess
from pathlib import Path

SETUP = Path(__file__).parents[2] / "scripts" / "setup"


def run_setup(checkout: Path, python3: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of set-up in `checkout`, where `python3` is that shell script and there is no other."""
    programs = checkout / "programs"
    programs.mkdir()
    for name in ("cat", "cksum", "dirname", "head"):
        (programs / name).symlink_to(str(shutil.which(name)))
    (programs / "python3").write_text(f"#!/bin/sh\n{python3}\n")
    (programs / "python3").chmod(0o755)
    (checkout / "scripts").mkdir()
    shutil.copy(SETUP, checkout / "scripts")
    environment = {"PATH": os.fspath(programs), "HOME": os.fspath(checkout)}
    return subprocess.run(
        ["/bin/sh", "scripts/setup"],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=10,
    )


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    """The message says what was found, what is needed and how to get it; nothing is made."""
    old = 'if [ "$1" = --version ]; then echo Python 3.8.10; else exit 1; fi'

    ran = run_setup(tmp_path, python3=old)

    assert ran.returncode == 1
    assert "needs Python 3.12 or newer; python3 here is Python 3.8.10" in ran.stderr
    assert "apt-get install" in ran.stderr
    assert not (tmp_path / ".venv").exists()


def test_a_python_that_cannot_make_environments_says_what_to_install(tmp_path: Path) -> None:
    """Debian ships `venv` apart from Python; whoever lacks it learns the name of the package."""
    bare = 'case "$2" in *ensurepip*) exit 1 ;; *executable*) echo "$0" ;; esac'

    ran = run_setup(tmp_path, python3=bare)

    assert ran.returncode == 1
    assert "apt-get install python3-venv" in ran.stderr
    assert not (tmp_path / ".venv").exists()
