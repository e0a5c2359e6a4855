"""Airflow's secrets backend: what it answers, and a real DAG under a real Airflow (`make test-airflow`)."""

import json
import logging
import os
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bondstone.blocks import BondstoneError, InvalidBlock, Secret, WrongKey
from bondstone.cli.demo.hunt import hunt, hunt_bytes
from bondstone.cli.imports.airflow import found
from bondstone.integrations import airflow
from bondstone.integrations.airflow import Lookup
from bondstone.integrations.rotators.testing import everything
from bondstone.integrations.s3 import S3Download
from bondstone.registry import NoRegistry
from tests.integrations.conftest import Account, save
from tests.integrations.stand_in import Asked, Said, stand_in

ROOT = Path(__file__).parents[2]
AIRFLOW = ROOT / ".venv/airflow/bin/airflow"
PASSWORD = "senti" + "nel: p@ss/w%rd"
TITLE = "Senti" + "nel of the title"
DAY = "2026-11-20"


class TestConnections:
    """Blocks in Airflow's words, which `bondstone import airflow` reads back as the same block."""

    @pytest.mark.parametrize(
        ("kind", "fields", "airflows"),
        [
            (
                "database-credentials",
                {"drivername": "postgresql+psycopg", "username": "u", "password": PASSWORD, "host": "db", "port": 5433}
                | {"database": "dwh", "query": {"sslmode": "require"}},
                {"conn_type": "postgres", "login": "u", "password": PASSWORD, "host": "db", "port": 5433}
                | {"schema": "dwh", "extra": {"sslmode": "require"}},
            ),
            (
                "database-credentials",
                {"drivername": "clickhouse", "host": "db"},
                {"conn_type": "clickhouse", "host": "db"},
            ),
            (
                "database-credentials",
                {"drivername": "sqlite", "database": "/srv/x.db"},
                {"conn_type": "sqlite", "host": "/srv/x.db"},
            ),
            (
                "aws-credentials",
                {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "s" * 40, "session_token": "token"}
                | {"region": "eu-central-1", "endpoint": "http://127.0.0.1:9"},
                {"conn_type": "aws", "login": "AKIAIOSFODNN7EXAMPLE", "password": "s" * 40}
                | {
                    "extra": {
                        "aws_session_token": "token",
                        "region_name": "eu-central-1",
                        "endpoint_url": "http://127.0.0.1:9",
                    }
                },
            ),
            (
                "http-webhook",
                {"url": "https://example.org/hook?key=1", "headers": {"X-Key": "sentinel"}},
                {"conn_type": "http", "host": "https://example.org/hook?key=1", "extra": {"X-Key": "sentinel"}},
            ),
            (
                "http-webhook",
                {"url": "https://hooks.slack.com/services/T1/B1/x1", "style": "slack"},
                {"conn_type": "slackwebhook", "host": "https://hooks.slack.com", "password": "services/T1/B1/x1"},
            ),
            (
                "secret",
                {"value": {"conn_type": "ftp", "host": "h", "password": PASSWORD}},
                {"conn_type": "ftp", "host": "h", "password": PASSWORD},
            ),
        ],
    )
    @pytest.mark.shows_secrets("connections.json")  # for `bondstone import airflow`
    def test_a_block(self, kind: str, fields: dict[str, Any], airflows: dict[str, Any], tmp_path: Path) -> None:
        """Says all that it has, and nothing that is empty."""
        block = save(f"{kind}/my_conn", **fields)

        value = Lookup().get_conn_value("my_conn")

        assert value is not None
        assert json.loads(value) == airflows
        (tmp_path / "connections.json").write_text(json.dumps({"my_conn": json.loads(value)}))
        forms = {form.kind: form.fields for form in next(found(tmp_path / "connections.json")).forms}
        if fields.get("drivername") not in ("clickhouse", "sqlite"):
            fields = fields | ({"drivername": "postgresql"} if "drivername" in fields else {})
            assert type(block)(**forms[kind]) == type(block)(**fields)

    def test_a_uri(self) -> None:
        """In a secret is served as it is; a secret that is just a token is no connection."""
        save("secret/ftp", value=f"ftp://user:{'x' * 8}@host/folder")
        save("secret/token", value="ema_token")
        save("secret/number", value=12)

        assert urlsplit(Lookup().get_conn_value("ftp") or "").hostname == "host"
        assert Lookup().get_conn_value("token") is None
        assert Lookup().get_conn_value("number") is None

    def test_of_two_kinds(self) -> None:
        """The one that is more of a connection is taken."""
        save("secret/dwh", value="ftp://host")
        save("database-credentials/dwh", drivername="mysql", host="db")

        assert json.loads(Lookup().get_conn_value("dwh") or "") == {"conn_type": "mysql", "host": "db"}


