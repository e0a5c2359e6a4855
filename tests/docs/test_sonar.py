"""The conversion of a sonar's file, with echopype itself: the raw file and the result lie on a real S3 server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from bondstone.blocks import AwsCredentials, S3Bucket
from bondstone.cli.demo.hunt import hunt
from bondstone.cli.demo.prefect_home import prefect_home
from bondstone.cli.demo.server import S3Server, s3_server
from bondstone.integrations.s3 import S3Download, S3List, S3Upload
from tests.docs.sonar_file import PINGS, POWER, SAMPLES, write
from tests.docs.test_examples import EXAMPLES, save_blocks

NAME = "x-D20200913-T122640"
ZARR = [f"s3://reports/converted/{NAME}.zarr/", f"1 {PINGS} {SAMPLES}"]
READABLE = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::open/*"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    """With the file in `s3-bucket/reports`."""
    with s3_server(tmp_path / "server") as running:
        save_blocks(running)
        write(tmp_path / f"{NAME}.raw")
        S3Upload("reports")(tmp_path / f"{NAME}.raw", key=f"cruise/{NAME}.raw")
        yield running


def run(folder: Path, *arguments: str) -> list[str]:
    """The lines that the example prints of its own, in a folder where nothing is left behind."""
    folder.mkdir()
    command = [sys.executable, str(EXAMPLES / "sonar.py"), *arguments]
    done = subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []
    return done.stdout.splitlines()[-2:]


def test_by_a_block(server: S3Server, tmp_path: Path) -> None:
    """The Zarr is a folder in the bucket, from which echopype opens it."""
    printed = run(tmp_path / "cwd", f"s3://reports/cruise/{NAME}.raw", "EK60", "--source", "reports", "--plain")

    assert printed == ZARR
    assert any(item.key.endswith("zarr.json") for item in S3List("reports")(prefix=f"converted/{NAME}.zarr"))


def test_anonymously(server: S3Server, tmp_path: Path) -> None:
    """From a bucket that anybody may read, unsigned; the NetCDF holds the power in dB."""
    server.create_bucket("open")
    S3Bucket(bucket="open", endpoint=server.endpoint, credentials=AwsCredentials.load("prod")).save("own")
    S3Bucket(bucket="open", endpoint=server.endpoint, anonymous=True).save("raw")
    S3Upload("own")(tmp_path / f"{NAME}.raw", key=f"cruise/{NAME}.raw")
    policy = json.dumps({"Version": "2012-10-17", "Statement": [READABLE]})
    server.client("s3").delete_public_access_block(Bucket="open")
    server.client("s3").put_bucket_policy(Bucket="open", Policy=policy)

    *_, printed = run(tmp_path / "cwd", f"s3://open/cruise/{NAME}.raw", "EK60", "--plain", "--to", "netcdf")

    assert printed == f"s3://reports/converted/{NAME}.nc"
    S3Download("reports")(f"converted/{NAME}.nc", to=tmp_path / "x.nc")
    with xr.open_dataset(tmp_path / "x.nc", group="Sonar/Beam_group1") as beam:
        expected = np.tile(POWER * 10 * np.log10(2) / 256, (1, PINGS, 1))
        np.testing.assert_allclose(beam.backscatter_r.values, expected, rtol=1e-6)


@pytest.mark.slow
def test_under_prefect(server: S3Server, tmp_path: Path) -> None:
    """The same; what Prefect keeps holds no key."""
    with prefect_home(tmp_path):
        printed = run(tmp_path / "cwd", f"s3://reports/cruise/{NAME}.raw", "EK60", "--source", "reports")

    assert printed == ZARR
    secret = AwsCredentials.load("prod").secret_access_key
    assert secret is not None
    assert hunt({"key": secret.get_secret_value()}, tmp_path / "prefect") == []
