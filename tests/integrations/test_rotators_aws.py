"""AWS access keys, replaced against moto, which checks every request, knows the caller and allows two keys."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from functools import cache, cached_property
from socket import create_connection
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError

from bondstone.blocks import AccessDenied, AwsCredentials, Conflict, InvalidSettings, ServiceUnavailable
from bondstone.blocks.rotator import rotator_of
from bondstone.cli.demo.server import Engine, S3Server
from bondstone.integrations.rotators.aws import AwsKeys
from bondstone.integrations.rotators.testing import RotatorSuite

OWN_KEYS = ["iam:CreateAccessKey", "iam:DeleteAccessKey", "iam:ListAccessKeys", "iam:UpdateAccessKey"]


@dataclass
class Iam:
    """A user of the server who may replace the keys of its own."""

    server: S3Server = field(repr=False)
    user: str
    block: AwsCredentials
    rotator: AwsKeys = field(default_factory=lambda: AwsKeys(patience=0))

    def listed(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self._iam.list_access_keys(UserName=self.user)["AccessKeyMetadata"]
        return listed

    def ids(self) -> set[str]:
        return {key["AccessKeyId"] for key in self.listed()}

    def id_of(self, block: AwsCredentials) -> str:
        return block.access_key_id or ""

    def usable(self, block: AwsCredentials) -> bool:
        secret = block.secret_access_key.get_secret_value() if block.secret_access_key else None
        pair = {"aws_access_key_id": block.access_key_id, "aws_secret_access_key": secret}
        try:
            _session().client("sts", endpoint_url=self.server.endpoint, **pair).get_caller_identity()
        except ClientError:
            return False
        return True

    def revoke(self, block: AwsCredentials) -> None:
        self.server.delete_key(self.user, self.id_of(block))

    def lock_out(self) -> None:
        self.revoke(self.block)

    @cached_property
    def _iam(self) -> Any:
        return self.server.client("iam")


@cache
def _session() -> Any:
    """One for all: each would read the descriptions of the services again."""
    return boto3.Session(region_name="us-east-1")


@pytest.fixture
def vendor(servers: Callable[[Engine], S3Server]) -> Iam:
    server, user = servers("moto"), f"flow-{uuid4().hex[:8]}"
    server.create_user(user)
    allow(server, user, OWN_KEYS)
    return Iam(server, user, block_of(server, user))


def allow(server: S3Server, user: str, actions: list[str]) -> None:
    """As docs/rotation-vendors.md says, but for the resource: moto asks about `*`, never about the user."""
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    server.client("iam").put_user_policy(UserName=user, PolicyName="own-keys", PolicyDocument=policy)


def block_of(server: S3Server, user: str) -> AwsCredentials:
    key = server.create_key(user)
    pair = {"access_key_id": key.access_key_id, "secret_access_key": key.secret_access_key}
    return AwsCredentials(**pair, endpoint=server.endpoint, region="eu-central-1").save(f"of-{user}")


class TestAwsKeys(RotatorSuite):
    @pytest.fixture
    def vendor(self, vendor: Iam) -> Iam:
        return vendor


def test_it_is_found_by_its_kind() -> None:
    """By the entry point."""
    assert isinstance(rotator_of("aws-credentials"), AwsKeys)


def test_a_second_key_leaves_no_room(vendor: Iam) -> None:
    """Both are named, which one is not the block's, and what to do; nothing is changed."""
    other = vendor.server.create_key(vendor.user).access_key_id

    with pytest.raises(Conflict, match="two access keys") as caught:
        vendor.rotator.existing(vendor.block)

    assert f"the block uses {vendor.id_of(vendor.block)}, and not {other} (Active" in str(caught.value)
    assert "delete-access-key" in str(caught.value)
    assert vendor.ids() == {vendor.id_of(vendor.block), other}


def test_a_key_made_meanwhile_leaves_no_room(vendor: Iam) -> None:
    """AWS itself refuses the third."""
    vendor.rotator.existing(vendor.block)
    vendor.server.create_key(vendor.user)

    with pytest.raises(Conflict, match="two access keys already"):
        vendor.rotator.create(vendor.block, {})


def test_a_disabled_key_is_there_and_inactive(vendor: Iam) -> None:
    """A person could take it back."""
    new = vendor.rotator.create(vendor.block, {})

    vendor.rotator.disable(vendor.block, new)

    status = {key["AccessKeyId"]: key["Status"] for key in vendor.listed()}
    assert status == {vendor.id_of(vendor.block): "Inactive", vendor.id_of(new): "Active"}


def test_the_rest_of_the_block_stays(vendor: Iam) -> None:
    """Only the key differs."""
    new = vendor.rotator.create(vendor.block, {})

    assert (new.endpoint, new.region) == (vendor.block.endpoint, "eu-central-1")
    assert new.reference == vendor.block.reference
    assert not new.is_saved


