"""What each worker of `rotation_proof` does: upload objects and append rows by the names of blocks, or, as its twin, with static keys.

``python -m tests.integrations.rotation_flow NUMBER FOLDER plain|prefect|static`` is one worker.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import icechunk as vendor
import zarr

from bondstone.blocks import AwsCredentials, IcechunkRepo, S3Bucket, live
from bondstone.integrations import icechunk, s3
from bondstone.integrations.s3 import S3Upload
from tests.integrations.starting_line import ready

BUCKET, REPO, KEY = "reports", "ocean", "prod"
PAUSE = 0.05  # seconds between operations: eight workers share two cores with the server
_ROW_EVERY = 6  # of so many operations one is a commit

Operation = Callable[[int], None]


@dataclass
class Log:
    """What a worker did, fit for JSON."""

    number: int
    objects: list[int] = field(default_factory=list)  # that the server acknowledged
    rows: list[int] = field(default_factory=list)  # that were committed
    failures: dict[str, int] = field(default_factory=dict)
    used: list[tuple[float, int]] = field(default_factory=list)  # when which version of the key was given out


def by_name(number: int) -> tuple[Operation, Operation, Operation]:
    """Upload by a task; put by a client that lives as long as the worker; append a row to a repository that does."""
    upload, client = S3Upload(BUCKET), s3.client(BUCKET)
    bucket, repository = S3Bucket.load(BUCKET).bucket, icechunk.connect(REPO)

    def task(n: int) -> None:
        upload(str(n).encode(), key=_key(number, n))

    def put(n: int) -> None:
        client.put_object(Bucket=bucket, Key=_key(number, n), Body=str(n).encode())

    return task, put, partial(append, repository, number)


def with_static_keys(number: int) -> tuple[Operation, Operation, Operation]:
    """The same with the keys of the moment when the worker began, as flows are written without bondstone."""
    block, repo = S3Bucket.load(BUCKET), IcechunkRepo.load(REPO)
    key: Any = block.credentials
    pair = {"aws_access_key_id": key.access_key_id, "aws_secret_access_key": key.secret_access_key.get_secret_value()}
    client: Any = boto3.client("s3", endpoint_url=block.endpoint, region_name="us-east-1", **pair)
    storage = vendor.s3_storage(
        bucket=block.bucket,
        prefix=repo.prefix,
        region="us-east-1",
        endpoint_url=block.endpoint,
        allow_http=True,
        force_path_style=True,
        access_key_id=pair["aws_access_key_id"],
        secret_access_key=pair["aws_secret_access_key"],
    )
    repository = vendor.Repository.open(storage)

    def put(n: int) -> None:
        client.put_object(Bucket=block.bucket, Key=_key(number, n), Body=str(n).encode())

    return put, put, partial(append, repository, number)


def _key(number: int, n: int) -> str:
    return f"rows/{number}/{n}"


def append(repository: vendor.Repository, number: int, n: int) -> None:
    """Add row `n` to the worker's own array, once: what is there already was committed by an attempt that got no answer."""
    for _ in range(50):
        session = repository.writable_session("main")
        root = zarr.open_group(session.store, mode="a")
        name = f"w{number}"
        rows: Any = root[name] if name in root else root.create_array(name, shape=(0,), chunks=(1000,), dtype="i8")
        if rows.shape[0] and rows[-1] == n:
            return
        rows.resize((rows.shape[0] + 1,))
        rows[-1] = n
        try:
            session.commit(f"{number}: {n}", rebase_with=vendor.ConflictDetector(), rebase_tries=20)
        except (vendor.ConflictError, vendor.RebaseFailedError):
            continue
        return
    raise TimeoutError(f"worker {number} lost the race 50 times")


def work(number: int, folder: str, kind: str = "plain") -> dict[str, Any]:
    """Make the clients, and operate with them when and as long as it is said in `folder`."""
    log, failures = Log(number), Counter[str]()
    with _engine(kind) as wrap:
        task, put, row = map(wrap, (with_static_keys if kind == "static" else by_name)(number))
        key, n, until = live(AwsCredentials, KEY), 0, ready(Path(folder), number)
        while time.time() < until:
            operation = row if n % _ROW_EVERY == 0 else task if n % 2 else put
            log.used.append((time.time(), key.get().version or 0))
            try:
                operation(n)
            except Exception as error:  # noqa: BLE001 -- it is failures that are counted
                failures[type(error).__name__] += 1
            else:
                (log.rows if operation is row else log.objects).append(n)
            n += 1
            time.sleep(PAUSE)
    return asdict(log) | {"failures": dict(failures), "objects": [_key(number, n) for n in log.objects]}


@contextmanager
def _engine(kind: str) -> Iterator[Callable[[Operation], Operation]]:
    """Every operation is a Prefect task where that is the engine, in one flow run per worker."""
    if kind != "prefect":
        yield lambda operation: operation
        return
    import prefect
    from prefect.cache_policies import NO_CACHE
    from prefect.context import FlowRunContext

    assert FlowRunContext.get() is not None
    task: Any = partial(prefect.task, name="operation", cache_policy=NO_CACHE)
    yield task


def main(number: str, folder: str, kind: str) -> None:
    if kind == "prefect":
        import prefect

        @prefect.flow(name=f"worker-{number}")
        def flow() -> dict[str, Any]:
            return work(int(number), folder, kind)

        result = flow()
    else:
        result = work(int(number), folder, kind)
    (Path(folder) / f"worker-{number}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
