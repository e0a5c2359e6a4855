"""The program as a whole: set-up, checks, exit codes, and what it leaves to others."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from bondstone.blocks import Block, Secret
from bondstone.cli.faults import exit_code_and_line
from bondstone.registry import BondstoneError, current_registry
from bondstone.registry.keys import make_key_file
from tests.app.program import COMMANDS, PROGRAM, SENTINEL, Ended, bondstone, on_a_terminal
from tests.docs.test_complete import error_classes

Cli = Callable[..., Ended]
COLOUR = "\x1b\\[[0-9;]*3[0-7]"
KEY_MISSING, WRONG_KEY, KEY_EXPOSED, UNAVAILABLE, BUG, OUTPUT, PIPE_CLOSED = 11, 12, 13, 16, 70, 74, 141


def test_first_steps(home: Path, data: Path, key_path: Path) -> None:
    """On a new machine: init makes registry and key apart from each other, once, and says where they are."""
    first, second = bondstone("init"), bondstone("init", "--max-ttl", "60")

    assert (first.code, second.code) == (0, 0)
    assert first.out == f"registry\t{data}\nkey\t{key_path}\nmax_ttl\t300 s\n"
    assert "back it up" in first.err
    assert second.err == ""
    assert "max_ttl\t60 s" in second.out
    assert key_path.stat().st_mode & 0o777 == 0o600
    assert data.parent != key_path.parent


def break_key(kind: str, key_path: Path) -> None:
    if kind == "exposed":
        key_path.chmod(0o644)
        return
    key_path.unlink()
    if kind == "wrong":
        make_key_file(key_path)


@pytest.mark.parametrize(
    ("kind", "code", "told"),
    [
        ("missing", KEY_MISSING, "no key file at"),
        ("wrong", WRONG_KEY, "wrong key: expected k"),
        ("exposed", KEY_EXPOSED, "chmod 600"),
    ],
)
def test_what_is_wrong_with_the_key(key_path: Path, kind: str, code: int, told: str) -> None:
    """Told before anything is read or written, by every command and by doctor."""
    Secret(value=SENTINEL).save("x")
    break_key(kind, key_path)

    for arguments in (["show", "secret/x"], ["save", "secret/y", "value=-"], ["ls"], ["init"]):
        ended = bondstone(*arguments, stdin=b"v")
        assert (ended.code, ended.out) == (code, "")
        assert told in ended.err
    checked = bondstone("doctor")

    assert checked.code == 1
    assert "fail\t" in checked.out
    assert Block.names() == ["secret/x"]  # this process has the right key still


def test_a_registry_that_cannot_be_made(home: Path, tmp_path: Path) -> None:
    """The path leads through a file: one line, nothing else."""
    (tmp_path / "file").touch()

    ended = bondstone("init", BONDSTONE_REGISTRY=f"sqlite:///{tmp_path}/file/registry.db")

    assert ended.code == UNAVAILABLE
    assert "Not a directory" in ended.err
    assert "Traceback" not in ended.err


def test_another_kind_of_url_is_not_echoed(home: Path) -> None:
    """It may hold a password."""
    ended = bondstone("ls", BONDSTONE_REGISTRY=f"mysql://me:{SENTINEL}@host/db")

    assert ended.code == 8
    assert SENTINEL not in ended.err


def test_doctor_before_there_is_anything(cli: Cli, home: Path) -> None:
    """No registry yet is no failure: it says how to get one."""
    ended = cli("doctor")

    assert ended.code == 0
    assert "bondstone init" in ended.out
    assert list(home.iterdir()) == []


def test_doctor_finds_nothing_wrong(cli: Cli, home: Path) -> None:
    """In order: every line is ok or, for what this machine lacks, a warning about it; also as JSON."""
    Secret(value="v").save("x")

    ended, objects = cli("doctor"), json.loads(cli("doctor", "--json").out)

    assert ended.code == 0
    assert "ok\tblocks\t1, and every version opens" in ended.out
    assert {finding["check"] for finding in objects} >= {"bondstone", "registry", "folder", "max_ttl", "blocks", "key"}


def test_doctor_finds_a_cut_version(cli: Cli, data: Path) -> None:
    """An older version that nobody loads is opened too, and named."""
    for value in "ab":
        Secret(value=value).save("x", overwrite=True)
    with sqlite3.connect(data) as raw:
        raw.execute("UPDATE versions SET sealed = substr(sealed, 1, 90) WHERE version = 1")
    raw.close()

    ended = cli("doctor")

    assert ended.code == 1
    assert "secret/x@1" in ended.out


def test_doctor_tells_of_a_key_in_the_environment(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process started from here inherits it; it is not shown."""
    monkeypatch.setenv("BONDSTONE_PASSPHRASE", SENTINEL)
    cli("init")

    ended = cli("doctor")

    assert "warn\tkey\tpassphrase from BONDSTONE_PASSPHRASE" in ended.out
    assert SENTINEL not in ended.out