class TestVariables:
    """Secrets, as text."""

    @pytest.mark.parametrize(
        ("value", "text"), [("plain", "plain"), ({"a": [1, None]}, '{"a": [1, null]}'), (7, "7"), ("", "")]
    )
    def test_a_secret(self, value: Any, text: str) -> None:
        """What is no text is JSON."""
        save("secret/var", value=value)

        assert Lookup().get_variable("var") == text

    def test_bytes(self) -> None:
        """Have no place there."""
        save("secret/var", value=b"\xff")

        with pytest.raises(InvalidBlock, match="secret/var holds bytes"):
            Lookup().get_variable("var")


class TestNames:
    """Which block is meant."""

    def test_prefixes(self) -> None:
        """Each kind of question has its own, or none at all."""
        save("secret/airflow/vars/a", value="1")
        save("secret/airflow/conns/b", value="ftp://h")
        lookup = Lookup("airflow/conns", "airflow/vars/")

        assert (lookup.get_variable("a"), lookup.get_conn_value("b")) == ("1", "ftp://h")
        assert (lookup.get_variable("b"), lookup.get_conn_value("a")) == (None, None)
        assert Lookup(None, None).get_variable("airflow/vars/a") is None
        assert Lookup(None, None).get_conn_value("airflow/conns/b") is None

    def test_names_that_a_block_cannot_have(self) -> None:
        """Are found as `bondstone import` saves them; one that is none at all is not there."""
        save("secret/my-db", value="1")

        assert Lookup().get_variable("My DB") == "1"
        assert Lookup().get_variable("!!") is None
        assert Lookup().get_variable("") is None


