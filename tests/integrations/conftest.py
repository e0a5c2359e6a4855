"""Real S3 servers that refuse revoked keys, and a registry whose blocks lead to them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import cloudpickle
import pytest

from bondstone.blocks import Block, Reference, find
from bondstone.cli.demo.hunt import hunt_bytes
from bondstone.cli.demo.server import Engine, KeyPair, S3Server, s3_server
from bondstone.integrations import arraylake
from tests.integrations.arraylake_stand_in import ORG, Service, arraylake_service
from tests.integrations.git_host import FIRST, GitHost, commit, git_host, sh
from tests.integrations.paired_roles import Pair, logging_server, paired_roles
from tests.postgres import Server

both = pytest.mark.parametrize("server", ["ministack", "moto"], indirect=True)
BUCKET = "reports"


@dataclass
class Account:
    """A user of the S3 server whose keys come and go; the block `aws-credentials/prod` holds the one that is current."""

    server: S3Server = field(repr=False)
    user: str
    key: KeyPair
    secrets: dict[str, str] = field(default_factory=dict, repr=False)  # every one there ever was

    def __post_init__(self) -> None:
        self.publish(self.key)

    def publish(self, key: KeyPair) -> None:
        """Save a key as the next version of the block."""
        self.key = key
        self.secrets[f"key {len(self.secrets) + 1}"] = key.secret_access_key
        pair = {"access_key_id": key.access_key_id, "secret_access_key": key.secret_access_key}
        save("aws-credentials/prod", **pair)

    def rotate(self) -> None:
        """A new key in the block, and the old one deleted at the server."""
        old = self.key
        self.publish(self.server.create_key(self.user))
        self.server.delete_key(self.user, old.access_key_id)

    def revoke(self) -> None:
        """The key is deleted at the server; the block is not told."""
        self.server.delete_key(self.user, self.key.access_key_id)

    def shown_in(self, data: bytes) -> list[str]:
        """In what ways one of the secret keys stands in `data`."""
        return [str(hit) for hit in hunt_bytes(self.secrets, data, "data")]


def save(reference: str, **fields: Any) -> Block:
    """Save a block as the next version of a reference."""
    kind, _, name = reference.partition("/")
    return find(kind)(**fields).save(Reference(kind, name).name, overwrite=True)


def elsewhere(program: str, it: object = None, **environment: str) -> str:
    """What `program` prints in a process of its own, which has our home, hence our registry; there `it` arrives as a pickle."""
    argv = [sys.executable, "-c", f"import pickle, sys; it = pickle.load(sys.stdin.buffer)\n{program}"]
    env = os.environ | environment
    parcel: bytes = cloudpickle.dumps(it)
    done = subprocess.run(argv, env=env, input=parcel, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


@pytest.fixture(autouse=True)
def alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the proxies nor the cloud settings of whoever runs this; arraylake asks a proxy even for 127.0.0.1."""
    clouds = ("AWS_", "AZURE_", "GOOGLE_", "ARRAYLAKE")
    for name in [name for name in os.environ if name.lower().endswith("_proxy") or name.startswith(clouds)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Engine], S3Server]]:
    """The server of an engine, started when it is first asked for."""
    started: dict[Engine, S3Server] = {}
    with ExitStack() as stack:

        def started_once(engine: Engine) -> S3Server:
            if engine not in started:
                started[engine] = stack.enter_context(s3_server(tmp_path_factory.mktemp(engine), engine=engine))
                started[engine].create_bucket(BUCKET)
            return started[engine]

        yield started_once


@pytest.fixture(scope="session")
def role_server() -> Iterator[Server]:
    """A PostgreSQL for `pair`."""
    with logging_server() as running:
        yield running


@pytest.fixture
def pair(role_server: Server, home: Path) -> Iterator[Pair]:
    """Set up anew for each test."""
    with paired_roles(role_server) as pair:
        yield pair


@pytest.fixture
def server(request: pytest.FixtureRequest, servers: Callable[[Engine], S3Server]) -> S3Server:
    """Ministack, which checks more; with `@both`, moto as well."""
    return servers(getattr(request, "param", "ministack"))


@pytest.fixture
def reports(server: S3Server, home: Path) -> Account:
    """A registry with `s3-bucket/reports`, `icechunk-repo/ocean` in it, `icechunk-repo/local`, and who may use them."""
    user = f"flow-{uuid4().hex[:8]}"
    server.create_user(user)
    account = Account(server, user, server.create_key(user))
    place = {"bucket": BUCKET, "endpoint": server.endpoint}
    save("s3-bucket/reports", **place, credentials="aws-credentials/prod")
    save("icechunk-repo/ocean", bucket="s3-bucket/reports", prefix=f"ocean-{uuid4().hex[:8]}")
    save("icechunk-repo/local", path=str(home.parent / "ocean.icechunk"))
    return account


@pytest.fixture
def git_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration of a user who lets git store what it was given: our token must not get there."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "SSH_"))]:
        monkeypatch.delenv(name)
    (home / ".gitconfig").write_text("[user]\nname=f\nemail=f@example.org\n[credential]\nhelper=store\n")


@pytest.fixture
def host(tmp_path: Path, git_home: None) -> Iterator[GitHost]:
    """A host with `flows.git`: two commits on `main`, the first of them tagged `v1`, one more on `feature`."""
    work = tmp_path / "work"
    for line in ("init -q -b main", "commit -q --allow-empty -m zero"):
        work.mkdir(exist_ok=True)
        sh(work, *line.split())
    commit(work, "first", "flows/daily/flow.py")
    sh(work, "tag", "v1")
    commit(work, "second")
    sh(work, "checkout", "-q", "-b", "feature")
    commit(work, "third")
    sh(work, "checkout", "-q", "main")
    sh(tmp_path, "clone", "-q", "--bare", "work", "root/flows.git")
    with git_host(tmp_path / "root", FIRST) as running:
        save("git-credentials/ci", token=FIRST)
        save("git-repository/flows", url=f"{running.url}/flows.git", credentials="git-credentials/ci")
        yield running


@pytest.fixture(scope="session")
def arraylake_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """For `lake`, and for whoever needs a service without storage."""
    with arraylake_service(tmp_path_factory.mktemp("arraylake")) as service:
        yield service


@pytest.fixture
def lake(arraylake_process: Service, reports: Account) -> Service:
    """Arraylake, which keeps `arraylake-repo/ocean` in a bucket by delegated keys, `arraylake-repo/plain` by keys of the bucket.
    What leads there is `arraylake-token/prod`. On moto, which delegates nothing that its S3 knows, both are plain.
    """
    service, prefix = arraylake_process, f"lake-{uuid4().hex[:8]}"
    reports.server.create_user(prefix)
    service.begin(reports.server, prefix)
    service.accept("ema_first-token")
    save("arraylake-token/prod", token="ema_first-token", service_uri=service.uri)
    delegated = "delegated" if "ministack" in reports.server.name else "hmac"
    for name, bucket in (("ocean", delegated), ("plain", "hmac")):
        save(f"arraylake-repo/{name}", repo=f"{ORG}/{name}", token="arraylake-token/prod")
        client, place = arraylake.connect("prod"), f"{prefix}/{name}"
        client.create_repo(f"{ORG}/{name}", bucket_config_nickname=bucket, prefix=place)
    service.forget()
    return service
