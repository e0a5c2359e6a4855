"""Blocks in the words of Airflow's connections. Needs no Airflow.

Source: Airflow documentation, "Managing Connections", and of its providers "Amazon Web Services Connection" and "HTTP Connection".
"""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from bondstone.blocks import AwsCredentials, Block, DatabaseCredentials, HttpWebhook, Secret, SecretStr

DIALECTS = {  # by type of connection
    "postgres": "postgresql",
    "postgresql": "postgresql",
    "mysql": "mysql",
    "mssql": "mssql",
    "oracle": "oracle",
    "redshift": "redshift",
    "snowflake": "snowflake",
    "sqlite": "sqlite",
    "trino": "trino",
}
AWS_EXTRAS = {  # what Airflow calls the fields of AwsCredentials
    "aws_session_token": "session_token",
    "region_name": "region",
    "role_arn": "role_arn",
    "endpoint_url": "endpoint",
    "profile_name": "profile",
}
KINDS = ("database-credentials", "aws-credentials", "http-webhook", "secret")


def connection(block: Block) -> str | None:
    """What Airflow reads as a connection, a URI or JSON; None if the block is none, as a secret that is just a token."""
    if isinstance(block, Secret):
        return _of_secret(block.get())
    return json.dumps({name: value for name, value in _WORDS[type(block)](block).items() if value not in (None, {})})


def _of_secret(value: Any) -> str | None:
    if isinstance(value, str) and ("://" in value or value.lstrip().startswith("{")):
        return value
    return json.dumps(value) if isinstance(value, Mapping) and "conn_type" in value else None


def _database(block: DatabaseCredentials) -> dict[str, Any]:
    dialect = block.drivername.partition("+")[0]
    kind = next((kind for kind, name in DIALECTS.items() if name == dialect), dialect)
    if kind == "sqlite":
        return {"conn_type": kind, "host": block.database, "extra": block.query}
    place = {"host": block.host, "port": block.port, "schema": block.database, "extra": block.query}
    return {"conn_type": kind, "login": block.username, "password": _text(block.password), **place}


def _aws(block: AwsCredentials) -> dict[str, Any]:
    extra = {theirs: _text(getattr(block, ours)) for theirs, ours in AWS_EXTRAS.items()}
    extra = {name: value for name, value in extra.items() if value is not None}
    return {
        "conn_type": "aws",
        "login": block.access_key_id,
        "password": _text(block.secret_access_key),
        "extra": extra,
    }


def _webhook(block: HttpWebhook) -> dict[str, Any]:
    url = block.url.get_secret_value()
    if block.style == "slack":
        parts = urlsplit(url)
        base = f"{parts.scheme}://{parts.netloc}"
        return {"conn_type": "slackwebhook", "host": base, "password": url.removeprefix(base).lstrip("/")}
    return {"conn_type": "http", "host": url, "extra": {name: _text(value) for name, value in block.headers.items()}}


def _text(value: SecretStr | str | None) -> str | None:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


_WORDS: dict[type[Block], Callable[[Any], dict[str, Any]]] = {
    DatabaseCredentials: _database,
    AwsCredentials: _aws,
    HttpWebhook: _webhook,
}
