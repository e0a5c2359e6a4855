"""The blocks in a database of Prefect 3, read from its SQLite file with the key that lies in it. Prefect itself is not needed."""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from bondstone.cli.faults import Usage
from bondstone.cli.imports import Form, Found
from bondstone.registry import BondstoneError, Reference
from bondstone.registry.names import shown, slug

_BLOCKS = """SELECT d.id, t.slug, d.name, d.data FROM block_document d JOIN block_type t ON t.id = d.block_type_id
    WHERE NOT d.is_anonymous ORDER BY t.slug, d.name"""
_PARTS = "SELECT parent_block_document_id, name, reference_block_document_id FROM block_document_reference"
_KEY = "SELECT value FROM configuration WHERE key = 'ENCRYPTION_KEY'"

_AWS = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
    "profile_name": "profile",
    "region_name": "region",
}
# By Prefect's slug: our kind, and our names of the fields. A field that has none here keeps its own.
_KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "secret": ("secret", {}),
    "string": ("secret", {}),
    "json": ("secret", {}),
    "date-time": ("secret", {}),
    "aws-credentials": ("aws-credentials", _AWS),
    "s3-bucket": ("s3-bucket", {"bucket_name": "bucket", "bucket_folder": "prefix"}),
    "github-credentials": ("git-credentials", {}),
    "gitlab-credentials": ("git-credentials", {}),
    "bitbucket-credentials": ("git-credentials", {}),
    "database-credentials": ("database-credentials", {"driver": "drivername"}),
    "slack-webhook": ("http-webhook", {}),
}


def found(path: Path | None) -> Iterator[Found]:
    """Every named block, each by itself: one that does not open keeps no other from being imported. Raises `Usage`."""
    file = path or Path(os.environ.get("PREFECT_HOME") or "~/.prefect") / "prefect.db"
    ids, rows, parts, key = _read(file.expanduser())
    for row in rows:
        source = f"{ids[row[0]][0]}/{ids[row[0]][1]}"
        fields = _opened(row[3], key)
        if fields is None:
            yield Found(
                source,
                row[2],
                problem="cannot be decrypted with the key of this database: set PREFECT_SERVER_ENCRYPTION_KEY",
            )
        else:
            inside = {name: ids[child] for parent, name, child in parts if parent == row[0] and child in ids}
            yield Found(source, row[2], tuple(_forms(row[1], fields, inside)))


def _read(file: Path) -> tuple[dict[str, tuple[str, str]], list[Any], list[Any], Fernet | None]:
    """What is called what, the blocks, which is part of which, and the key."""
    try:
        if not file.is_file():
            raise Usage(f"there is no {shown(file.name)} there: name Prefect's SQLite file")
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
            rows, parts = database.execute(_BLOCKS).fetchall(), database.execute(_PARTS).fetchall()
            return {row[0]: (row[1], row[2]) for row in rows}, rows, parts, _key(database.execute(_KEY).fetchone())
    except sqlite3.Error:
        pass
    raise Usage(f"{shown(file.name)} is not a database of Prefect 3")


def _key(row: tuple[str] | None) -> Fernet | None:
    given = os.environ.get("PREFECT_SERVER_ENCRYPTION_KEY") or os.environ.get("ORION_ENCRYPTION_KEY")
    try:
        key = given or (json.loads(row[0])["fernet_key"] if row else "")
        return Fernet(key.encode()) if key else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _opened(data: str, key: Fernet | None) -> dict[str, Any] | None:
    try:
        fields = json.loads(key.decrypt(json.loads(data).encode())) if key else None
        return fields if isinstance(fields, dict) else None
    except (InvalidToken, ValueError, AttributeError):
        return None


def _forms(kind: str, fields: Mapping[str, Any], inside: Mapping[str, tuple[str, str]]) -> Iterator[Form]:
    """As the kind that is ours, if it holds all of it; or as one secret, with references for the blocks inside."""
    ours, names = _KINDS.get(kind, ("", {}))
    if ours:
        renamed = {names.get(name, name): value for name, value in _flat(fields).items()}
        yield Form(ours, renamed | {name: _reference(*child) for name, child in inside.items()})
    rest = {
        **fields,
        **{
            name: f"bondstone://{_KINDS.get(child[0], ('secret',))[0]}/{slug(child[1])}"
            for name, child in inside.items()
        },
    }
    yield Form("secret", {"value": rest})


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is empty or Prefect's own; blocks that are written out inside have their fields renamed as well."""
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if name == "aws_client_parameters" and isinstance(value, dict):
            given = {key: one for key, one in value.items() if one not in (None, True, "", {})}
            flat |= {"endpoint" if key == "endpoint_url" else f"{name}.{key}": one for key, one in given.items()}
        elif isinstance(value, dict) and value.get("block_type_slug") in _KINDS:
            names = _KINDS[value["block_type_slug"]][1]
            flat[name] = {names.get(key, key): one for key, one in _flat(value).items()}
        elif value not in (None, "", {}) and name not in ("block_type_slug", "api_version", "use_ssl", "verify"):
            flat[name] = value
    return flat


def _reference(kind: str, name: str) -> Reference | str:
    try:
        return Reference(_KINDS.get(kind, ("secret",))[0], slug(name))
    except BondstoneError:
        return ""
