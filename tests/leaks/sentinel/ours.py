"""The flow with bondstone: every secret is a block, and what travels are names."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import prefect
import xarray as xr
from pandas import DataFrame
from prefect_dask.task_runners import DaskTaskRunner

from bondstone.blocks import Block, Reference, S3Bucket, Secret, find
from bondstone.integrations import arraylake, icechunk, s3
from bondstone.integrations.arraylake import ArraylakeCommit
from bondstone.integrations.database_tasks import DatabaseQuery, DataFrameToTable
from bondstone.integrations.git import GitCheckout
from bondstone.integrations.s3 import S3Upload

DEPLOYED = "bondstone://secret/deployed"
COMMAND = f"{sys.executable} -m bondstone.cli run -- {sys.executable} -m prefect.engine"

task: Any = prefect.task  # its types know no options beside a callable


def save(reference: str, **fields: Any) -> None:
    kind, _, name = reference.partition("/")
    find(kind)(**fields).save(Reference(kind, name).name)


def set_up(given: dict[str, Any]) -> None:
    secrets = given["secrets"]
    save("secret/token", value=secrets["token"])
    save("secret/deployed", value=secrets["deployed token"])
    save("aws-credentials/prod", access_key_id=given["access_key_id"], secret_access_key=secrets["S3 key"])
    save("s3-bucket/reports", bucket="reports", endpoint=given["endpoint"], credentials="aws-credentials/prod")
    save("git-credentials/ci", token=secrets["Git token"])
    save("git-repository/flows", url=given["git"], credentials="git-credentials/ci")
    place = {"host": "127.0.0.1", "port": given["port"], "database": given["database"], "username": "flow"}
    password = secrets["database password"]
    save("database-credentials/dwh", drivername="postgresql+psycopg", password=password, **place)
    save("arraylake-token/prod", token=secrets["Arraylake token"], service_uri=given["arraylake"])
    save("arraylake-repo/ocean", repo=given["repo"], token="arraylake-token/prod")
    arraylake.connect("prod").create_repo(given["repo"], bucket_config_nickname="delegated", prefix="ocean")


def loaded(marker: str) -> Secret:
    """A result that is kept."""
    token = Secret.load("token")
    print(marker, token, repr(token), vars(token))  # noqa: T201 -- to the logs
    return token


def asked(marker: str) -> object:
    """By a statement that fails, with a secret for a parameter."""
    parameters = {"token": Secret.load("token").get()}
    return DatabaseQuery("dwh")(f'SELECT * FROM "missing-{marker}" WHERE token = :token', parameters=parameters)


def failing(bucket: Block, token: Secret, marker: str) -> None:
    """An error that speaks of its blocks."""
    raise ValueError(f"{marker} {bucket!r} {token!r}", bucket, token)


def run(marker: str, scheduler: str, folder: Path) -> object:
    runner: Any = DaskTaskRunner(address=scheduler)

    @prefect.flow(task_runner=runner, log_prints=True)
    def nightly(bucket: S3Bucket, marker: str) -> list[object]:
        token = task(loaded, log_prints=True).submit(marker).result()
        results = [
            task(GitCheckout("flows")).submit(folder / "checkout"),
            task(S3Upload("reports")).submit(marker.encode(), key="day.csv"),
            task(ArraylakeCommit("ocean")).submit(xr.Dataset({"sst": ("x", [1.0])}), group="g", message=marker),
            task(DataFrameToTable("dwh")).submit(DataFrame({"text": [marker]}), table="days"),
        ]
        finished = [token, *(one.result() for one in results)]
        failed = [task(asked).submit(marker), task(failing).submit(bucket, token, marker)]
        print(bucket, *finished, *(str(one.state.message) for one in failed if one.wait() is None))  # noqa: T201
        return [marker, bucket, *finished]

    return nightly(S3Bucket.load("reports"), marker)


def clients() -> Sequence[Any]:
    return (
        Secret.load("token"),
        s3.connect("reports"),
        s3.filesystem("reports"),
        s3.storage_options("reports"),
        arraylake.connect("prod"),
        icechunk.connect("arraylake-repo/ocean"),
        DatabaseQuery("dwh"),
    )
