"""PostgreSQL: two login roles of one owner take turns. What the server needs for it stands in `docs/rotation-postgresql.md`.

Databases of other kinds, and blocks without `rotates_with`, are rotated by hand: the new password is given, and proved.

Sources: PostgreSQL, "ALTER ROLE" and "Role Attributes"; libpq, `PQencryptPasswordConn`; RFC 5802 and 7677 (SCRAM).
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from bondstone.blocks import AccessDenied, BondstoneError, Conflict, InvalidSettings, SecretStr, ServiceUnavailable
from bondstone.blocks.database import DatabaseCredentials
from bondstone.blocks.rotator import Guided, Verified
from bondstone.integrations import database
from bondstone.integrations.extras import need

_PAGE = "docs/rotation-postgresql.md"
_LIMITS = {"connect_timeout": 10, "tcp_user_timeout": 10_000}  # seconds, and milliseconds of a peer that is silent
_SLOWEST = "SELECT set_config('statement_timeout', '10s', false), set_config('lock_timeout', '5s', false)"
_OTHER = "SELECT rolcanlogin, to_regproc('bondstone.turn') IS NOT NULL FROM pg_roles WHERE rolname = %s"
_OWNERS = """
    SELECT o.rolname FROM pg_roles o
    WHERE NOT o.rolcanlogin AND pg_has_role(session_user, o.oid, 'MEMBER') AND pg_has_role(%s, o.oid, 'MEMBER')
    ORDER BY 1
"""
_WHO = "SELECT rolname, nullif(rolvaliduntil, 'infinity') FROM pg_roles WHERE rolname = session_user"


class DatabasePasswords(Guided):
    """The password of a login role, replaced by that of its pair."""

    def guided(self, block: Any) -> bool:
        return block.rotates_with is None

    def existing(self, block: DatabaseCredentials) -> Sequence[str]:  # type: ignore[override]
        """Which of the two can log in: the one of `block`, or there is no room."""
        if not block.rotates_with:
            return ()
        with _session(block) as session:
            can_log_in, is_set_up = session.execute(_OTHER, (block.rotates_with,)).fetchone() or (False, False)
            if not is_set_up:
                raise AccessDenied(f"the server of {_name(block)} is not set up for {block.rotates_with}: see {_PAGE}")
            _owner(session, block)
        if can_log_in:
            raise Conflict(
                f"{block.rotates_with} can log in already: finish the rotation of {_name(block)} before, or see {_PAGE}"
            )
        return (block.username or "",)

    def create(self, block: DatabaseCredentials, given: Mapping[str, Any]) -> DatabaseCredentials:  # type: ignore[override]
        """The other role with a new password; nothing is sent."""
        if not block.rotates_with:
            return super().create(block, given)
        if given:
            raise InvalidSettings(f"the new password of {_name(block)} is made here: give no fields")
        its = {"username": block.rotates_with, "rotates_with": block.username}
        return block.model_copy(update={**its, "password": SecretStr(secrets.token_urlsafe(32))})

    def install(self, new: DatabaseCredentials, block: DatabaseCredentials) -> None:  # type: ignore[override]
        """Let the other role in, by the verifier of its password."""
        if not _pair(new, block):
            return
        with _session(block) as session:
            session.execute("SELECT bondstone.turn(%s, 'install', %s)", (new.username, _verifier(session, new)))

    def verify(self, block: DatabaseCredentials) -> Verified:
        """Log in. Of a pair also: act as its owner."""
        if not block.drivername.startswith("postgresql"):
            return _asked(block)
        with _session(block) as session:
            role, until = session.execute(_WHO).fetchone()
            owner = f" and it can act as {_owner(session, block)}" if block.rotates_with else ""
        return Verified(
            "SELECT session_user", role, f"The server lets this role in{owner}; its rights are not asked.", until
        )

    def disable(self, old: DatabaseCredentials, block: DatabaseCredentials) -> None:  # type: ignore[override]
        """`old` cannot log in from now on; its sessions go on."""
        _turn(old, block, "disable")

    def retire(self, old: DatabaseCredentials, block: DatabaseCredentials) -> None:  # type: ignore[override]
        """`old` has no password; the role stays for its next turn."""
        _turn(old, block, "retire")

    def discard(  # type: ignore[override]
        self, before: Sequence[str], new: DatabaseCredentials | None, block: DatabaseCredentials
    ) -> None:
        """The other role is as it was. Without `new` nothing had been sent."""
        if new is not None and new.username not in before:
            _turn(new, block, "retire")


database_credentials = DatabasePasswords()


def _turn(which: DatabaseCredentials, block: DatabaseCredentials, step: str) -> None:
    """Nothing to do for an earlier password of the same role: it went when the role got a new one."""
    if block.rotates_with and (which.username, which.password) == (block.username, block.password):
        raise Conflict(f"{block.username} is the role that {_name(block)} uses: it is not turned off")
    if _pair(which, block):
        with _session(block) as session:
            session.execute("SELECT bondstone.turn(%s, %s)", (which.username, step))


def _pair(which: DatabaseCredentials, block: DatabaseCredentials) -> bool:
    """Whether `which` is the other role of `block`'s pair; rotated by hand, or of the same role, it is not."""
    return bool(block.rotates_with) and which.username == block.rotates_with


