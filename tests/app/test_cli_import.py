"""`bondstone import dotenv` and `airflow`: what is in files and variables, without a value on the way."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from bondstone.blocks import AwsCredentials, Block, Secret, catalog
from bondstone.cli.imports.airflow import _of_uri
from tests.app.program import SENTINEL, Ended

pytestmark = pytest.mark.shows_secrets("*.env", "*.json")  # files that the tests hand in, or ask for

Cli = Callable[..., Ended]
USAGE, INVALID_BLOCK, NOT_FOUND, ACCESS_DENIED, SERVICE = 2, 7, 3, 17, 18


def did(ended: Ended) -> dict[str, tuple[str, str]]:
    """What became of each, and under which name."""
    assert SENTINEL not in ended.out + ended.err
    rows = [row.split("\t") for row in ended.out.splitlines()]
    return {source: (action, to) for action, source, to, _ in rows}


@pytest.fixture
def env_file(tmp_path: Path) -> str:
    (tmp_path / "my.env").write_text(
        f"# of ours\nDATABASE_URL=postgres://u:{SENTINEL}@h/db # it\nexport Api.Key='{SENTINEL} # x'\nEMPTY=\n"
        f'MULTI="{SENTINEL}\\n2"\nDONE=bondstone://secret/token\nHOST=h\nBOTH="${{HOST}}:1"\n'
    )
    return str(tmp_path / "my.env")


def test_variables_become_secrets(cli: Cli, env_file: str) -> None:
    """Under legal names, which are told; what is empty or a reference is left, which the exit code says."""
    ended = cli("import", "dotenv", env_file)

    assert ended.code == 1
    assert did(ended) == {
        "DATABASE_URL": ("create", "secret/database_url"),
        "Api.Key": ("create", "secret/api.key"),
        "EMPTY": ("refuse", ""),
        "MULTI": ("create", "secret/multi"),
        "DONE": ("refuse", ""),
        "HOST": ("create", "secret/host"),
        "BOTH": ("create", "secret/both"),
    }
    kept = {name: Secret.load(name).get() for name in Secret.names()}
    expected = dotenv_values(env_file)  # the reader whose syntax it is
    assert kept == {name.lower(): expected[name] for name in ("DATABASE_URL", "Api.Key", "MULTI", "HOST", "BOTH")}


def test_a_dry_run_saves_nothing(cli: Cli, env_file: str, data: Path) -> None:
    """And lists the same."""
    dry = cli("import", "dotenv", env_file, "--dry-run")

    assert not data.exists()
    assert did(dry) == did(cli("import", "dotenv", env_file))


def test_what_is_there_is_kept(cli: Cli, tmp_path: Path) -> None:
    """Unless it is to be overwritten; what is the same gets no new version."""
    (tmp_path / "a.env").write_text(f"A={SENTINEL}\nB=same\n")
    Secret(value="mine").save("a")
    Secret(value="same").save("b")

    kept = cli("import", "dotenv", f"{tmp_path}/a.env")
    mine = Secret.load("a").get()
    over = cli("import", "dotenv", f"{tmp_path}/a.env", "--overwrite")

    assert (kept.code, did(kept)) == (0, {"A": ("skip", "secret/a"), "B": ("same", "secret/b")})
    assert mine == "mine"
    assert (over.code, did(over)) == (0, {"A": ("change", "secret/a"), "B": ("same", "secret/b")})
    assert (Secret.load("a").get(), len(Secret.history("b"))) == (SENTINEL, 1)


def test_two_that_become_one_name(cli: Cli, tmp_path: Path) -> None:
    """The second is refused, and says by what."""
    (tmp_path / "a.env").write_text(f"Token=1\nTOKEN={SENTINEL}\n")

    ended = cli("import", "dotenv", f"{tmp_path}/a.env")

    assert (ended.code, did(ended)["TOKEN"]) == (1, ("refuse", ""))
    assert "already what 'Token' becomes" in ended.out
    assert Secret.load("token").get() == "1"


def test_a_name_that_is_a_key_is_not_shown(cli: Cli, tmp_path: Path) -> None:
    """A line that was pasted without its name."""
    (tmp_path / "a.env").write_text(f"ema_{SENTINEL}=\nghp_{SENTINEL}=x\n")

    ended = cli("import", "dotenv", f"{tmp_path}/a.env", "--json")

    assert ended.code == 1
    assert SENTINEL not in ended.out + ended.err
    assert [row["action"] for row in json.loads(ended.out)] == ["refuse", "refuse"]


# Airflow


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        (
            "postgres://u%40x:p%2F%3A@h.Example.org:5432/db%2Fa",
            {"conn_type": "postgres", "login": "u@x", "password": "p/:", "host": "h.Example.org", "port": 5432}
            | {"schema": "db/a"},
        ),
        (
            "aws://AKIA:s%2Bx@/?region_name=eu-west-1",
            {"conn_type": "aws", "login": "AKIA", "password": "s+x", "extra": {"region_name": "eu-west-1"}},
        ),
        ("http://https://example.org:8080", {"conn_type": "http", "host": "https://example.org", "port": 8080}),
        ("google-cloud-platform://?x=1", {"conn_type": "google_cloud_platform", "extra": {"x": "1"}}),
        ("x://h?__extra__=%7B%22a%22%3A+%7B%22b%22%3A+1%7D%7D", {"conn_type": "x", "host": "h", "extra": '{"a": {"b": 1}}'}),
        ("aws://?endpoint_url=http://127.0.0.1:9", {"conn_type": "aws", "extra": {"endpoint_url": "http://127.0.0.1:9"}}),
        ("x://u:@h", {"conn_type": "x", "login": "u", "host": "h"}),
        ("x://:p@h", {"conn_type": "x", "password": "p", "host": "h"}),
    ],
)  # fmt: skip
def test_uris_are_read_as_airflow_reads_them(uri: str, parts: dict[str, Any]) -> None:
    """Percent-encoded in every part; what has a scheme inside, or JSON in `__extra__`."""
    assert {name: part for name, part in _of_uri(uri).items() if part not in ("", None, {})} == parts


def test_connections_of_the_environment(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kinds that hold all of one take it; the others are secrets with all of it."""
    monkeypatch.setenv("AIRFLOW_CONN_AWS_PROD", f"aws://AKIAIOSFODNN7EXAMPLE:{SENTINEL}@/?region_name=eu-west-1")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_ODD", f"aws://AKIAIOSFODNN7EXAMPLE:{SENTINEL}@/?assume_role_method=x")
    monkeypatch.setenv(
        "AIRFLOW_CONN_FTP", json.dumps({"conn_type": "ftp", "login": "u", "password": SENTINEL, "port": 21})
    )
    monkeypatch.setenv("AIRFLOW_CONN_BAD", SENTINEL)
    monkeypatch.setenv("AIRFLOW_VAR_TOKEN", SENTINEL)

    ended = cli("import", "airflow")

    assert ended.code == 1
    assert did(ended) == {
        "AIRFLOW_CONN_AWS_PROD": ("create", "aws-credentials/aws_prod"),
        "AIRFLOW_CONN_AWS_ODD": ("create", "secret/aws_odd"),
        "AIRFLOW_CONN_FTP": ("create", "secret/ftp"),
        "AIRFLOW_CONN_BAD": ("refuse", ""),
        "AIRFLOW_VAR_TOKEN": ("create", "secret/token"),
    }
    aws = AwsCredentials(access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key=SENTINEL, region="eu-west-1")
    assert AwsCredentials.load("aws_prod") == aws
    assert Secret.load("ftp").get() == {"conn_type": "ftp", "login": "u", "password": SENTINEL, "port": 21}
    assert Secret.load("aws_odd").get()["extra"] == {"assume_role_method": "x"}


