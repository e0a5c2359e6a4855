"""The examples run as a reader would run them."""

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
import xarray as xr

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


CRASHES = """
import os, runpy, sys
from pathlib import Path
from bondstone.integrations import icechunk


class Crashing(icechunk.IcechunkAppend):
    def __call__(self, dataset, /, **words):
        receipt = super().__call__(dataset, **words)
        if "20150201" in words["key"] and not Path("failed").exists():
            Path("failed").touch()
            raise ConnectionError("the network went after the commit had landed: Prefect tries again")
        if "20150301" in words["key"] and not Path("died").exists():
            Path("died").touch()
            os._exit(9)  # with no word to Prefect
        return receipt


icechunk.IcechunkAppend = Crashing
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_the_months_of_nemo_are_appended_once_whatever_crashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that fails and a process that dies, each after its commit has landed; a retry and two more runs: three time steps."""
    monkeypatch.chdir(tmp_path)
    paths = sorted(str(path) for path in Path(str(files("iris_sample_data"))).glob("sample_data/NEMO/*.nc"))
    with s3_server(tmp_path / "server") as server, prefect_home(tmp_path):
        save_blocks(server)
        argv = [sys.executable, "-c", CRASHES, str(EXAMPLES / "append_nemo.py"), *paths]

        first = subprocess.run(argv, capture_output=True, text=True, timeout=120)
        second = subprocess.run(argv, capture_output=True, text=True, timeout=120)
        third = run("append_nemo.py", *paths)

        repository = icechunk.connect("ocean")
        history = [(commit.message, commit.id) for commit in repository.ancestry(branch="main")][:-1]
        dataset = xr.open_zarr(repository.readonly_session("main").store, group="nemo", consolidated=False)
        assert (first.returncode, second.returncode) == (9, 0), first.stderr + second.stderr
        assert Path("failed").exists()
        assert [message for message, _ in history] == [f"Append {Path(path).name}" for path in reversed(paths)]
        assert second.stdout.split() == third.split() == [snapshot for _, snapshot in reversed(history)]
        assert [str(time)[:7] for time in dataset.time_centered.values] == ["2015-01", "2015-02", "2015-03"]
        assert dataset.tos.shape == (3, 330, 360)


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
