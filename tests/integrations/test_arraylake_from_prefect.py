"""The flows that people wrote for Arraylake from Prefect run as the example has them, under Prefect and without."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from bondstone.cli.demo.hunt import hunt
from bondstone.cli.demo.prefect_home import prefect_home
from bondstone.integrations.icechunk import connect
from tests.example import EXAMPLES, example
from tests.integrations.arraylake_stand_in import Service
from tests.integrations.conftest import Account

SOURCE = str(files("iris_sample_data") / "sample_data" / "ostia_monthly.nc")
VARIABLE = "surface_temperature"
PRINTED = ["repositories ocean plain", "parts 5", "repositories ocean plain"]
MESSAGES = {f"Anomalies from step {start}" for start in range(0, 54, 12)}


def run(folder: Path, *options: str) -> list[str]:
    """The lines that the example prints, as a reader starts it."""
    command = [sys.executable, str(EXAMPLES / "arraylake_from_prefect.py"), SOURCE, VARIABLE, *options]
    done = subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def history() -> list[str]:
    """The messages of all commits, the newest first, without the first of all."""
    return [commit.message for commit in connect("arraylake-repo/ocean").ancestry(branch="main")][:-1]


def group(name: str) -> xr.DataArray:
    """The variable in a group of what was committed."""
    store = connect("arraylake-repo/ocean").readonly_session("main").store
    found: xr.DataArray = xr.open_zarr(store, group=name, consolidated=False)[VARIABLE]
    return found


@pytest.fixture
def monthly() -> Iterator[xr.DataArray]:
    with xr.open_dataset(SOURCE) as dataset:
        yield dataset[VARIABLE].load()


def committed_once(monthly: xr.DataArray) -> None:
    """Seven commits, the parts among them in any order, and the values that numpy computes."""
    *parts, anomalies, seasonal, ingested = history()
    assert set(parts) == MESSAGES
    assert [anomalies, seasonal, ingested] == [f"{name} {VARIABLE}" for name in ("Anomalies", "Seasonal", "Monthly")]
    values = monthly.values
    months = monthly["time.month"].values
    winter = values[np.isin(months, (12, 1, 2))].mean(axis=0)
    np.testing.assert_array_equal(group("monthly").values, values)
    np.testing.assert_allclose(group("seasonal").sel(season="DJF").values, winter, rtol=1e-6)
    np.testing.assert_allclose(group("anomalies").values, values - np.nanmean(values, axis=0), atol=1e-3)


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_in_plain_python(lake: Service, monthly: xr.DataArray, tmp_path: Path) -> None:
    """Workers are processes, and `bondstone run` stands where the deployment does."""
    assert run(tmp_path, "--plain") == PRINTED

    committed_once(monthly)


@pytest.mark.slow
def test_a_second_run(lake: Service, tmp_path: Path) -> None:
    """Commits nothing, and prints the same."""
    first = run(tmp_path, "--plain"), history()

    second = run(tmp_path, "--plain"), history()

    assert second == first


@pytest.mark.xdist_group("prefect")
@pytest.mark.timeout(280)
@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_under_prefect(lake: Service, reports: Account, monthly: xr.DataArray, tmp_path: Path) -> None:
    """With Dask's workers and a deployment; the row of that has references, and no token or key is in what Prefect keeps."""
    with prefect_home(tmp_path) as server:
        printed = run(tmp_path)
        with closing(sqlite3.connect(server / "prefect.db")) as database:
            (deployment,) = database.execute("SELECT * FROM deployment WHERE name = 'arraylake'")

    assert printed == PRINTED
    committed_once(monthly)
    assert not [value for value in example("arraylake_from_prefect").ENV.values() if value not in str(deployment)]
    secrets = {"token": "ema_first-token"} | reports.secrets | given(lake)
    assert len(secrets) > 2
    assert hunt(secrets, tmp_path) == []
    shown = {hit.where.split(",")[0] for hit in hunt({"reference": "bondstone://arraylake-token/prod"}, server)}
    assert "prefect.db" in shown or "prefect.db-wal" in shown  # so that is where it would have been found


def given(lake: Service) -> dict[str, str]:
    """The secret keys that Arraylake gave for the bucket."""
    return {f"key {key}": key for key in lake.state.with_suffix(".given").read_text().split()}
