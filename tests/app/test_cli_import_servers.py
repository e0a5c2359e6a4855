"""`bondstone import prefect` and `aws-secrets-manager`: from what real servers keep."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bondstone.blocks import Block, GitCredentials, S3Bucket, Secret
from bondstone.cli.demo.prefect_home import prefect_home
from bondstone.cli.demo.server import s3_server
from tests.app.program import SENTINEL, Ended, bondstone

Cli = Callable[..., Ended]
USAGE, INVALID_BLOCK, NOT_FOUND, ACCESS_DENIED, SERVICE = 2, 7, 3, 17, 18


def did(ended: Ended) -> dict[str, tuple[str, str]]:
    """What became of each, and under which name."""
    assert SENTINEL not in ended.out + ended.err
    rows = [row.split("\t") for row in ended.out.splitlines()]
    return {source: (action, to) for action, source, to, _ in rows}


# Prefect loads the real prefect-aws where that is installed, and says that this one has its slug.
pytestmark = pytest.mark.filterwarnings("ignore:Type 'AwsCredentials'", "ignore:Type 'S3Bucket'")


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