def test_verify_says_who(vendor: Iam) -> None:
    """By the name that AWS has for it."""
    found = vendor.rotator.verify(vendor.block)

    assert found.by == "sts:GetCallerIdentity"
    assert found.identity.endswith(f":user/{vendor.user}")
    assert "is not asked" in found.proves


def test_verify_waits_for_a_key_that_is_not_known_yet(servers: Callable[[Engine], S3Server]) -> None:
    """AWS refuses a new key for some seconds. Ministack refuses an inactive one, which is activated in the second pause."""
    server, user, pauses = servers("ministack"), f"flow-{uuid4().hex[:8]}", list[float]()
    server.create_user(user)
    block = block_of(server, user)
    server.deactivate_key(user, block.access_key_id or "")

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            server.client("iam").update_access_key(UserName=user, AccessKeyId=block.access_key_id, Status="Active")

    assert AwsKeys(sleep=pause, clock=lambda: sum(pauses)).verify(block)
    assert pauses == [0.25, 0.5]


@pytest.mark.parametrize("wrong", [{"access_key_id": "AKIAUNKNOWNUNKNOWN00"}, {"secret_access_key": "x" * 41}])
def test_verify_waits_so_long_and_no_longer(vendor: Iam, wrong: dict[str, str]) -> None:
    """A key that nobody made is refused in the end."""
    unknown = vendor.block.model_copy(update=wrong)
    pauses: list[float] = []

    with pytest.raises(AccessDenied, match="is the key deleted, or mistyped"):
        AwsKeys(patience=3, sleep=pauses.append, clock=lambda: sum(pauses)).verify(unknown)

    assert pauses == [0.25, 0.5, 1.0]


def test_the_answer_with_the_new_key_is_lost(vendor: Iam) -> None:
    """One key was made, not one per attempt; undoing removes it, though nobody ever knew it."""
    before = vendor.rotator.existing(vendor.block)

    with (
        losing_answers(vendor.server.endpoint) as endpoint,
        pytest.raises(ServiceUnavailable, match="iam:CreateAccess"),
    ):
        vendor.rotator.create(vendor.block.model_copy(update={"endpoint": endpoint}), {})

    assert len(vendor.ids()) == 2
    vendor.rotator.discard(before, None, vendor.block)
    assert vendor.ids() == set(before)


@contextmanager
def losing_answers(endpoint: str) -> Iterator[str]:
    """Requests to the endpoint that this gives arrive at `endpoint`; the first answer does not come back."""
    port, lost = int(endpoint.rpartition(":")[2]), list[bytes]()

    class Lossy(StreamRequestHandler):
        def handle(self) -> None:
            head = b"".join(iter(self.rfile.readline, b"\r\n")) + b"\r\n"
            body = self.rfile.read(int(message_from_bytes(head.partition(b"\r\n")[2])["Content-Length"]))
            with create_connection(("127.0.0.1", port), timeout=10) as server:
                server.sendall(head + body)
                answer = server.recv(65536)
            if lost:
                self.request.sendall(answer)
            lost.append(answer)

    with ThreadingTCPServer(("127.0.0.1", 0), Lossy) as proxy:
        thread = Thread(target=proxy.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}"
        proxy.shutdown()


def test_missing_rights_are_told(vendor: Iam) -> None:
    """By the action, before anything is made."""
    vendor.server.client("iam").delete_user_policy(UserName=vendor.user, PolicyName="own-keys")

    with pytest.raises(AccessDenied, match=r"iam:ListAccessKeys for aws-credentials/.*allow the user"):
        vendor.rotator.existing(vendor.block)
    with pytest.raises(AccessDenied, match="iam:CreateAccessKey"):
        vendor.rotator.create(vendor.block, {})


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"role_arn": "arn:aws:iam::123456789012:role/writer"}, "a role"),
        ({"profile": "analytics"}, "a profile"),
        ({}, "no key"),
        ({"access_key_id": "ASIAEXAMPLE", "secret_access_key": "x" * 41, "session_token": "t" * 9}, "temporary"),
    ],
)
def test_what_has_no_key_of_its_own(fields: dict[str, str], text: str) -> None:
    """Told before AWS is asked."""
    block = AwsCredentials(**fields)

    for call in (lambda: AwsKeys().existing(block), lambda: AwsKeys().create(block, {})):
        with pytest.raises(InvalidSettings, match=text):
            call()


def test_nobody_listens(vendor: Iam) -> None:
    """Told as such, with the name of the block; not tried again by botocore."""
    away = vendor.block.model_copy(update={"endpoint": "http://127.0.0.1:9"})

    with pytest.raises(ServiceUnavailable, match="EndpointConnectionError"):
        vendor.rotator.create(away, {})
