"""`bondstone import` and `export`: from what the other programs really keep, and without a value on the way."""

import json
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from bondstone.blocks import AwsCredentials, Block, GitCredentials, S3Bucket, Secret, catalog
from bondstone.cli.demo.prefect_home import prefect_home
from bondstone.cli.demo.server import s3_server
from bondstone.cli.imports.airflow import _of_uri
from tests.app.program import SENTINEL, Ended, bondstone

Cli = Callable[..., Ended]
USAGE, INVALID_BLOCK, NOT_FOUND, ACCESS_DENIED, SERVICE = 2, 7, 3, 17, 18


def did(ended: Ended) -> dict[str, tuple[str, str]]:
    """What became of each, and under which name."""
    assert SENTINEL not in ended.out + ended.err
    rows = [row.split("\t") for row in ended.out.splitlines()]
    return {source: (action, to) for action, source, to, _ in rows}


# dotenv


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


# Prefect


@pytest.fixture(scope="module")
def prefect_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that Prefect made, with blocks that Prefect saved."""
    folder = tmp_path_factory.mktemp("prefect")
    with prefect_home(folder) as home:
        from prefect.blocks.core import Block as PrefectBlock
        from prefect.blocks.system import Secret as PrefectSecret
        from prefect.blocks.webhook import Webhook
        from pydantic import SecretStr

        class AwsCredentials(PrefectBlock):  # as in prefect-aws: the same slug and fields
            _block_type_name = "AWS Credentials"
            aws_access_key_id: str | None = None
            aws_secret_access_key: SecretStr | None = None
            region_name: str | None = None

        class GitHubCredentials(PrefectBlock):  # as in prefect-github
            _block_type_name = "GitHub Credentials"
            token: SecretStr | None = None

        class S3Bucket(PrefectBlock):
            _block_type_name = "S3 Bucket"
            bucket_name: str
            credentials: AwsCredentials
            bucket_folder: str = ""

        key = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": SecretStr(SENTINEL)}
        PrefectSecret(value=SENTINEL).save("my-token")
        PrefectSecret(value={"user": "u", "token": SENTINEL}).save("my-json")
        PrefectSecret(value="broken").save("broken")
        aws = AwsCredentials(**key, region_name="eu-west-1")
        aws.save("prod")
        S3Bucket(bucket_name="reports", credentials=aws, bucket_folder="2026").save("reports")
        S3Bucket(bucket_name="inline", credentials=AwsCredentials(**key)).save("inline")
        GitHubCredentials(token=SecretStr(f"ghp_{SENTINEL}")).save("ci")
        Webhook(method="POST", url=SecretStr(f"https://example.org/{SENTINEL}")).save("hook")
    return home / "prefect.db"


def test_blocks_of_prefect(cli: Cli, prefect_database: Path) -> None:
    """Decrypted with the key in its own database; a saved block inside is a live reference here too."""
    before = prefect_database.read_bytes()

    ended = cli("import", "prefect", str(prefect_database))

    assert ended.code == 0, ended.out + ended.err
    assert did(ended) == {
        "aws-credentials/prod": ("create", "aws-credentials/prod"),
        "github-credentials/ci": ("create", "git-credentials/ci"),
        "s3-bucket/inline": ("create", "s3-bucket/inline"),
        "s3-bucket/reports": ("create", "s3-bucket/reports"),
        "secret/broken": ("create", "secret/broken"),
        "secret/my-json": ("create", "secret/my-json"),
        "secret/my-token": ("create", "secret/my-token"),
        "webhook/hook": ("create", "secret/hook"),
    }
    assert Secret.load("my-token").get() == SENTINEL
    assert Secret.load("my-json").get() == {"user": "u", "token": SENTINEL}
    assert Secret.load("hook").get()["url"] == f"https://example.org/{SENTINEL}"
    assert GitCredentials.load("ci").token
    bucket, inline = S3Bucket.load("reports"), S3Bucket.load("inline")
    assert (bucket.bucket, bucket.prefix) == ("reports", "2026")
    assert bucket.credentials
    assert (bucket.credentials.reference, bucket.credentials.region) == ("aws-credentials/prod", "eu-west-1")
    assert inline.credentials
    assert inline.credentials.secret_access_key
    assert inline.credentials.secret_access_key.get_secret_value() == SENTINEL
    assert prefect_database.read_bytes() == before


def test_again_and_by_default(cli: Cli, prefect_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the home of Prefect; and what is there already is the same."""
    monkeypatch.setenv("PREFECT_HOME", str(prefect_database.parent))

    dry, first, again = cli("import", "prefect", "--dry-run"), cli("import", "prefect"), cli("import", "prefect")

    assert did(dry) == did(first)
    assert {action for action, _ in did(again).values()} == {"same"}