def _verifier(session: Any, new: DatabaseCredentials) -> str:
    password = new.password.get_secret_value() if new.password else ""
    made: bytes = session.pgconn.encrypt_password(password.encode(), (new.username or "").encode(), b"scram-sha-256")
    return made.decode()


def _owner(session: Any, block: DatabaseCredentials) -> str:
    """The role that both of a pair can act as; the session acts as it from here on."""
    refused = need("psycopg.errors", "postgres").InsufficientPrivilege
    for (owner,) in session.execute(_OWNERS, (block.rotates_with,)).fetchall():
        try:
            session.execute("SELECT set_config('role', %s, false)", (owner,))
        except refused:
            continue
        return str(owner)
    raise AccessDenied(f"{block.username} and {block.rotates_with} cannot act as one owner: see {_PAGE}")


def _asked(block: DatabaseCredentials) -> Verified:
    """A database of another kind, by way of its own driver."""
    from sqlalchemy import select
    from sqlalchemy.exc import DBAPIError

    engine = database.engine(lambda: block, lambda: block, 0)
    try:
        with engine.connect() as connection:
            connection.execute(select(1))
        return Verified("SELECT 1", block.username or "", "The database lets this user in; its rights are not asked.")
    except DBAPIError:
        pass
    finally:
        engine.dispose()
    raise ServiceUnavailable(f"the database of {_name(block)} did not answer: try again, or correct host and database")


@contextmanager
def _session(block: DatabaseCredentials) -> Iterator[Any]:
    """A connection as this very role. Errors of the server are told without the frames that hold the password."""
    if not block.drivername.startswith("postgresql"):
        raise InvalidSettings(f"rotates_with of {_name(block)} is for PostgreSQL: leave it out, and give the password")
    psycopg = need("psycopg", "postgres")
    fault: BondstoneError
    try:
        with psycopg.connect(**_place(block), **_password(block), autocommit=True) as session:
            session.execute(_SLOWEST)
            yield session
    except psycopg.Error as error:
        fault = _told(error, block)
    else:
        return
    raise fault


def _place(block: DatabaseCredentials) -> dict[str, Any]:
    where = {"host": block.host, "port": block.port, "dbname": block.database, "user": block.username}
    return block.query | _LIMITS | {name: value for name, value in where.items() if value is not None}


def _password(block: DatabaseCredentials) -> dict[str, str]:
    return {"password": block.password.get_secret_value()} if block.password else {}


def _told(error: Any, block: DatabaseCredentials) -> BondstoneError:
    kinds = need("psycopg.errors", "postgres")
    if isinstance(error, kinds.InsufficientPrivilege | kinds.UndefinedFunction | kinds.InvalidSchemaName):
        return AccessDenied(f"the server of {_name(block)} does not let {block.username} do this: see {_PAGE}")
    if database.refused(error):
        return AccessDenied(
            f"the server of {_name(block)} refused {block.username}: correct its password, or let it in"
        )
    code = error.sqlstate or type(error).__name__
    return ServiceUnavailable(
        f"the server of {_name(block)} failed ({code}): try again, or correct its host and database"
    )


def _name(block: DatabaseCredentials) -> str:
    return str(block.reference or block.kind)
