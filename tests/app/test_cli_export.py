"""`bondstone export`: references for everybody, values for a private file."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from dotenv import dotenv_values

from bondstone.blocks import AwsCredentials, S3Bucket, Secret
from tests.app.program import SENTINEL, Ended, bondstone

pytestmark = pytest.mark.shows_secrets("*.env")  # files that the tests hand in, or ask for

Cli = Callable[..., Ended]
USAGE, INVALID_BLOCK, NOT_FOUND, ACCESS_DENIED, SERVICE = 2, 7, 3, 17, 18


def did(ended: Ended) -> dict[str, tuple[str, str]]:
    """What became of each, and under which name."""
    assert SENTINEL not in ended.out + ended.err
    rows = [row.split("\t") for row in ended.out.splitlines()]
    return {source: (action, to) for action, source, to, _ in rows}


@pytest.fixture
def saved(home: Path) -> None:
    Secret(value=f"{SENTINEL} '\"\\ # $x\nä").save("prod/api-token")
    aws = AwsCredentials(access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key=SENTINEL).save("prod")
    S3Bucket(bucket="reports", credentials=aws).save("reports")


@pytest.mark.usefixtures("saved")
def test_references_are_exported(cli: Cli) -> None:
    """One for each field that has a value; a block inside has its own."""
    assert cli("export", "dotenv").out.splitlines() == [
        "PROD_ACCESS_KEY_ID=bondstone://aws-credentials/prod#access_key_id",
        "PROD_SECRET_ACCESS_KEY=bondstone://aws-credentials/prod#secret_access_key",
        "REPORTS_BUCKET=bondstone://s3-bucket/reports#bucket",
        "REPORTS_PATH_STYLE=bondstone://s3-bucket/reports#path_style",
        "REPORTS_ANONYMOUS=bondstone://s3-bucket/reports#anonymous",
        "PROD_API_TOKEN=bondstone://secret/prod/api-token",
    ]
    assert (
        cli("export", "dotenv", "secret/prod/api-token@1").out == "PROD_API_TOKEN=bondstone://secret/prod/api-token@1\n"
    )


@pytest.mark.usefixtures("saved")
def test_what_is_exported_runs(cli: Cli, tmp_path: Path) -> None:
    """There and back: `run --env-file` gives the values, and `import dotenv` of the values is what is there."""
    (tmp_path / "my.env").write_text(cli("export", "dotenv").out)

    ended = bondstone("run", "--env-file", f"{tmp_path}/my.env", "--", "printenv", "PROD_API_TOKEN")

    assert ended.out == f"{SENTINEL} '\"\\ # $x\nä\n"


@pytest.mark.usefixtures("saved")
def test_values_are_exported_to_a_private_file_alone(cli: Cli, tmp_path: Path) -> None:
    """Mode 0600 whatever was there; python-dotenv reads the values back exactly. Never to the standard output."""
    out = tmp_path / "out.env"
    out.write_text("old")
    out.chmod(0o644)

    bare = cli("export", "dotenv", "--reveal")
    ended = cli("export", "dotenv", "--reveal", "--out", str(out))

    assert (bare.code, bare.out) == (USAGE, "")
    assert (ended.code, ended.out) == (0, "")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    values = dotenv_values(out)
    assert values["PROD_API_TOKEN"] == f"{SENTINEL} '\"\\ # $x\nä"
    assert (values["PROD_SECRET_ACCESS_KEY"], values["REPORTS_PATH_STYLE"]) == (SENTINEL, "false")
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out.env"]


@pytest.mark.usefixtures("saved")
def test_git_is_not_to_see_them(cli: Cli, tmp_path: Path) -> None:
    """A file with values does not lie in a work tree, unless that is meant."""
    (tmp_path / "work/.git").mkdir(parents=True)
    (tmp_path / "work/deep").mkdir()
    export = ("export", "dotenv", "--reveal", "--out", str(tmp_path / "work/deep/.env"))

    refused, forced = cli(*export), cli(*export, "--force")

    assert refused.code == USAGE
    assert "Git" in refused.err
    assert forced.code == 0


def test_what_cannot_be_exported(cli: Cli, tmp_path: Path) -> None:
    """A value that a .env file cannot say, two variables of one name, a block that is not there, a folder that is not."""
    Secret(value=f"{SENTINEL}${{x}}").save("odd")
    Secret(value="1").save("a-b")
    Secret(value="2").save("a.b")
    out = ("--reveal", "--out", f"{tmp_path}/x")

    odd, twice, none = (
        cli("export", "dotenv", "secret/odd", *out),
        cli("export", "dotenv"),
        cli("export", "dotenv", "secret/none"),
    )
    nowhere = cli("export", "dotenv", "secret/a-b", "--reveal", "--out", f"{tmp_path}/no/x")

    assert (odd.code, twice.code, none.code, nowhere.code) == (INVALID_BLOCK, INVALID_BLOCK, NOT_FOUND, USAGE)
    assert SENTINEL not in odd.err
    assert not (tmp_path / "x").exists()