class TestMissing:
    """Airflow asks the next backend when it gets None, and when it gets an error."""

    def test_a_name(self) -> None:
        """That is not there, or not any more."""
        save("secret/gone", value="1")
        Secret.delete("gone")

        assert [Lookup().get_variable(name) for name in ("gone", "never")] == [None, None]
        assert [Lookup().get_conn_value(name) for name in ("gone", "never")] == [None, None]

    def test_a_registry(self, caplog: pytest.LogCaptureFixture) -> None:
        """That is not there: an error, and since Airflow keeps it for itself, a line in the log."""
        for ask in (Lookup().get_conn_value, Lookup().get_variable):
            with pytest.raises(NoRegistry):
                ask("dwh")

        assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
        assert caplog.text.count("bondstone: there is no registry") == 2

    def test_a_registry_with_another_key(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Is no reason to look elsewhere either; nothing that is secret is shown."""
        save("database-credentials/dwh", drivername="mysql", username="u", password=PASSWORD, host="db")
        monkeypatch.setenv("BONDSTONE_KEY", "0" * 64)

        with pytest.raises((WrongKey, BondstoneError)) as told:
            Lookup().get_conn_value("dwh")

        assert "bondstone: " in caplog.text
        assert not hunt_bytes({"password": PASSWORD}, (everything(told.value) + caplog.text).encode(), "error")


def test_it_is_imported_without_airflow() -> None:
    """Its class is made when Airflow asks for it; without Airflow that is Python's own error."""
    with pytest.raises(ModuleNotFoundError, match="airflow"):
        _ = airflow.BondstoneSecretsBackend
    with pytest.raises(AttributeError, match="has no attribute 'Backend'"):
        _ = airflow.Backend


@pytest.mark.slow
class TestRealAirflow:
    """The DAG of `examples/airflow`, with blocks for all that is secret."""

    def test_a_dag(self, reports: Account, tmp_path: Path) -> None:
        """It uploads what only blocks know, also after a rotation; a failure is posted; Airflow keeps none of the values."""
        asked: list[Asked] = []

        def hook(request: Asked) -> Said:
            asked.append(request)
            return Said()

        save("database-credentials/dwh", drivername="postgresql", username="reader", password=PASSWORD, host="db")
        save("secret/report-title", value=TITLE)
        shown = run(tmp_path, "db", "migrate")
        with stand_in(hook) as url:
            save("http-webhook/alerts", url=f"{url}/services/senti" + "nel")
            shown += run(tmp_path, "dags", "test", "reports_daily", DAY)
            first = S3Download("reports")(f"{DAY}/report.txt")
            save("secret/report-title", value=TITLE + ", second edition")
            reports.rotate()
            shown += run(tmp_path, "dags", "test", "reports_daily", DAY)
            second = S3Download("reports")(f"{DAY}/report.txt")
            assert asked == []
            S3Download("reports")(f"{DAY}/done")
            reports.revoke()
            shown += run(tmp_path, "dags", "test", "reports_daily", DAY, fails=True)

        assert first == f"{TITLE}, {DAY}: from postgres by reader\n".encode()
        assert second == f"{TITLE}, second edition, {DAY}: from postgres by reader\n".encode()
        text = json.loads(asked[0].body)["text"]  # `dags test` keeps the reason from callbacks; the scheduler does not
        assert text.startswith("reports_daily / report: failed in run manual__")
        assert "AccessDenied: bucket 'reports'" in shown
        secrets = {"password": PASSWORD, "title": TITLE, "hook": "/services/senti" + "nel", **reports.secrets}
        assert (tmp_path / "airflow/airflow.db").stat().st_size > 100_000
        assert not hunt(secrets, tmp_path / "airflow")
        assert not hunt_bytes(secrets, shown.encode(), "output")

    def test_masks(self, home: Path, tmp_path: Path) -> None:
        """A value is masked in logs, also one that Airflow takes for no secret, such as the URL of a webhook."""
        save("secret/report-title", value=TITLE)
        save("http-webhook/hook", url="https://example.org/senti" + "nel-path")
        program = (
            "from airflow.configuration import initialize_secrets_backends\n"
            "from airflow.sdk.log import redact\n"
            "backend = initialize_secrets_backends()[0]\n"
            "seen = backend.get_variable('report-title'), backend.get_connection('hook').host\n"
            "print(redact(' '.join(seen)), backend.get_connection('nothing'), backend.get_variable('nothing'))\n"
        )
        (tmp_path / "masks.py").write_text(program)

        told = run(tmp_path, str(tmp_path / "masks.py"), program=AIRFLOW.parent / "python")

        assert "*** *** None None" in told.splitlines()


def run(folder: Path, *arguments: str, program: Path = AIRFLOW, fails: bool = False) -> str:
    """What Airflow prints; its home is in `folder`, the registry that of the test."""
    assert AIRFLOW.exists(), "run 'make test-airflow', which installs it"
    environment = {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "examples/airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__SECRETS__BACKEND": "bondstone.integrations.airflow.BondstoneSecretsBackend",
        "AIRFLOW__SECRETS__BACKEND_KWARGS": '{"connections_prefix": "", "variables_prefix": ""}',
    }
    done = subprocess.run(
        [program, *arguments], env=os.environ | environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert fails or done.returncode == 0, done.stderr + done.stdout
    return done.stdout + done.stderr