def test_doctor_tells_of_a_key_beside_the_data(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever copies the folder has both."""
    cli("init")
    key = home / ".local/share/bondstone/key"
    (home / ".config/bondstone/key").rename(key)
    monkeypatch.setenv("BONDSTONE_KEY_FILE", str(key))

    assert "beside the data" in cli("doctor").out


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_help_has_an_example(cli: Cli, command: tuple[str, ...]) -> None:
    """And each example is one of that command."""
    ended = cli(*command, "--help")

    example = ended.out.partition("Example:\n")[2].partition("\n\n")[0]
    lines = [line.strip() for line in example.splitlines()]
    assert ended.code == 0
    assert lines
    assert all(f"bondstone {' '.join(command)}" in line for line in lines if line.startswith("bondstone"))
    assert lines[0].startswith("bondstone ")


def test_help_and_version(cli: Cli) -> None:
    """Without a command there is help; the version is one line."""
    assert cli().out.rstrip() == cli("--help").out.rstrip()
    assert all(f"  {command[0]} " in cli("--help").out for command in COMMANDS)
    assert cli("--version").out.startswith("bondstone ")


def test_colours_are_for_terminals_only(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe gets none, whatever is set; a terminal gets them unless NO_COLOR says no. Also in the help."""
    for arguments in (["--help"], ["doctor"]):
        monkeypatch.delenv("NO_COLOR", raising=False)
        coloured, piped = on_a_terminal(*arguments), bondstone(*arguments, FORCE_COLOR="1", CLICOLOR_FORCE="1")
        monkeypatch.setenv("NO_COLOR", "1")
        plain = on_a_terminal(*arguments)

        assert re.search(COLOUR, coloured.out)
        assert not re.search(COLOUR, plain.out)
        assert "\x1b" not in piped.out + piped.err


ERRORS: list[type[BondstoneError]] = sorted(error_classes(), key=lambda error: error.code + error.__name__)


@pytest.mark.parametrize("error", ERRORS)
def test_each_error_code_has_its_exit_code(error: type[BondstoneError]) -> None:
    """It is the class's own, one for what a caller would do; the line is the error's text."""
    assert exit_code_and_line(error("text")) == (error.exit_code, "text")
    assert error.exit_code in {1, *range(3, 64)}  # 2 is for usage, from 64 on there are sysexits.h and signals


def test_errors_that_ask_for_different_things_differ() -> None:
    """A script can tell them apart by the exit code."""
    codes = defaultdict[int, set[str]](set)
    for error in ERRORS:
        codes[error.exit_code].add(error.code)

    assert [same for same in codes.values() if len(same) > 1] == [{"invalid_block", "invalid_class"}]


LISTINGS = [
    ["ls"],
    ["history", "secret/x"],
    ["types"],
    ["types", "secret"],
    ["audit"],
    ["audit", "verify"],
    ["key", "ls"],
]


@pytest.mark.parametrize("arguments", [*LISTINGS, ["key", "check"], ["doctor"], ["show", "secret/x"]], ids=" ".join)
def test_every_listing_has_json(cli: Cli, home: Path, arguments: list[str]) -> None:
    """One document, and nothing else on standard output."""
    Secret(value=SENTINEL).save("x")

    ended = cli(*arguments, "--json")

    assert ended.code == 0
    assert json.loads(ended.out)
    assert SENTINEL not in ended.out


def test_a_bug_shows_its_type_and_place_only(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A foreign error's text, and the locals around it, may hold anything."""

    def broken(**_: object) -> None:
        raise RuntimeError(SENTINEL)

    monkeypatch.setattr("bondstone.cli.kinds.catalog", broken)

    ended = cli("types")

    assert ended.code == BUG
    assert "unexpected " in ended.err
    assert SENTINEL not in ended.err
    assert ended.err.count("\n") == 1


def test_a_reader_that_leaves_is_no_error(home: Path) -> None:
    """`bondstone types --json | head -0` ends quietly, as if by SIGPIPE."""
    with subprocess.Popen([*PROGRAM, "types", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stderr
        child.stdout.close()
        said = child.stderr.read()

    assert (child.returncode, said) == (PIPE_CLOSED, b"")


@pytest.mark.skipif(sys.platform != "linux", reason="has no /dev/full")
def test_output_that_is_lost_is_told(home: Path) -> None:
    """A full disk behind standard output is an error, not silence."""
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([*PROGRAM, "types"], stdout=full, stderr=subprocess.PIPE, timeout=60)

    assert ended.returncode == OUTPUT
    assert b"cannot write the output" in ended.stderr


def test_a_poor_terminal_gets_all(home: Path) -> None:
    """What its encoding lacks is spelt out."""
    ended = bondstone("types", "git-credentials", PYTHONIOENCODING="ascii")

    assert ended.code == 0
    assert "\\u2026" in ended.out


@pytest.mark.skipif(sys.platform != "linux", reason="is read from /proc")
def test_the_process_keeps_to_itself(home: Path) -> None:
    """While it waits for a secret, it leaves no core, and others of the same user cannot look into it."""
    Secret(value="v").save("x")
    with subprocess.Popen(
        [*PROGRAM, "save", "secret/x", "value=-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        deadline = time.monotonic() + 30
        while _soft_core_limit(child.pid) != "0" and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.1)
        owner = os.stat(f"/proc/{child.pid}/environ").st_uid  # noqa: PTH116
        child.communicate(b"", timeout=30)

    assert owner == 0  # root's, whoever runs it: the mark of a process that cannot be dumped


def _soft_core_limit(pid: int) -> str:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line.split()[4] for line in lines if line.startswith("Max core"))


def test_a_warning_is_one_line(home: Path) -> None:
    """A field that the class no longer has is told without the place in our source."""
    content = {"schema_version": 1, "fields": {"value": "v", "gone": 1}}
    current_registry(create=True).save("secret", "x", json.dumps(content).encode())

    ended = bondstone("show", "secret/x")

    assert ended.code == 0
    assert ended.err.startswith("bondstone: warning: secret/x: Secret has no field gone")
    assert ended.err.count("\n") == 1


def test_ctrl_c_is_130(home: Path) -> None:
    """While it waits for an answer."""
    assert on_a_terminal("rm", "secret/x", answers=("\x03",)).code == 130


def test_a_password_on_the_command_line_is_refused(home: Path) -> None:
    """Others on the machine can read arguments; the refusal does not repeat it."""
    Secret(value="x").save("x")

    ended = bondstone("copy", "--to", f"postgresql+psycopg://me:{SENTINEL}@127.0.0.1:9/db")

    assert ended.code == 2
    assert "PGPASSFILE" in ended.err
    assert SENTINEL not in ended.out + ended.err
