"""`bondstone mask`: a runner is told each value, exactly; nobody else is."""

import os
import subprocess
from pathlib import Path

import pytest

from bondstone.blocks import AwsCredentials, S3Bucket, Secret
from tests.app.program import PROGRAM, SENTINEL, bondstone, on_a_terminal

USAGE, NOT_FOUND, INVALID_NAME = 2, 3, 6
RUNNER = {"GITHUB_ACTIONS": "true"}
PEM = "-----BEGIN PRIVATE KEY-----\r\nMIIEvQIBADANBgkqhk\nshort\n-----END PRIVATE KEY-----\n"


def unescaped(line: str) -> str:
    """As the runner reads the data of a command. Source: actions/runner, `ActionCommand.UnescapeData`."""
    for escaped, character in (("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        line = line.replace(escaped, character)
    return line


class TestWhatARunnerIsTold:
    """Commands, and nothing else."""

    @pytest.mark.parametrize("value", [SENTINEL, "50%0A-of-%25-it", " spaces, ä€😀 ", "::add-mask::x"])
    def test_a_value_arrives(self, value: str) -> None:
        """Exactly, whatever is in it."""
        Secret(value=value).save("x")

        ended = bondstone("mask", "secret/x", environment=RUNNER)

        assert (ended.code, ended.err) == (0, "")
        (line,) = ended.out.splitlines()
        assert line.startswith("::add-mask::")
        assert unescaped(line.removeprefix("::add-mask::")) == value

    @pytest.mark.parametrize(
        ("value", "lines"), [(PEM, ["MIIEvQIBADANBgkqhk"]), ("a = first\nb\r\nc = last\n", ["a = first", "c = last"])]
    )
    def test_lines(self, value: str, lines: list[str]) -> None:
        """One by one, as they stand in a log; not those that would be found in other texts."""
        Secret(value=value).save("x")

        ended = bondstone("mask", "secret/x", environment=RUNNER)

        assert ended.out.splitlines() == [f"::add-mask::{line}" for line in lines]

    def test_blocks_and_those_in_them(self) -> None:
        """Each secret once, and no plain field."""
        keys = AwsCredentials(access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key="a" * 40).save("prod")
        S3Bucket(bucket="reports", credentials=keys).save("reports")
        Secret(value={"user": "somebody", "pin": 123456789}).save("x")

        told = bondstone("mask", "s3-bucket/reports", "aws-credentials/prod", "secret/x", environment=RUNNER).out

        assert sorted(told.splitlines()) == [f"::add-mask::{value}" for value in ("123456789", "a" * 40, "somebody")]

    def test_bytes(self) -> None:
        """If they are text."""
        Secret(value=SENTINEL.encode()).save("x")
        Secret(value=b"\xff" + SENTINEL.encode()).save("y")

        assert bondstone("mask", "secret/x", "secret/y", environment=RUNNER).out == f"::add-mask::{SENTINEL}\n"


class TestNobodyElse:
    """Is told anything."""

    @pytest.mark.parametrize("environment", [{}, {"GITHUB_ACTIONS": "false"}, {"GITLAB_CI": "true"}])
    def test_no_runner(self, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        """As on a machine of one's own, or on GitLab."""
        monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
        Secret(value=SENTINEL).save("x")

        ended = bondstone("mask", "secret/x", environment=environment)

        assert (ended.code, ended.out) == (USAGE, "")
        assert "no runner of GitHub Actions" in ended.err

    def test_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Somebody looks at it."""
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        Secret(value=SENTINEL).save("x")

        ended = on_a_terminal("mask", "secret/x")

        assert ended.code == USAGE
        assert SENTINEL not in ended.out

    def test_a_file(self, tmp_path: Path) -> None:
        """The values would stay in it."""
        Secret(value=SENTINEL).save("x")
        argv = [*PROGRAM, "mask", "secret/x"]

        with (tmp_path / "out").open("w") as out:
            ended = subprocess.run(argv, stdout=out, stderr=subprocess.PIPE, env=os.environ | RUNNER, timeout=60)

        assert ended.returncode == USAGE
        assert (tmp_path / "out").read_bytes() == b""

    @pytest.mark.parametrize(
        ("name", "code"), [("secret/none", NOT_FOUND), ("secret/x#value", INVALID_NAME), ("secret/short", USAGE)]
    )
    def test_all_or_nothing(self, name: str, code: int) -> None:
        """A step that asked for what cannot be masked fails, before the first line."""
        Secret(value="1234567").save("short")
        Secret(value=SENTINEL).save("x")
        names = [name] if "short" in name else ["secret/x", name]

        ended = bondstone("mask", *names, environment=RUNNER)

        assert (ended.code, ended.out) == (code, "")
        assert "1234567" not in ended.err
