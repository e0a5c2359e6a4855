"""Rotators are killed at every point of a rotation, by SIGKILL in a process of its own, against the real service; then run again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from bondstone.blocks import AwsCredentials, rotation
from bondstone.cli.demo.server import Engine, S3Server
from bondstone.registry import current_registry
from bondstone.registry.settings import Settings
from tests.integrations.conftest import save

# The lock is short, so that the next run need not wait for a minute.
PROGRAM = """
import json, os, signal, sys
from bondstone.blocks.rotation import VendorSource
from bondstone.blocks import find, Reference
from bondstone.registry import current_registry
from bondstone.registry.settings import Settings
from bondstone.registry.rotation import Rotation

action, reference, fields, point = sys.argv[1], Reference.parse(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4]
registry, passed = current_registry(), []

def at(name):
    passed.append(name)
    if name == point:
        os.kill(os.getpid(), signal.SIGKILL)

source = VendorSource(find(reference.kind), reference, registry, fields)
step = getattr(Rotation(registry, reference.kind, reference.name, source, at=at, lock_seconds=1.0), action)()
print(json.dumps([step.step, passed]))
"""

ROTATE = ["locked", "started", "create", "created", "pending", "installed", "set", "proved", "verified", "current"]
FINISH = ["locked", "retiring", "disabling", "refused", "disabled", "removed", "retired"]
UNDO = ["undoing", "discarded", "undone"]


def run(action: str, reference: str, fields: dict[str, str] | None = None, *, kill_at: str = "") -> list[str]:
    """The points that it passed; none if it was killed."""
    argv = [sys.executable, "-c", PROGRAM, action, reference, json.dumps(fields or {}), kill_at]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=os.environ)
    if kill_at:
        assert done.returncode == -signal.SIGKILL, done.stderr
        time.sleep(1.05)  # the lock ends
        return []
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)[1]  # type: ignore[no-any-return]


class User:
    """An IAM user whose key is `aws-credentials/prod`."""

    reference = "aws-credentials/prod"

    def __init__(self, server: S3Server, name: str) -> None:
        self.server, self.name = server, name
        server.create_user(name)
        statement = {"Effect": "Allow", "Action": ["iam:*AccessKey*", "sts:*"], "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        server.client("iam").put_user_policy(UserName=name, PolicyName="self", PolicyDocument=policy)
        first = server.create_key(name)
        self.old = first.access_key_id
        pair = {"access_key_id": first.access_key_id, "secret_access_key": first.secret_access_key}
        Settings.from_environment().create(max_ttl=1).close()
        save(self.reference, **pair, endpoint=server.endpoint)

    @property
    def keys(self) -> list[str]:
        """Those that are good at the vendor."""
        listed = self.server.client("iam").list_access_keys(UserName=self.name)["AccessKeyMetadata"]
        return [key["AccessKeyId"] for key in listed if key["Status"] == "Active"]

    def works(self) -> bool:
        """Whether the block's key is one that the vendor takes."""
        block = AwsCredentials.load("prod")
        assert block.secret_access_key
        secret = block.secret_access_key.get_secret_value()
        client = boto3.client(
            "sts",
            "us-east-1",
            endpoint_url=self.server.endpoint,
            aws_access_key_id=block.access_key_id,
            aws_secret_access_key=secret,
        )
        return bool(client.get_caller_identity()["Arn"].endswith(f"user/{self.name}"))


@pytest.fixture
def user(servers: Callable[[Engine], S3Server], request: pytest.FixtureRequest, home: Path) -> User:
    """Of moto, which allows two keys and knows who calls."""
    return User(servers("moto"), f"killed-{abs(hash(request.node.name))}")


def end(user: User) -> None:
    """Rotate to the end, the old key being called compromised so that nobody waits for the grace."""
    rotation.finish(user.reference, at_once=True)


def check(user: User, version: int) -> None:
    """One key is good, the block has it, and the audit log is whole."""
    block = AwsCredentials.load("prod")
    assert user.keys == [block.access_key_id]
    assert user.works()
    assert block.version == version
    assert current_registry().verify_audit().faults == []


def test_the_points(user: User) -> None:
    """These are all; a new one must be added to the tests below."""
    assert run("rotate", user.reference) == ROTATE
    assert user.works()
    assert len(user.keys) == 2
    end(user)
    check(user, 2)
    assert user.old not in user.keys


@pytest.mark.parametrize("point", ROTATE)
def test_a_killed_rotation_is_ended_by_the_next(user: User, point: str) -> None:
    """Wherever it was: one usable key in the end, which is the block's, and no orphan."""
    run("rotate", user.reference, kill_at=point)
    assert user.works()

    if point == "current":
        end(user)
    else:
        run("rotate", user.reference)
        assert user.works()
        end(user)

    check(user, AwsCredentials.load("prod").version or 0)
    assert user.old not in user.keys


@pytest.mark.parametrize("point", ROTATE[:-1])
def test_a_killed_rotation_is_undone(user: User, point: str) -> None:
    """Or taken back: the key from before is the only one."""
    run("rotate", user.reference, kill_at=point)

    if point == "locked":
        assert rotation.rotations()[0].step == ""
    else:
        assert rotation.rollback(user.reference).step == "undone"

    check(user, 1)
    assert user.keys == [user.old]


@pytest.mark.parametrize("point", FINISH)
def test_a_killed_retirement_is_ended_by_the_next(user: User, point: str) -> None:
    """The old key is gone, the new one is not."""
    rotation.rotate(user.reference)
    short(user)
    run("finish", user.reference, kill_at=point)
    assert user.works()

    if point != "retired":
        rotation.finish(user.reference, at_once=True)

    check(user, 2)
    assert user.old not in user.keys


@pytest.mark.parametrize("point", UNDO)
def test_a_killed_undoing_is_ended_by_the_next(user: User, point: str) -> None:
    """A kill while a killed one is made good."""
    run("rotate", user.reference, kill_at="verified")
    run("rollback", user.reference, kill_at=point)

    if point != "undone":
        assert rotation.rollback(user.reference).step == "undone"

    check(user, 1)
    assert user.keys == [user.old]


def short(user: User) -> None:
    """Wait for the end of the grace."""
    line = next(line for line in rotation.rotations() if line.reference == user.reference)
    assert line.retire_at is not None
    time.sleep(max(0.0, line.retire_at.timestamp() - time.time()))
