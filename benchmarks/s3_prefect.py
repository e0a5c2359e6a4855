"""The two lines of `benchmarks/s3.py` that need Prefect: what a task costs there, and what Prefect's own S3 task costs."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import obstore
import prefect

from benchmarks.s3_peers import Client, Service, store
from bondstone.integrations.s3 import S3Upload

_kept: dict[str, Any] = {}


@dataclass(frozen=True)
class RawPut:
    """A task that puts by raw obstore: what an object with a `__call__` costs in Prefect by itself."""

    endpoint: str

    def __call__(self, data: bytes, /, *, key: str) -> str | None:
        return obstore.put(_kept[self.endpoint], key, data, use_multipart=False)["e_tag"]


def overhead(service: Service, rounds: int) -> tuple[float, float]:
    """Seconds of a task that puts 1 KiB, raw and ours: medians of calls in turns, in one flow."""
    _kept[service.endpoint] = store(service)
    task: Any = prefect.task
    raw, ours = task(RawPut(service.endpoint)), task(S3Upload("bench"))

    @prefect.flow
    def turns() -> tuple[list[float], list[float]]:
        return _timed(raw, ours, rounds)

    mine, its = turns()
    return median(mine), median(its)


def _timed(raw: Callable[..., object], ours: Callable[..., object], rounds: int) -> tuple[list[float], list[float]]:
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 3):
        for call, kept in zip((raw, ours), seconds, strict=True):
            start = time.perf_counter()
            call(bytes(1024), key="one")
            kept.append(time.perf_counter() - start)
    return seconds[0][3:], seconds[1][3:]


def s3_upload(service: Service) -> Client:
    """The task of prefect-aws, once for each file, in a flow."""
    from prefect_aws import AwsCredentials
    from prefect_aws.client_parameters import AwsClientParameters
    from prefect_aws.s3 import s3_upload as vendor

    task: Any = vendor
    keys = {"aws_access_key_id": service.access_key_id, "aws_secret_access_key": service.secret_access_key}
    credentials = AwsCredentials(**keys, region_name="us-east-1")
    where: dict[str, Any] = {
        "bucket": service.bucket,
        "aws_credentials": credentials,
        "aws_client_parameters": AwsClientParameters(endpoint_url=service.endpoint),
    }

    @prefect.flow
    async def uploads(files: Sequence[Path]) -> None:
        for path in files:
            await task(data=path.read_bytes(), key=path.name, **where)

    return lambda files: asyncio.run(uploads(files))
