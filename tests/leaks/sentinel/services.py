"""The real services that a flow goes to, each with a secret of its own: Git over HTTP, PostgreSQL, S3, Arraylake (a stand-in)."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

from bondstone.cli.demo.server import S3Server, s3_server
from tests.integrations.arraylake_stand_in import ORG, Service, arraylake_service
from tests.integrations.git_host import git_host, sh
from tests.postgres import Server

BUCKET, ROLE = "reports", "flow"


@dataclass
class Services:
    """What runs. Their own folders are not searched: each of them knows its secret, as it must."""

    s3: S3Server = field(repr=False)
    database: Server
    arraylake: Service
    given: dict[str, Any] = field(repr=False)  # to the flow, fit for JSON: where they are, and `secrets`

    def secrets(self) -> dict[str, str]:
        """By name: those that the flow was given, and those that Arraylake gave it meanwhile."""
        keys = self.arraylake.state.with_suffix(".given").read_text().split()
        return {**self.given["secrets"], **{f"Arraylake's keys {n}": key for n, key in enumerate(set(keys))}}

    def leave(self, folder: Path) -> None:
        """Put what the flow left in them into `folder`: objects of the bucket, rows of the database, and the database's log."""
        client = self.s3.client("s3")
        for item in client.list_objects_v2(Bucket=BUCKET)["Contents"]:
            path = folder / "objects" / item["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(client.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read())
        (folder / "postgresql-rows").write_text("\n".join(self._rows()))
        shutil.copyfile(self.database.log, folder / "postgresql.log")

    def _rows(self) -> Iterator[str]:
        with self.database.connect(self.given["database"]) as owner:
            for (name,) in owner.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall():
                yield name
                yield from map(str, owner.execute(f'SELECT * FROM "{name}"'))


@contextmanager
def services(folder: Path, marker: str) -> Iterator[Services]:
    """All of them, with new secrets. `marker` is in the names of the Git repository, hence in its URL."""
    arraylake_token, git_token = f"ema_{token_hex(16)}", f"ghp_{token_hex(18)}"
    password = f"of the flow: {token_hex(12)}"
    with (
        s3_server(folder / "s3", engine="ministack") as s3,
        _postgresql(password) as (database, name),
        git_host(_repositories(folder / "git", marker), git_token) as host,
        arraylake_service(_made(folder / "arraylake")) as arraylake,
    ):
        for user in ("flow", "lake"):
            s3.create_user(user)
        s3.create_bucket(BUCKET)
        key = s3.create_key("flow")
        arraylake.begin(s3, "lake")
        arraylake.accept(arraylake_token)
        secrets = {
            "token": f"sentinel-{token_hex(12)}",
            "deployed token": f"sentinel-{token_hex(12)}",
            "S3 key": key.secret_access_key,
            "Git token": git_token,
            "database password": password,
            "Arraylake token": arraylake_token,
        }
        given = {
            "secrets": secrets,
            "access_key_id": key.access_key_id,
            "endpoint": s3.endpoint,
            "git": f"{host.url}/flows-{marker}.git",
            "port": database.port,
            "database": name,
            "arraylake": arraylake.uri,
            "repo": f"{ORG}/ocean",
        }
        yield Services(s3, database, arraylake, given)


@contextmanager
def _postgresql(password: str) -> Iterator[tuple[Server, str]]:
    """A server that logs each statement; `ROLE` may make tables in a database of its own."""
    server = Server(log_statement="all")
    try:
        server.start()
        name = server.database()
        with server.connect(name) as owner:
            verifier = owner.pgconn.encrypt_password(password.encode(), ROLE.encode(), b"scram-sha-256").decode()
            owner.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{verifier}'")
            owner.execute(f"ALTER DATABASE {name} OWNER TO {ROLE}")
        yield server, name
    finally:
        server.close()


def _repositories(folder: Path, marker: str) -> Path:
    """The root of the host, with one repository."""
    work, bare = _made(folder / "work"), folder / f"root/flows-{marker}.git"
    (work / "flow.py").write_text("...\n")
    who = ("-c", "user.name=f", "-c", "user.email=f@example.org")
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], [*who, "commit", "-q", "-m", "first"]):
        sh(work, *words)
    sh(folder, "clone", "-q", "--bare", "work", str(bare))
    return bare.parent


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
