"""Connections and variables of Airflow. Source: Airflow documentation, "Managing Connections" and "Local Filesystem Secrets Backend"."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from bondstone.cli import readable
from bondstone.cli.faults import Usage
from bondstone.cli.imports import Form, Found
from bondstone.integrations.airflow_connections import AWS_EXTRAS, DIALECTS
from bondstone.registry.names import shown

_INNER = re.compile(r"[a-z][a-z0-9+.-]*://")
_CONNECTION, _VARIABLE = "AIRFLOW_CONN_", "AIRFLOW_VAR_"
_PARTS = ("conn_type", "host", "login", "password", "schema", "port", "extra")


def found(path: Path | None) -> Iterator[Found]:
    """Of the environment, or of a file: JSON as `airflow connections export` and `variables export` write it, or name=value lines."""
    if path is None:
        names = (_CONNECTION, _VARIABLE)
        entries: Mapping[str, Any] = {name: value for name, value in os.environ.items() if name.startswith(names)}
    elif path.suffix == ".json":
        entries = _json(path)
    else:
        from bondstone.cli.envfile import variables

        entries = variables(path)
    all_connections = all(_is_connection(value) for value in entries.values())
    for name, value in entries.items():
        if name.startswith(_VARIABLE) or not (all_connections or name.startswith(_CONNECTION)):
            yield Found(name, name.removeprefix(_VARIABLE), (Form("secret", {"value": value}),))
        else:
            yield _connection(name, value)


def _json(path: Path) -> Mapping[str, Any]:
    try:
        entries = json.loads(readable.text(path))
    except ValueError:  # it holds the text
        entries = None
    if not isinstance(entries, dict):
        raise Usage(f"{shown(path.name)}: is not a JSON object of connections or variables")
    return entries


def _is_connection(value: Any) -> bool:
    if isinstance(value, dict):
        return "conn_type" in value
    return isinstance(value, str) and (_object(value) is not None or "://" in value)


def _object(text: str) -> dict[str, Any] | None:
    """A connection in JSON."""
    try:
        value = json.loads(text) if text.lstrip().startswith("{") else None
    except ValueError:
        return None
    return value if isinstance(value, dict) and "conn_type" in value else None


def _connection(source: str, value: Any) -> Found:
    name = source.removeprefix(_CONNECTION)
    try:
        parts = value if isinstance(value, dict) else _object(value) or _of_uri(value)
        parts = _tidy(parts)
    except (ValueError, AttributeError, TypeError):  # their text holds a piece of it
        return Found(source, name, problem="is no connection: neither a URI nor JSON")
    return Found(source, name, (*_forms(parts), Form("secret", {"value": parts})))


def _of_uri(uri: str) -> dict[str, Any]:
    """As Airflow reads it: every part is percent-encoded, and a host may begin with its own scheme."""
    kind, separator, rest = uri.partition("://")
    if not separator or not kind:
        raise ValueError("no scheme")
    inner = _INNER.match(rest)  # http://https://host is an http connection to https://host
    parts = urlsplit(f"//{rest[inner.end() :] if inner else rest}")
    host = parts.netloc.rpartition("@")[2]
    host = unquote(host if parts.port is None else host.rpartition(":")[0])
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return {
        "conn_type": kind.replace("-", "_"),
        "host": f"{inner[0]}{host}" if inner else host,
        "login": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "schema": unquote(parts.path[1:]),
        "port": parts.port,
        "extra": query.get("__extra__", query),
    }


def _tidy(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is empty; what is extra as a mapping where it is one; a port as a number."""
    tidy = {name: parts[name] for name in _PARTS if parts.get(name) not in (None, "", {}, "{}")}
    if isinstance(tidy.get("extra"), str):
        with suppress(ValueError):
            tidy["extra"] = json.loads(tidy["extra"])
    if "port" in tidy:
        tidy["port"] = int(tidy["port"])
    return tidy


def _forms(parts: Mapping[str, Any]) -> Iterator[Form]:
    """The kinds that could hold all of it."""
    kind = str(parts.get("conn_type", "")).lower()
    extra = parts.get("extra", {})
    if not isinstance(extra, dict):
        return
    if kind in DIALECTS:
        yield Form("database-credentials", _database(kind, parts, extra))
    elif kind in ("aws", "s3"):
        yield Form(
            "aws-credentials",
            _renamed(parts, extra, {"login": "access_key_id", "password": "secret_access_key"}, AWS_EXTRAS),
        )
    elif kind in ("http", "https") and not parts.keys() & {"login", "password"}:
        yield Form("http-webhook", {"url": _url(kind, parts)} | ({"headers": extra} if extra else {}))
    elif kind == "slackwebhook" and parts.keys() <= {"conn_type", "host", "password"}:
        base = parts.get("host", "https://hooks.slack.com/services")
        yield Form("http-webhook", {"url": f"{base}/{parts.get('password', '')}", "style": "slack"})


def _database(kind: str, parts: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    names = {"login": "username", "password": "password", "host": "host", "port": "port", "schema": "database"}
    fields = _renamed(parts, {}, names, {})
    return {"drivername": DIALECTS[kind], **fields} | ({"query": extra} if extra else {})


def _renamed(
    parts: Mapping[str, Any], extra: Mapping[str, Any], names: Mapping[str, str], extras: Mapping[str, str]
) -> dict[str, Any]:
    """What has another name here. What has none keeps its own, so that a block which cannot hold it is not made."""
    own = {names.get(name, name): value for name, value in parts.items() if name not in ("conn_type", "extra")}
    return own | {extras.get(name, name): value for name, value in extra.items()}


def _url(kind: str, parts: Mapping[str, Any]) -> str:
    host = str(parts.get("host", ""))
    scheme = "" if "://" in host else f"{parts.get('schema') or kind}://"
    return f"{scheme}{host}" + (f":{parts['port']}" if "port" in parts else "")
