"""`examples/cron`: what cron and Make start gets its values, and nobody else."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bondstone.cli.demo.hunt import hunt, hunt_bytes
from tests.integrations.conftest import save
from tests.integrations.stand_in import Asked, Said, stand_in

EXAMPLE = Path(__file__).parents[2] / "examples/cron"
FIRST, SECOND = "first-senti" + "nel", "second-senti" + "nel"


@pytest.fixture
def flows(home: Path) -> Path:
    """The example where its crontab has it, and this environment beside it."""
    folder = home / "flows"
    shutil.copytree(EXAMPLE, folder)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def cron(home: Path, command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A line of the crontab as cron runs it: by `sh`, at home, with next to nothing in the environment."""
    (line,) = [line for line in (EXAMPLE / "crontab").read_text().splitlines() if command in line]
    bare = {"HOME": str(home), "LOGNAME": "flows", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin", **environment}
    argv = ["/bin/sh", "-c", line.split(maxsplit=5)[5]]
    return subprocess.run(argv, cwd=home, env=bare, capture_output=True, text=True, timeout=60, check=False)


def test_a_job(home: Path, flows: Path) -> None:
    """The token of the moment reaches the service: it is in no output and no file, and each run has the newest."""
    asked: list[Asked] = []

    def weather(request: Asked) -> Said:
        asked.append(request)
        return Said(content="rain")

    with stand_in(weather) as url:
        for token in (FIRST, SECOND):
            save("secret/weather-api", value=token)
            done = cron(home, "make", API_URL=url)
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
            assert not hunt_bytes({"first": FIRST, "second": SECOND}, (done.stdout + done.stderr).encode(), "output")

    assert [one.headers["Authorization"] for one in asked] == [f"Bearer {FIRST}", f"Bearer {SECOND}"]
    assert (flows / "report.txt").read_text() == '"rain"\n'
    assert not hunt({"first": FIRST, "second": SECOND}, home)


def test_a_job_that_fails(home: Path, flows: Path) -> None:
    """Is told by what cron mails, with the name that is missing; the report of yesterday stays."""
    save("secret/another", value=FIRST)
    (flows / "report.txt").write_text("yesterday")

    done = cron(home, "make", API_URL="http://127.0.0.1:9")

    assert done.returncode != 0
    assert "bondstone: 'API_TOKEN': there is no secret named 'weather-api'" in done.stderr
    assert (flows / "report.txt").read_text() == "yesterday"


def test_rotations(home: Path, flows: Path) -> None:
    """What is due is done by the other line; here nothing is."""
    save("secret/weather-api", value=FIRST)

    done = cron(home, "rotate --due")

    assert done.returncode == 0, done.stderr
