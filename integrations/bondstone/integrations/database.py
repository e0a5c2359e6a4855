"""Databases: SQLAlchemy's own engine, whose connections are opened with the user and password of the moment."""

import os
import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from bondstone.blocks import (
    AccessDenied,
    InvalidBlock,
    InvalidSettings,
    MissingExtra,
    live,
)
from bondstone.blocks.database import DatabaseCredentials

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

_EXTRAS = {"psycopg": "bondstone[postgres]"}  # others are asked for by their own name
_PATIENCE = {"psycopg": {"connect_timeout": 10}}  # seconds; libpq itself waits for ever
_REFUSALS = re.compile(  # PostgreSQL, as psycopg has no code for a connection that was refused; MySQL and others
    r"authentication failed|not permitted to log in|no password supplied|access denied for user|login failed",
    re.IGNORECASE,
)


def connect(name: str, *, ttl: float | None = None) -> "Engine":
    """The `sqlalchemy.Engine` of a `DatabaseCredentials` block: one per name and process, as SQLAlchemy wants it.

    Every new connection is opened with what the block holds then; where that is refused, the block is read again, and if it has
    changed, tried once more. Pooled connections are replaced after `ttl` seconds. An engine does not pickle: send tasks the name.
    Raises `MissingExtra` without the driver; its connections raise `AccessDenied`, or SQLAlchemy's own errors.
    """
    handle = live(DatabaseCredentials, name, ttl=ttl)
    drivername = handle.get().drivername
    key = (*handle.source, handle.ttl, drivername, os.getpid())
    if key not in _engines:
        _engines.setdefault(key, engine(handle.get, handle.refresh, handle.ttl))
    return _engines[key]


type Read = Callable[[], DatabaseCredentials]
_engines: "dict[tuple[str, str, float, str, int], Engine]" = {}


def engine(read: Read, again: Read, ttl: float) -> "Engine":
    """A new engine that takes its values from `read`, after a refusal from `again`.

    Its URL has neither user nor password: it is shown in reprs and logs.
    """
    from sqlalchemy import create_engine, event

    block = read()
    url = _url(block)
    _check_driver(block, url)
    made = create_engine(url, hide_parameters=True, pool_pre_ping=True, pool_recycle=int(ttl))
    event.listen(made, "do_connect", partial(_opened, read, again, block.drivername))
    return made


def _url(block: DatabaseCredentials, **who: Any) -> "URL":
    from sqlalchemy import URL

    return URL.create(
        block.drivername, host=block.host, port=block.port, database=block.database, query=block.query, **who
    )


def _check_driver(block: DatabaseCredentials, url: "URL") -> None:
    """See that the driver is here, before an engine is made of it."""
    from sqlalchemy.exc import ArgumentError

    try:
        url.get_dialect().import_dbapi()
    except ModuleNotFoundError as error:
        missing = str(error.name)
    except ArgumentError:  # no such dialect
        missing = ""
    else:
        return
    if not missing:
        raise InvalidBlock(
            f"SQLAlchemy has no dialect {block.drivername} here: install it, or correct {block.reference}"
        )
    raise MissingExtra(f"{missing} is not installed: pip install '{_EXTRAS.get(missing, missing)}'")


def _opened(read: Read, again: Read, drivername: str, dialect: Any, record: Any, cargs: Any, cparams: Any) -> Any:
    """A connection by the block's values of this moment. What fails is told without the frames that held them."""
    block = read()
    connection, fault = _tried(block, drivername, dialect)
    if fault is not None and (fresh := again()) != block:
        block = fresh
        connection, fault = _tried(block, drivername, dialect)
    if fault is not None:
        raise _told(fault, block)
    return connection


def _tried(block: DatabaseCredentials, drivername: str, dialect: Any) -> tuple[Any, Exception | None]:
    if block.drivername != drivername:
        raise InvalidSettings(f"{block.reference} is for {block.drivername} now: connect anew")
    password = block.password.get_secret_value() if block.password else None
    arguments, options = dialect.create_connect_args(_url(block, username=block.username, password=password))
    try:
        return dialect.connect(*arguments, **(_PATIENCE.get(dialect.driver, {}) | options)), None
    except dialect.loaded_dbapi.Error as error:
        # A new one of its kind: psycopg's own carries the connection that failed, and that the password.
        return None, type(error)(*error.args)


def refused(error: Exception) -> bool:
    """Whether a server means the user or the password; drivers have it only in their text."""
    return bool(_REFUSALS.search(str(error)))


def _told(error: Exception, block: DatabaseCredentials) -> Exception:
    if not refused(error):
        return error
    where = f"database '{block.database}' at {block.host or 'the default host'}"
    return AccessDenied(f"{where} refused {block.username}: save a new version of {block.reference}")
