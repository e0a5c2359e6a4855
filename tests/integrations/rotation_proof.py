"""Does a rotation fail anybody? Workers upload and commit by name while the key is replaced and the old one deleted.

The S3 server is moto, which enforces IAM, also that a user has at most two keys, and knows who calls.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import zarr

from bondstone.blocks import AwsCredentials, IcechunkRepo, S3Bucket, rotation
from bondstone.cli.demo.prefect_home import prefect_home
from bondstone.cli.demo.server import S3Server, s3_server
from bondstone.integrations import icechunk, s3
from bondstone.integrations.extras import need
from bondstone.registry.settings import Settings
from tests.integrations.rotation_flow import BUCKET, KEY, REPO, work
from tests.integrations.starting_line import go

_ROOT = Path(__file__).parents[2]
STATIC = 2  # twins with static keys, beside the workers
_ALLOWED = ["iam:ListAccessKeys", "iam:CreateAccessKey", "iam:UpdateAccessKey", "iam:DeleteAccessKey", "sts:*", "s3:*"]


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    workers: int
    operations: int
    failures: dict[str, int]
    lost: int  # acknowledged objects and rows that are not there
    doubled: int  # rows that are there more than once
    rotations: int
    max_ttl: int
    staleness: list[float]  # seconds, of each use of a version after another one was promoted
    static_operations: int
    static_failures: dict[str, int]
    credentials_left: int  # at the vendor
    refusals: int | None = None  # that the server logged; None if it logs none
    static_refusals: int | None = None

    @property
    def kept(self) -> bool:
        """Whether every promise was. A proof without rotations, or whose twins did not fail, proves nothing."""
        broken = self.failures or self.lost or self.doubled or self.refusals
        return (
            not broken
            and max(self.staleness, default=0) <= self.max_ttl
            and self.credentials_left == 1
            and bool(self.rotations and self.operations and self.static_failures)
        )


def prove(
    folder: Path, engine: str, *, workers: int, seconds: float, rotations: int, max_ttl: int, grace: int
) -> Outcome:
    """Run it in `folder`, whose registry is made here; `BONDSTONE_` settings count."""
    with ExitStack() as stack:
        server = stack.enter_context(s3_server(folder / "server", engine="moto"))
        _blocks(server, max_ttl)
        if engine == "prefect":
            stack.enter_context(prefect_home(folder))
        with _running(folder, engine, workers, seconds) as (start, logs):
            promoted = rotate_in_turns(f"aws-credentials/{KEY}", rotations, start, seconds, grace)
        return _outcome(logs(), promoted, server, max_ttl)


def _blocks(server: S3Server, max_ttl: int) -> None:
    Settings.from_environment().create(max_ttl=max_ttl).close()
    server.create_user("flow")
    statement = {"Effect": "Allow", "Action": _ALLOWED, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    server.client("iam").put_user_policy(UserName="flow", PolicyName="self", PolicyDocument=policy)
    server.create_bucket(BUCKET)
    pair = server.create_key("flow")
    aws = AwsCredentials(
        access_key_id=pair.access_key_id,
        secret_access_key=pair.secret_access_key,
        endpoint=server.endpoint,
    ).save(KEY)
    bucket = S3Bucket(bucket=BUCKET, endpoint=server.endpoint, credentials=aws).save(BUCKET)
    IcechunkRepo(bucket=bucket, prefix="ocean").save(REPO)
    icechunk.connect(REPO)  # makes it


def rotate_in_turns(reference: str, times: int, start: float, seconds: float, grace: int) -> dict[int, float]:
    """Rotate so many times within the minute; when each version was promoted."""
    promoted = {}
    for turn in range(times):
        _sleep_until(start + turn * seconds / times)
        done = rotation.rotate(reference, grace=grace)
        assert done.retire_at is not None
        promoted[done.version] = done.retire_at.timestamp() - grace
        _sleep_until(done.retire_at.timestamp() + 0.05)
        rotation.finish(reference)
    return promoted


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))


@contextmanager
def _running(folder: Path, engine: str, workers: int, seconds: float) -> Iterator[tuple[float, Any]]:
    """The workers and their static twins: when they began, and what gives their logs when they have ended."""
    kinds = ["static"] * STATIC + ([engine] * workers if engine != "dask" else [])
    outs = [folder / f"worker-{number}.json" for number in range(len(kinds))]
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.integrations.rotation_flow", str(number), str(folder), kind], cwd=_ROOT
        )
        for number, kind in enumerate(kinds)
    ]
    with ExitStack() as stack:
        futures: list[Any] = []
        if engine == "dask":
            distributed: Any = need("distributed", "dask")
            options = {
                "n_workers": workers,
                "threads_per_worker": 1,
                "host": "127.0.0.1",
                "dashboard_address": "127.0.0.1:0",
            }
            cluster = stack.enter_context(distributed.LocalCluster(local_directory=str(folder / "dask"), **options))
            client = stack.enter_context(distributed.Client(cluster))
            client.run(exec, f"import sys; sys.path.insert(0, {str(_ROOT)!r})")  # pytest leaves the folder out
            futures = [client.submit(work, STATIC + number, str(folder), pure=False) for number in range(workers)]

        gathered: list[dict[str, Any]] = []
        alive = partial(_alive, children)
        start = go(folder, range(STATIC + workers), seconds, alive)
        yield start, lambda: [json.loads(out.read_text()) for out in outs] + gathered
        gathered += [future.result() for future in futures]
        codes = [child.wait(timeout=start + seconds - time.time() + 120) for child in children]
        assert not any(codes), f"a worker ended with {codes}"


def _alive(children: list[subprocess.Popen[bytes]]) -> bool:
    return all(child.poll() is None for child in children)


def _outcome(logs: list[dict[str, Any]], promoted: dict[int, float], server: S3Server, max_ttl: int) -> Outcome:
    static, ours = logs[:STATIC], logs[STATIC:]
    lost, doubled = _missing(ours)
    return Outcome(
        workers=len(ours),
        operations=sum(map(_done, ours)),
        failures=failures(ours),
        lost=lost,
        doubled=doubled,
        rotations=len(promoted),
        max_ttl=max_ttl,
        staleness=[late for log in ours for late in stale(log["used"], promoted)],
        static_operations=sum(map(_done, static)),
        static_failures=failures(static),
        credentials_left=len(server.client("iam").list_access_keys(UserName="flow")["AccessKeyMetadata"]),
    )


def _done(log: dict[str, Any]) -> int:
    return len(log["objects"]) + len(log["rows"])


def failures(logs: list[dict[str, Any]]) -> dict[str, int]:
    """How often each error was."""
    return dict(sum((Counter(log["failures"]) for log in logs), Counter[str]()))


def _missing(logs: list[dict[str, Any]]) -> tuple[int, int]:
    """How much of what was acknowledged is not there, and how many rows are there twice."""
    pages = s3.client(BUCKET).get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="rows/")
    there = {item["Key"] for page in pages for item in page.get("Contents", [])}
    lost = sum(key not in there for log in logs for key in log["objects"])
    root = zarr.open_group(icechunk.connect(REPO).readonly_session("main").store, mode="r")
    doubled = 0
    for log in logs:
        array: Any = root[f"w{log['number']}"]
        rows = array[:].tolist()
        lost += len(set(log["rows"]) - set(rows))
        doubled += len(rows) - len(set(rows))
    return lost, doubled


def stale(used: list[tuple[float, int]], promoted: dict[int, float]) -> Iterator[float]:
    """For how long after the promotion of the next version each use of an older one was."""
    for at, version in used:
        since = at - promoted.get(version + 1, float("inf"))
        if since > 0:
            yield since
