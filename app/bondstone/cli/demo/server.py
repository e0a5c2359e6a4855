"""A real S3 server on 127.0.0.1 that refuses unknown and revoked keys, for the demo and the tests."""

import json
import os
import secrets
import string
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import boto3
import botocore.session
from botocore.config import Config

from bondstone.cli.demo.process import ChildServer, child_server, listening

Engine = Literal["ministack", "moto"]

REGION = "us-east-1"
_MINISTACK = Path(sys.prefix) / "ministack" / "bin" / "python"  # it pins botocore, so it lives by itself


@dataclass(frozen=True)
class KeyPair:
    """An access key of one IAM user."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True)
class S3Server:
    """A running server, and the right to administer it."""

    name: str  # as "moto 5.2.5"
    endpoint: str  # as "http://127.0.0.1:40123"
    admin: KeyPair = field(repr=False)
    region: str = REGION

    def create_user(self, name: str) -> None:
        """An IAM user who may do all of S3, and nothing else."""
        self._iam.create_user(UserName=name)
        self._iam.put_user_policy(UserName=name, PolicyName="s3", PolicyDocument=_allow("s3:*"))

    def create_key(self, user: str) -> KeyPair:
        return _key_pair(self._iam.create_access_key(UserName=user))

    def delete_key(self, user: str, access_key_id: str) -> None:
        """From the return on, requests with this key get 403."""
        self._iam.delete_access_key(UserName=user, AccessKeyId=access_key_id)

    def deactivate_key(self, user: str, access_key_id: str) -> None:
        """As `delete_key`, but IAM keeps the key; moto goes on to accept it."""
        self._iam.update_access_key(UserName=user, AccessKeyId=access_key_id, Status="Inactive")

    def create_bucket(self, name: str) -> None:
        _client("s3", self.endpoint, self.admin).create_bucket(Bucket=name)

    def client(self, service: str) -> Any:
        """The administrator's boto3 client for another service, such as ``kms``. Of the two engines moto has them all."""
        return _client(service, self.endpoint, self.admin)

    @cached_property
    def _iam(self) -> Any:
        return _client("iam", self.endpoint, self.admin)


@contextmanager
def s3_server(folder: Path, *, engine: Engine | None = None) -> Iterator[S3Server]:
    """Run a server with random root credentials until the end of the block; its log goes to `folder`.

    Without `engine` it is ministack where that is installed, which checks more, else moto. The thread that enters
    must live as long as the block: the server is killed with it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    start = {"ministack": _ministack, "moto": _moto}[engine or _default_engine()]
    with start(folder.resolve()) as server:
        yield server


def _default_engine() -> Engine:
    return "ministack" if _MINISTACK.exists() else "moto"


@contextmanager
def _ministack(folder: Path) -> Iterator[S3Server]:
    if not _MINISTACK.exists():
        raise FileNotFoundError(f"there is no ministack environment at {_MINISTACK}; run `make setup`")
    root = _random_key()
    with listening() as listener:
        # 0 workers: it serves itself, where one worker would be a process below it that outlives it
        argv = [str(_MINISTACK), "-m", "hypercorn", "ministack.app:app", "--workers", "0"]
        argv += ["--bind", f"fd://{listener.fileno()}"]
        env = _ministack_env(folder, root, port=listener.getsockname()[1])
        with child_server(argv, listener=listener, env=env, log=folder / "ministack.log") as child:
            health = json.loads(child.ask("/_ministack/health"))
            yield S3Server(f"ministack {health['version']}", child.endpoint, root)


def _ministack_env(folder: Path, root: KeyPair, *, port: int) -> dict[str, str]:
    return {
        "AUTH": "true",
        "AWS_ACCESS_KEY_ID": root.access_key_id,
        "AWS_SECRET_ACCESS_KEY": root.secret_access_key,
        "GATEWAY_PORT": str(port),
        "SERVICES": "iam,s3,sts",
        "IOT_MTLS_ENABLED": "0",  # or it opens a second port, on every interface
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": f"unix://{folder}/none",  # or it removes the user's ministack containers
        "STATE_DIR": str(folder),
        "S3_DATA_DIR": str(folder),
    }


@contextmanager
def _moto(folder: Path) -> Iterator[S3Server]:
    with listening() as listener:
        argv = [sys.executable, "-m", "moto.server", "-p", str(listener.getsockname()[1])]
        # werkzeug takes over a listener only where its own reloader started it, so it is told so
        env = {"WERKZEUG_RUN_MAIN": "true", "WERKZEUG_SERVER_FD": str(listener.fileno())}
        with child_server(argv, listener=listener, env=env, log=folder / "moto.log") as child:
            child.ask("/moto-api/data.json")
            yield S3Server(f"moto {version('moto')}", child.endpoint, _moto_admin(child))


def _moto_admin(child: ChildServer) -> KeyPair:
    """Make an administrator while moto still believes everybody, then have it check every request."""
    iam = _client("iam", child.endpoint, _random_key())
    iam.create_user(UserName="admin")
    iam.put_user_policy(UserName="admin", PolicyName="all", PolicyDocument=_allow("*"))
    admin = _key_pair(iam.create_access_key(UserName="admin"))
    child.ask("/moto-api/reset-auth", post="0")
    return admin


def _client(service: str, endpoint: str, key: KeyPair) -> Any:
    """A boto3 client for which neither the environment nor the files of the user count."""
    alone = botocore.session.Session(
        session_vars={  # (name in the file, in the environment, default, conversion)
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
    )
    return boto3.Session(botocore_session=alone).client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        config=Config(proxies={}, retries={"total_max_attempts": 2}, connect_timeout=5, read_timeout=30),
    )


def _random_key() -> KeyPair:
    letters = string.ascii_uppercase + string.digits
    return KeyPair("AKIA" + "".join(secrets.choice(letters) for _ in range(16)), secrets.token_urlsafe(30))


def _key_pair(response: dict[str, Any]) -> KeyPair:
    key = response["AccessKey"]
    return KeyPair(key["AccessKeyId"], key["SecretAccessKey"])


def _allow(action: str) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