def test_databases_and_webhooks(cli: Cli, tmp_path: Path) -> None:
    """Where the catalog has kinds for them they are used; with or without, nothing is lost."""
    (tmp_path / "connections.json").write_text(
        json.dumps(
            {
                "dwh": f"postgres://u:{SENTINEL}@h:5432/db?sslmode=require",
                "slack": {"conn_type": "slackwebhook", "password": f"T00000000/B00000000/{SENTINEL.replace('-', '')}"},
                "site": f"http://https://example.org/?X-Api-Key={SENTINEL}",
                "login": f"http://u:{SENTINEL}@example.org",
            }
        )
    )

    ended = cli("import", "airflow", f"{tmp_path}/connections.json")

    assert ended.code == 0, ended.out
    kinds = catalog()
    database = "database-credentials" if "database-credentials" in kinds else "secret"
    webhook = "http-webhook" if "http-webhook" in kinds else "secret"
    assert {source: to for source, (_, to) in did(ended).items()} == {
        "dwh": f"{database}/dwh",
        "slack": f"{webhook}/slack",
        "site": f"{webhook}/site",
        "login": "secret/login",
    }
    dwh: Any = Block.load(f"{database}/dwh")
    if database == "database-credentials":
        assert (dwh.drivername, dwh.username, dwh.host, dwh.port, dwh.database) == ("postgresql", "u", "h", 5432, "db")
        assert (dwh.password.get_secret_value(), dwh.query) == (SENTINEL, {"sslmode": "require"})
    else:
        assert dwh.get()["password"] == SENTINEL


def test_files_of_airflow(cli: Cli, tmp_path: Path) -> None:
    """Connections as lines; variables in JSON keep their type."""
    (tmp_path / "connections.env").write_text(f"my_ftp=ftp://u:{SENTINEL}@h\n")
    (tmp_path / "variables.json").write_text(json.dumps({"config": {"a": [1]}, "Token": SENTINEL}))
    (tmp_path / "broken.json").write_text(f'{{"a": "{SENTINEL}"')

    assert did(cli("import", "airflow", f"{tmp_path}/connections.env")) == {"my_ftp": ("create", "secret/my_ftp")}
    assert cli("import", "airflow", f"{tmp_path}/variables.json").code == 0
    broken = cli("import", "airflow", f"{tmp_path}/broken.json")

    assert (Secret.load("config").get(), Secret.load("token").get()) == ({"a": [1]}, SENTINEL)
    assert broken.code == USAGE
    assert SENTINEL not in broken.err
