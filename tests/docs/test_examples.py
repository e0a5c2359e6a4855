"""The examples run as a reader would run them."""

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import icechunk as vendor
import pytest

from bondstone.blocks import AwsCredentials, IcechunkRepo, S3Bucket
from bondstone.cli.demo.prefect_home import prefect_home
from bondstone.cli.demo.server import S3Server, s3_server
from bondstone.integrations import icechunk
from bondstone.integrations.s3 import S3Download

EXAMPLES = Path(__file__).parents[2] / "examples"


def save_blocks(server: S3Server) -> None:
    server.create_user("examples")
    server.create_bucket("reports")
    key = server.create_key("examples")
    aws = AwsCredentials(access_key_id=key.access_key_id, secret_access_key=key.secret_access_key).save("prod")
    bucket = S3Bucket(bucket="reports", endpoint=server.endpoint, credentials=aws).save("reports")
    IcechunkRepo(bucket=bucket, prefix="ocean").save("ocean")


def run(name: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments], env=os.environ, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_prefect_example_commits_once_however_often_it_runs(tmp_path: Path) -> None:
    """Two runs of the same file make two commits, not four, and one table."""
    vendor.set_logs_filter("error")
    source = str(files("iris_sample_data") / "sample_data" / "ostia_monthly.nc")
    with s3_server(tmp_path / "server") as server, prefect_home(tmp_path):
        save_blocks(server)

        for _ in range(2):
            run("seasonal_averages.py", source, "surface_temperature")

        history = list(icechunk.connect("ocean").ancestry(branch="main"))
        table = S3Download("reports")("surface_temperature/seasonal.csv")
        assert [commit.message.split()[0] for commit in history] == ["Seasonal", "Monthly", "Repository"]
        assert isinstance(table, bytes)
        assert table.startswith(b"season,surface_temperature\nDJF,300.")


@pytest.mark.parametrize("seconds", [2])
def test_the_rotation_example_uploads_by_name(tmp_path: Path, seconds: int) -> None:
    """It prints a line a second, with the version of the credentials that signed."""
    with s3_server(tmp_path / "server") as server:
        save_blocks(server)

        printed = run("rotate_while_running.py", "reports", str(seconds))

        assert printed.count("s3://reports/heartbeat  aws-credentials/prod 1") == seconds


EDITIONS = "branch feature: edition 2\ntag v1:         edition 1\n"


def test_flow_code_from_git_in_plain_python() -> None:
    """As the page of engines shows it: the branch is followed, the tag stays."""
    assert run("flow_from_git.py", "--plain") == EDITIONS


@pytest.mark.slow
def test_flow_code_from_git_under_prefect() -> None:
    """With a server and a process worker of its own."""
    assert run("flow_from_git.py").endswith(EDITIONS)


@pytest.mark.slow
def test_the_work_pool_under_prefect_and_without() -> None:
    """The flow has the same values."""
    printed = run("work_pool.py")

    assert printed.startswith("values 7 ")
    assert run("work_pool.py", "--plain") == printed
