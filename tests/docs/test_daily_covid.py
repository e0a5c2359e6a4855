"""The flow that people wrote for daily figures runs as the example has it, under Prefect and without."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bondstone.blocks import AwsCredentials, HttpWebhook
from bondstone.cli.demo.hunt import hunt
from bondstone.cli.demo.prefect_home import prefect_home
from bondstone.cli.demo.server import s3_server
from bondstone.integrations.s3 import S3Download, S3List
from tests.docs.covid_service import MONTHLY, Service, covid_service
from tests.docs.test_examples import EXAMPLES, save_blocks

TOKEN = "T0KEN-of-the-webhook-9"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Figures and webhook, and blocks that lead to it and to a bucket."""
    with s3_server(tmp_path / "server") as server, covid_service() as running:
        save_blocks(server)
        HttpWebhook(url=f"{running.url}/hooks/{TOKEN}").save("alerts")
        yield running


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The example, as a reader starts it."""
    command = [sys.executable, str(EXAMPLES / "daily_covid.py"), *arguments]
    return subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True, timeout=120, check=False)


def tables() -> list[str]:
    """What lies in the bucket."""
    return [S3Download("reports")(item.key).decode() for item in S3List("reports")(prefix="covid-monthly-")]  # type: ignore[union-attr]


def test_in_plain_python(service: Service, tmp_path: Path) -> None:
    """Twice a day it downloads once, and uploads two tables of the two countries together."""
    for _ in range(2):
        done = run(tmp_path, f"{service.url}/data", "--countries", "France", "Germany", "--plain")
        assert done.returncode == 0, done.stderr

    assert service.downloads == 1
    assert set(tables()) == {MONTHLY}
    assert service.told == []


def test_a_failure_in_plain_python(service: Service, tmp_path: Path) -> None:
    """Somebody is told, and the program fails."""
    done = run(tmp_path, f"{service.url}/data", "--countries", "Atlantis", "--plain")

    assert done.returncode == 1
    assert service.told == ["daily-covid failed: ValueError"]


def test_under_prefect(service: Service, tmp_path: Path) -> None:
    """The second run of the day uses Prefect's cache; a failure is told; the graph is drawn; the database holds no secret."""
    with prefect_home(tmp_path):
        first, _ = [run(tmp_path, f"{service.url}/data", "--countries", "France", "Germany") for _ in range(2)]
        failed = run(tmp_path, f"{service.url}/data", "--countries", "Atlantis")

    assert first.returncode == 0, first.stderr
    assert service.downloads == 1
    assert tables() == [MONTHLY, MONTHLY]
    assert failed.returncode == 1
    (told,) = service.told
    assert "daily-covid" in told
    assert "no records of Atlantis" in told
    assert graph(first.stdout) == [("by_month", "S3Upload"), ("download", "of_countries"), ("of_countries", "by_month")]
    secrets = {"key": str(AwsCredentials.load("prod").secret_access_key.get_secret_value()), "webhook": TOKEN}  # type: ignore[union-attr]
    assert hunt(secrets, tmp_path / "prefect") == []
    with closing(sqlite3.connect(tmp_path / "prefect/prefect.db")) as database:
        assert database.execute("SELECT count(*) FROM flow_run").fetchone() == (3,)


def graph(printed: str) -> list[tuple[str, str]]:
    """The edges of the drawn graph, by the names of the tasks; each is there once."""
    edges = re.findall(r"\[(\w+)-\w+\] --> \w+\[(\w+)-\w+\]", printed)
    return sorted(edges)
