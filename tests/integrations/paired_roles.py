"""Two roles that take turns, at a real PostgreSQL that was set up by the words of the documentation and logs every statement."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bondstone.blocks import DatabaseCredentials
from bondstone.integrations import database
from tests.postgres import Server

_PAGE = Path(__file__).parents[2] / "docs/rotation-postgresql.md"
_SETUP = re.search(r"```sql\n(.*?)```", _PAGE.read_text(), re.DOTALL)
FIRST = "the first: p@ss/w%rd"
NAME = "dwh"


@dataclass
class Pair:
    """A database with the roles `app_a`, which is in use, and `app_b`; whose block is `database-credentials/dwh`."""

    server: Server
    name: str
    block: DatabaseCredentials
    passwords: dict[str, str] = field(default_factory=lambda: {"first": FIRST})

    def may_log_in(self) -> set[str]:
        return {name for (name,) in self.ask("SELECT rolname FROM pg_roles WHERE rolname ~ '^app_.$' AND rolcanlogin")}

    def with_password(self) -> set[str]:
        asked = "SELECT rolname FROM pg_authid WHERE rolname ~ '^app_.$' AND rolpassword LIKE 'SCRAM-SHA-256$%'"
        return {name for (name,) in self.ask(asked)}

    def ids(self) -> set[str]:
        """The roles that can log in, or could be let in again."""
        return self.may_log_in() | self.with_password()

    def id_of(self, block: DatabaseCredentials) -> str:
        return block.username or ""

    def ask(self, statement: str) -> list[Any]:
        with self.server.connect(self.name) as owner:
            cursor = owner.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def usable(self, block: DatabaseCredentials) -> bool:
        """Asked not by way of the rotator."""
        try:
            self.connection(block).close()
        except psycopg.OperationalError:
            return False
        return True

    def connection(self, block: DatabaseCredentials) -> "psycopg.Connection[Any]":
        secret = block.password.get_secret_value() if block.password else ""
        self.passwords[f"{block.username} {len(self.passwords)}"] = secret
        return psycopg.connect(
            host="127.0.0.1",
            port=self.server.port,
            dbname=self.name,
            user=block.username,
            password=secret,
            autocommit=True,
        )


@contextmanager
def logging_server() -> Iterator[Server]:
    """With an administrator who may make roles and is no superuser, as a managed service gives.

    Each line of its log begins with the database and the error code.
    """
    logs = {"log_statement": "all", "log_min_messages": "debug1", "log_min_duration_statement": "0"}
    running = Server(**logs, log_line_prefix="%d %e ")
    try:
        running.start()
        with running.connect("postgres") as owner:
            owner.execute("CREATE ROLE dba LOGIN CREATEROLE PASSWORD 'dba'")
        yield running
    finally:
        running.close()


@contextmanager
def paired_roles(server: Server) -> Iterator[Pair]:
    """Dropped afterwards, since roles are the whole server's."""
    name = server.database()
    with server.connect(name) as owner:
        owner.execute(f"GRANT CREATE ON DATABASE {name} TO dba")
    with psycopg.connect(
        host="127.0.0.1", port=server.port, user="dba", password="dba", dbname=name, autocommit=True
    ) as dba:
        assert _SETUP is not None
        dba.execute(_SETUP.group(1))
        verifier = dba.pgconn.encrypt_password(FIRST.encode(), b"app_a", b"scram-sha-256").decode()
        dba.execute(f"ALTER ROLE app_a PASSWORD '{verifier}'")
    place = {"drivername": "postgresql+psycopg", "host": "127.0.0.1", "port": server.port, "database": name}
    block = DatabaseCredentials(**place, username="app_a", password=FIRST, rotates_with="app_b").save(NAME)
    yield Pair(server, name, block)
    for engine in database._engines.values():
        engine.dispose()
    database._engines.clear()
    with server.connect("postgres") as owner:
        owner.execute(f"DROP DATABASE {name} WITH (FORCE)")
        for role in ("app_a", "app_b", "app", "bondstone_rotator"):
            owner.execute(f"DROP ROLE {role}")
