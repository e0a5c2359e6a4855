"""The S3 server of the demo refuses what it must, and ends with us; so do all of our child servers."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import boto3
import obstore
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from obstore.exceptions import AlreadyExistsError, PermissionDeniedError
from obstore.store import S3Store
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from bondstone.cli.demo.process import ServerFailed, child_server, listening
from bondstone.cli.demo.server import Engine, KeyPair, S3Server, s3_server

ENGINES = get_args(Engine)


@pytest.fixture(scope="module", params=ENGINES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3"), engine=request.param) as server:
        server.create_user("writer")
        server.create_bucket("reports")
        yield server


@pytest.fixture
def key(server: S3Server) -> Iterator[KeyPair]:
    key = server.create_key("writer")
    yield key
    server.delete_key("writer", key.access_key_id)


def test_a_good_key_writes_and_reads(server: S3Server, key: KeyPair) -> None:
    """What one client wrote the other reads."""
    boto(server, key).put_object(Bucket="reports", Key="a.csv", Body=b"1,2")

    assert obstore.get(store(server, key), "a.csv").bytes() == b"1,2"


def test_an_object_is_created_once(server: S3Server, key: KeyPair) -> None:
    """Icechunk's commits rest on `If-None-Match: *`."""
    obstore.put(store(server, key), "once", b"1", mode="create")

    with pytest.raises(AlreadyExistsError):
        obstore.put(store(server, key), "once", b"2", mode="create")


def test_an_unknown_key_is_refused(server: S3Server) -> None:
    """Nobody gets in for want of an account."""
    unknown = KeyPair("AKIAUNKNOWNUNKNOWN00", "never-issued")

    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        boto(server, unknown).put_object(Bucket="reports", Key="a.csv", Body=b"1,2")
    with pytest.raises(PermissionDeniedError, match="InvalidAccessKeyId"):
        obstore.put(store(server, unknown), "a.csv", b"1,2")


def test_a_wrong_secret_is_refused(server: S3Server, key: KeyPair) -> None:
    """The signature is checked, not only the name of the key."""
    wrong = KeyPair(key.access_key_id, "another-secret")

    with pytest.raises(PermissionDeniedError, match="SignatureDoesNotMatch"):
        obstore.put(store(server, wrong), "a.csv", b"1,2")


def test_a_deleted_key_is_refused_at_once(server: S3Server) -> None:
    """Also for a client that used it a moment ago; the user's other key goes on."""
    old, new = server.create_key("writer"), server.create_key("writer")
    client = boto(server, old)
    client.put_object(Bucket="reports", Key="a.csv", Body=b"1,2")

    server.delete_key("writer", old.access_key_id)

    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        client.get_object(Bucket="reports", Key="a.csv")
    with pytest.raises(PermissionDeniedError, match="InvalidAccessKeyId"):
        obstore.get(store(server, old), "a.csv")
    assert obstore.get(store(server, new), "a.csv").bytes() == b"1,2"
    server.delete_key("writer", new.access_key_id)


def test_an_inactive_key_is_refused(tmp_path: Path) -> None:
    """By ministack only."""
    with s3_server(tmp_path, engine="ministack") as server:
        server.create_user("writer")
        key = server.create_key("writer")

        server.deactivate_key("writer", key.access_key_id)

        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            boto(server, key).list_buckets()


def test_no_secret_is_shown(server: S3Server, key: KeyPair) -> None:
    """Reprs end up in logs."""
    assert key.secret_access_key not in repr(key)
    assert server.admin.secret_access_key not in repr(server)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_environment_of_the_user_does_not_count(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither their proxy nor their profile."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "AWS_ENDPOINT_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")

    with s3_server(tmp_path, engine=engine) as server:
        server.create_bucket("reports")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_server_ends_with_the_block(engine: Engine, tmp_path: Path) -> None:
    """Even if the block fails."""
    with pytest.raises(ZeroDivisionError), s3_server(tmp_path, engine=engine) as server:
        raise ZeroDivisionError

    assert not listens(server.endpoint)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
@pytest.mark.parametrize("engine", ENGINES)
def test_the_server_ends_with_a_killed_parent(engine: Engine, tmp_path: Path) -> None:
    """SIGKILL leaves the parent no time to stop anything."""
    program = (
        "import pathlib, sys, time; from bondstone.cli.demo.server import s3_server\n"
        "with s3_server(pathlib.Path(sys.argv[1]), engine=sys.argv[2]) as server:\n"
        "    print(server.endpoint, flush=True); time.sleep(60)"
    )
    argv = [sys.executable, "-c", program, str(tmp_path), engine]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        endpoint = parent.stdout.readline().strip()
        assert listens(endpoint)

        os.kill(parent.pid, signal.SIGKILL)

    soon_silent(endpoint)


def test_a_server_that_does_not_start_shows_its_log(tmp_path: Path) -> None:
    """At once: its end is noticed, not waited out."""
    argv = [sys.executable, "-c", "raise SystemExit('no such table: keys')"]

    with (
        pytest.raises(ServerFailed, match="no such table: keys"),
        listening() as listener,
        child_server(argv, listener=listener, env={}, log=tmp_path / "log") as child,
    ):
        child.ask("/", seconds=30)


def boto(server: S3Server, key: KeyPair) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=server.region,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        config=Config(proxies={}),
    )


def store(server: S3Server, key: KeyPair) -> S3Store:
    return S3Store(
        "reports",
        endpoint=server.endpoint,
        region=server.region,
        access_key_id=key.access_key_id,
        secret_access_key=key.secret_access_key,
        client_options={"allow_http": True},
    )


def listens(endpoint: str) -> bool:
    address = urlsplit(endpoint)
    try:
        socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


@retry(retry=retry_if_exception_type(AssertionError), stop=stop_after_delay(5), wait=wait_fixed(0.02), reraise=True)
def soon_silent(endpoint: str) -> None:
    assert not listens(endpoint)
