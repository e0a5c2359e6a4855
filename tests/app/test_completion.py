"""Completion, asked as a shell asks, and by a real one."""

import os
import pty
import select
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bondstone.blocks import AwsCredentials, Secret
from tests.app.program import PROGRAM, bondstone

BASH = shutil.which("bash") or ""


@pytest.fixture
def saved(home: Path) -> None:
    Secret(value="v").save("token")
    Secret(value="v").save("dwh/password")
    AwsCredentials(profile="me").save("prod")


def complete(line: str, shell: str = "bash") -> list[str]:
    """What follows `line`, of which the last word is unfinished."""
    words = line.split(" ")
    asked = {
        "_BONDSTONE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    ended = bondstone(environment=asked)
    assert (ended.code, ended.err) == (0, "")
    return ended.out.split("\n")[:-1]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("bondstone sh", ["show"]),
        ("bondstone key rem", ["remove"]),
        ("bondstone types arraylake-t", ["arraylake-token"]),
        ("bondstone ls --kind ice", ["icechunk-repo"]),
        ("bondstone show s", ["secret/dwh/password", "secret/token"]),
        ("bondstone show secret/d", ["secret/dwh/password"]),
        ("bondstone history aws-credentials/", ["aws-credentials/prod"]),
        ("bondstone show aws-credentials/prod#sec", ["aws-credentials/prod#secret_access_key"]),
        ("bondstone save s3", ["s3-bucket/"]),
        ("bondstone save aws-credentials", ["aws-credentials/", "aws-credentials/prod"]),
        ("bondstone save s3-bucket/x b", ["bucket="]),
        ("bondstone save s3-bucket/x bucket=b pre", ["prefix="]),
        ("bondstone save s3-bucket/x bucket=b buc", []),
        ("bondstone save aws-credentials/x sec", ["secret_access_key"]),
        ("bondstone save s3-bucket/x credentials=", ["credentials=aws-credentials/prod"]),
        ("bondstone save s3-bucket/x credentials = aws", ["aws-credentials/prod"]),
        ("bondstone save s3-bucket/x credentials =", ["aws-credentials/prod"]),
        ("bondstone save s3-bucket/x bucket=@", []),
        ("bondstone save no-such-kind/x b", []),
        ("bondstone audit --ref aws", ["aws-credentials/prod"]),
        ("bondstone audit --li", ["--limit"]),
    ],
)
def test_what_may_follow(saved: None, line: str, words: list[str]) -> None:
    """Commands, options, kinds, saved names, fields of a kind, and the blocks that a field may hold."""
    assert [word for word in complete(line) if word] == words


def test_each_shell_is_told_in_its_way(saved: None) -> None:
    """zsh gets a command to evaluate, fish lines."""
    assert complete("bondstone show secret/t", "zsh") == ["_arguments '*: :((\"secret/token\"))'"]
    assert complete("bondstone show secret/t", "fish") == ["secret/token"]


def test_a_planted_name_is_not_completed(saved: None, data: Path) -> None:
    """A shell evaluates what it is given, and whoever can write the database chooses the names in it."""
    with sqlite3.connect(data) as raw:
        for name in ("token$(touch owned)", "token`touch owned`", "token'; touch owned; '", "token *", "token\nrm"):
            raw.execute("UPDATE heads SET name = ? WHERE name = 'token'", (name,))
            raw.commit()

            assert complete("bondstone show secret/t", "zsh") == ["_files"]

    raw.close()


def test_names_need_no_key(saved: None, key_path: Path) -> None:
    """Nothing is opened, so nothing is asked for, recorded or slow."""
    key_path.unlink()

    assert complete("bondstone show secret/t") == ["secret/token"]


@pytest.mark.parametrize(
    "registry",
    ["mysql://me:pw@host/db", "sqlite:////dev/null/x.db", "postgresql+psycopg://127.0.0.1:9/x", "sqlite:///FILE"],
)
def test_a_failure_is_silence(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: str) -> None:
    """In the middle of somebody's typing there is no place for an error, whatever is wrong with the registry."""
    (tmp_path / "file").write_text("no database")
    monkeypatch.setenv("BONDSTONE_REGISTRY", registry.replace("FILE", str(tmp_path / "file")))

    assert [word for word in complete("bondstone show s") if word] == []


def test_nonsense_from_a_shell_is_silence(home: Path) -> None:
    """Also where the shell's own variables are missing."""
    for word in ("complete_bash", "complete_nosuch", "x"):
        assert bondstone(environment={"_BONDSTONE_COMPLETE": word}) == (0, "", "")


@pytest.mark.skipif(not BASH, reason="has no bash")
@pytest.mark.parametrize(
    ("typed", "becomes"),
    [
        ("bondstone save s3\t", "bondstone save s3-bucket/"),
        ("bondstone show secret/to\t", "bondstone show secret/token "),
        ("bondstone save s3-bucket/x credentials=\t", "bondstone save s3-bucket/x credentials=aws-credentials/prod "),
        ("bondstone save s3-bucket/x buc\t", "bondstone save s3-bucket/x bucket="),
    ],
)
def test_tab_in_a_real_bash(saved: None, tmp_path: Path, typed: str, becomes: str) -> None:
    """What stands in the line after the key was pressed; where more is to come, without a space behind it."""
    program = tmp_path / "bondstone"
    program.write_text(f'#!/bin/sh\nexec {" ".join(PROGRAM)} "$@"\n')
    program.chmod(0o755)
    script = bondstone("completion", "bash").out
    (tmp_path / "rc").write_text(f"PATH={tmp_path}:$PATH\n{script}\nbind 'set enable-bracketed-paste off'; PS1='> '\n")

    assert line_in_bash(tmp_path / "rc", typed, becomes) == becomes


def line_in_bash(rc: Path, typed: str, awaited: str) -> str:
    """The line that an interactive bash has, after `typed` was typed; waits until it is `awaited`, or a while."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(
            BASH,
            [BASH, "--noprofile", "--rcfile", str(rc), "-i"],
            {**os.environ, "TERM": "dumb", "INPUTRC": "/dev/null"},
        )
    shown, sent, deadline = "", False, time.monotonic() + 30
    while time.monotonic() < deadline and not shown.endswith(f"> {awaited}"):
        if select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 4096).decode()
        if shown.endswith("> ") and not sent:
            sent = True
            os.write(terminal, typed.encode())
    os.close(terminal)
    os.waitpid(child, 0)
    return shown.rpartition("> ")[2]


def test_each_script_is_one_that_its_shell_reads(home: Path) -> None:
    """For bash by bash itself; each names the variable by which the program is asked."""
    for shell in ("bash", "zsh", "fish"):
        assert "_BONDSTONE_COMPLETE=complete_" + shell in bondstone("completion", shell).out
    if BASH:
        script = bondstone("completion", "bash").out
        subprocess.run([BASH, "--norc", "-n"], input=script, text=True, check=True, timeout=30)


def test_completion_imports_no_vendor(saved: None) -> None:
    """It runs at each press of a key."""
    code = (
        "import sys; from bondstone.cli import main\n"
        "import atexit; atexit.register(lambda: print(*sys.modules, file=sys.__stdout__))\nmain()"
    )
    environment = os.environ | {
        "_BONDSTONE_COMPLETE": "complete_bash",
        "COMP_WORDS": "bondstone\nshow\ns",
        "COMP_CWORD": "2",
    }

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment)

    loaded = {name.partition(".")[0] for name in ended.stdout.split()}
    assert "typer" in loaded
    assert not loaded & {"sqlalchemy", "alembic", "boto3", "obstore", "icechunk", "prefect", "asyncio"}