def test_a_block_that_does_not_open_stops_no_other(cli: Cli, prefect_database: Path, tmp_path: Path) -> None:
    """In Prefect one such row breaks the listing of all."""
    copy = tmp_path / "prefect.db"
    with closing(sqlite3.connect(prefect_database)) as database, closing(sqlite3.connect(copy)) as other:
        database.backup(other)
        other.execute("UPDATE block_document SET data = '\"gAAAAAB\"' WHERE name = 'broken'")
        other.commit()

    ended = cli("import", "prefect", str(copy))

    assert ended.code == 1
    assert did(ended)["secret/broken"] == ("refuse", "")
    assert "cannot be decrypted" in ended.out
    assert Secret.load("my-token").get() == SENTINEL


def test_the_database_is_only_read(cli: Cli, prefect_database: Path, tmp_path: Path) -> None:
    """Also where a server left changes beside it, which who opens it to write would carry over."""
    folder = tmp_path / "left"
    folder.mkdir()
    with closing(sqlite3.connect(prefect_database)) as database, closing(sqlite3.connect(tmp_path / "x.db")) as other:
        database.backup(other)
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("DELETE FROM block_document WHERE name = 'broken'")
        other.commit()
        for end in ("", "-wal"):
            (folder / f"prefect.db{end}").write_bytes((tmp_path / f"x.db{end}").read_bytes())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    ended = cli("import", "prefect", str(folder / "prefect.db"))

    assert "secret/broken" not in did(ended)
    assert {name: (folder / name).read_bytes() for name in before if (folder / name).exists()} == before


def test_another_key_for_prefect(cli: Cli, prefect_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable of Prefect's own wins, as it does there."""
    monkeypatch.setenv("PREFECT_SERVER_ENCRYPTION_KEY", SENTINEL)

    ended = cli("import", "prefect", str(prefect_database))

    assert {action for action, _ in did(ended).values()} == {"refuse"}
    assert Block.names() == []


@pytest.mark.parametrize("content", [None, b"no database", b""])
def test_no_database_of_prefect(cli: Cli, tmp_path: Path, content: bytes | None) -> None:
    """Is told, and none is made."""
    path = tmp_path / "prefect.db"
    if content is not None:
        path.write_bytes(content)

    ended = cli("import", "prefect", str(path))

    assert ended.code == USAGE
    assert "prefect.db" in ended.err
    assert path.exists() == (content is not None)


# AWS Secrets Manager


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings for a real server on this machine, with secrets in it."""
    with s3_server(tmp_path_factory.mktemp("moto"), engine="moto") as server:
        client = server.client("secretsmanager")
        client.create_secret(Name="prod/Db", SecretString=json.dumps({"user": "u", "password": SENTINEL}))
        client.create_secret(Name="prod/token", SecretString=SENTINEL)
        client.create_secret(Name="prod/pin", SecretString="0042")
        client.create_secret(Name="prod/raw", SecretBinary=b"\xff" + SENTINEL.encode())
        client.create_secret(Name="dev/token", SecretString=SENTINEL)
        for number in range(110):
            client.create_secret(Name=f"many/{number}", SecretString="x")
        yield {
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_ACCESS_KEY_ID": server.admin.access_key_id,
            "AWS_SECRET_ACCESS_KEY": server.admin.secret_access_key,
            "AWS_REGION": server.region,
            "AWS_DEFAULT_REGION": server.region,
            "NO_PROXY": "127.0.0.1",
        }


def test_secrets_of_aws(cli: Cli, manager: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Text as it is, objects as mappings, binary ones as bytes; those below the prefix alone."""
    for name, value in manager.items():
        monkeypatch.setenv(name, value)

    ended = cli("import", "aws-secrets-manager", "--prefix", "prod/")

    assert ended.code == 0, ended.err
    assert did(ended) == {
        "prod/Db": ("create", "secret/prod/db"),
        "prod/pin": ("create", "secret/prod/pin"),
        "prod/raw": ("create", "secret/prod/raw"),
        "prod/token": ("create", "secret/prod/token"),
    }
    assert {name: Secret.load(name).get() for name in Secret.names()} == {
        "prod/db": {"user": "u", "password": SENTINEL},
        "prod/pin": "0042",
        "prod/raw": b"\xff" + SENTINEL.encode(),
        "prod/token": SENTINEL,
    }
    assert len(did(cli("import", "aws-secrets-manager", "--dry-run"))) == 115  # more than a page


def test_aws_refuses(manager: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong key, no key and no server each give one line without anything of the key."""
    wrong = manager | {"AWS_SECRET_ACCESS_KEY": SENTINEL}
    nowhere = wrong | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    without = {name: value for name, value in manager.items() if "KEY" not in name} | {
        "AWS_EC2_METADATA_DISABLED": "true"
    }
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)

    ended = [bondstone("import", "aws-secrets-manager", environment=settings) for settings in (wrong, without, nowhere)]

    assert [one.code for one in ended] == [ACCESS_DENIED, ACCESS_DENIED, SERVICE]
    assert [one.err.count("\n") for one in ended] == [1, 1, 1]
    assert not any(SENTINEL in one.out + one.err for one in ended)


# export


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
