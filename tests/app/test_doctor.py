"""`bondstone doctor`, about what is around bondstone: each trap is set, told with what to do, and no value is."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from bondstone.blocks import Secret
from bondstone.cli import surroundings
from tests.app.program import PROGRAM, SENTINEL, bondstone


def findings(check: str, **environment: str) -> list[list[str]]:
    """Status and text of that check's lines."""
    ended = bondstone("doctor", environment=environment)
    assert SENTINEL not in ended.out + ended.err
    lines = (line.split("\t") for line in ended.out.splitlines())
    return [[status, text] for status, name, text in lines if name == check]


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine that the tests run on has settings of its own."""
    for name in [n for n, v in os.environ.items() if surroundings._holds_secret(n, v)]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("PREFECT_RESULTS_PERSIST_BY_DEFAULT", "true", "Prefect keeps what tasks return"),
        ("PREFECT_TASKS_DEFAULT_PERSIST_RESULT", "1", "Prefect keeps what tasks return"),
        ("PREFECT_LOGGING_LOG_PRINTS", "True", "Prefect sends what flows print"),
        ("BETTER_EXCEPTIONS", "1", "tracebacks show the values"),
        ("LOGURU_DIAGNOSE", "YES", "set LOGURU_DIAGNOSE=NO"),
        ("GIT_TRACE_REDACT", "0", "git's traces show tokens"),
        ("AIRFLOW__CORE__HIDE_SENSITIVE_VAR_CONN_FIELDS", "False", "logs show passwords"),
    ],
)
def test_a_setting_that_shows_secrets(home: Path, name: str, value: str, told: str) -> None:
    """Is told by its name, with what it does and what to do; the other way round it is not."""
    [[status, text]] = findings("leaks", **{name: value})

    assert status == "warn"
    assert name in text
    assert told in text
    assert findings("leaks") == []
    assert findings("leaks", **{name: "true" if value in ("0", "False") else "false"}) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('active = "a"\n[profiles.a]\nPREFECT_LOGGING_LOG_PRINTS = "true"\n', True),
        ('active = "a"\n[profiles.a]\nPREFECT_LOGGING_LOG_PRINTS = true\n', True),
        ('active = "b"\n[profiles.a]\nPREFECT_LOGGING_LOG_PRINTS = "true"\n[profiles.b]\n', False),
        ('active = "a"\nprofiles = 1\n', False),
        ("no toml", False),
    ],
)
def test_a_setting_in_the_prefect_profile(home: Path, text: str, told: bool) -> None:
    """The one in use; the environment comes before it, and a file that cannot be read is none."""
    (home / ".prefect").mkdir()
    (home / ".prefect" / "profiles.toml").write_text(text)

    assert bool(findings("leaks")) is told
    assert not findings("leaks", PREFECT_LOGGING_LOG_PRINTS="false")


@pytest.mark.parametrize("place", ["sitecustomize.py", "usercustomize.py", ".ipython/profile_default/startup/00.py"])
def test_tracebacks_that_show_variables(home: Path, place: str) -> None:
    """A start-up file that installs them is found without being run."""
    path = home / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("import rich.traceback\nrich.traceback.install(show_locals=True)\n")

    [[status, text]] = findings("leaks", PYTHONPATH=str(home))

    assert status == "warn"
    assert str(path) in text


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("AWS_SECRET_ACCESS_KEY", SENTINEL, True),
        ("AWS_SESSION_TOKEN", SENTINEL, True),
        ("ARRAYLAKE_TOKEN", SENTINEL, True),
        ("DWH_PASSWORD", "123456", True),
        ("DB_PASS", SENTINEL, True),
        ("PREFECT_API_KEY", SENTINEL, True),
        ("GH_TOKEN", "/" + SENTINEL, True),
        ("DATABASE_URL", f"postgresql://me:{SENTINEL}@host/db", True),
        ("AIRFLOW_CONN_DWH", f"postgres://me:{SENTINEL}@host/db", True),
        ("GH_TOKEN", "bondstone://secret/github", False),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE", False),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/such/file", False),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/etc/passwd", False),
        ("TOKENIZERS_PARALLELISM", "x", False),
        ("MAX_TOKENS", "4096", False),
        ("SSH_ASKPASS", "/usr/bin/x", False),
        ("DATABASE_URL", "postgresql://me@host/db", False),
        ("DATABASE_URL", "postgresql://[me:pw@host/db", False),
        ("GH_TOKEN", "", False),
    ],
)
def test_a_credential_in_the_environment(home: Path, name: str, value: str, told: bool) -> None:
    """Is told by its name only, with the way out; references, paths and switches are none."""
    found = list(surroundings._variables({name: value, "PATH": "/bin"}))

    assert [finding.status for finding in found] == ["warn"] * told
    assert all(f"inherits {name}:" in finding.finding and "bondstone run" in finding.finding for finding in found)


def test_credentials_in_the_environment_are_one_line(home: Path) -> None:
    """Of the whole program."""
    [[status, text]] = findings("environment", DB_PASS=SENTINEL, ARRAYLAKE_TOKEN=SENTINEL)

    assert status == "warn"
    assert "inherits ARRAYLAKE_TOKEN, DB_PASS: save each as a block" in text


@pytest.mark.parametrize(("mode", "status"), [(0o644, "warn"), (0o600, "ok")])
@pytest.mark.parametrize("name", [".aws/credentials", ".netrc", ".git-credentials", ".pgpass"])
def test_a_file_of_plain_credentials(home: Path, name: str, mode: int, status: str) -> None:
    """Is told, and whether others can read it."""
    path = home / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(SENTINEL)
    path.chmod(mode)

    [[found, text]] = findings("files")

    assert found == status
    assert str(path) in text
    assert ("chmod 600" in text) is (mode == 0o644)


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_CORE)[1] != -1, reason="cannot be raised here")
@pytest.mark.parametrize(("soft", "told"), [(0, False), (4096, True)])
def test_core_dumps(home: Path, soft: int, told: bool) -> None:
    """The limit of the shell, not the one that bondstone sets for itself."""
    shell = ["sh", "-c", f'ulimit -S -c {soft} && exec "$@"', "sh"]

    ended = subprocess.run([*shell, *PROGRAM, "doctor"], capture_output=True, text=True, timeout=60)

    assert "bondstone\t" in ended.stdout
    assert ("warn\tcore\t" in ended.stdout) is told


def test_backups(home: Path, tmp_path: Path) -> None:
    """None is told as soon as there is something to lose; one that was made, by its day."""
    assert findings("backup") == []
    Secret(value="v").save("x")
    [[without, advice]] = findings("backup")
    bondstone("backup", str(tmp_path / "b"), "--key-file", str(tmp_path / "elsewhere" / "key"))
    [[then, day]] = findings("backup")

    assert (without, then) == ("warn", "ok")
    assert "run 'bondstone backup FILE'" in advice
    assert day.startswith("made 20")


def test_warnings_are_no_failure(home: Path) -> None:
    """Only what fails makes the exit code 1; JSON has the same lines."""
    Secret(value="v").save("x")

    ended = bondstone("doctor", "--json", DB_PASS=SENTINEL)

    assert ended.code == 0
    assert {"warn", "ok"} == {finding["status"] for finding in json.loads(ended.out)}
    assert SENTINEL not in ended.out


def test_versions_are_told(home: Path) -> None:
    """What a report of a fault needs first."""
    [[_, text]] = findings("bondstone")

    assert f"on Python {sys.version.split()[0]}, SQLite " in text
    assert "pydantic 2" in text
