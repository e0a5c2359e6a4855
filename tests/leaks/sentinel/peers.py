"""The same flow with other tools: Prefect's blocks, static keys in s3fs and obstore, a token in Git's URL, a password in SQLAlchemy's."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import arraylake
import obstore.store
import prefect
import prefect.blocks.system
import prefect_aws
import s3fs
import sqlalchemy
import xarray as xr
from icechunk.xarray import to_icechunk
from pandas import DataFrame
from prefect_dask.task_runners import DaskTaskRunner

DEPLOYED = "{{ prefect.blocks.secret.deployed }}"
COMMAND = f"{sys.executable} -m prefect.engine"

task: Any = prefect.task  # its types know no options beside a callable
Secret: Any = prefect.blocks.system.Secret  # nor whether it is to be awaited
Bucket: Any = prefect_aws.S3Bucket
Credentials: Any = prefect_aws.AwsCredentials


def set_up(given: dict[str, Any]) -> None:
    """Blocks of Prefect's; and for the tools that read it, the environment, as a `.env` file fills it."""
    secrets = given["secrets"]
    password = quote(secrets["database password"], safe="")
    url = f"postgresql+psycopg://flow:{password}@127.0.0.1:{given['port']}/{given['database']}"
    for name, value in {"token": secrets["token"], "deployed": secrets["deployed token"], "dwh": url}.items():
        Secret(value=value).save(name)
    Secret(value=given["git"].replace("://", f"://flow:{secrets['Git token']}@")).save("flows")
    keys = {"aws_access_key_id": given["access_key_id"], "aws_secret_access_key": secrets["S3 key"]}
    credentials = Credentials(**keys, aws_client_parameters={"endpoint_url": given["endpoint"]})
    credentials.save("prod")
    Bucket(bucket_name="reports", credentials=credentials).save("reports")
    os.environ |= {name.upper(): value for name, value in keys.items()}
    os.environ |= {"ARRAYLAKE_TOKEN": secrets["Arraylake token"], "ARRAYLAKE_SERVICE__URI": given["arraylake"]}
    os.environ["AWS_ENDPOINT_URL"] = given["endpoint"]
    arraylake.config.refresh()
    _lake().create_repo(given["repo"], bucket_config_nickname="delegated", prefix="ocean")


def _lake() -> arraylake.Client:
    return arraylake.Client(token=os.environ["ARRAYLAKE_TOKEN"], service_uri=os.environ["ARRAYLAKE_SERVICE__URI"])


def loaded(marker: str) -> Any:
    """A result that is kept."""
    token = Secret.load("token")
    print(marker, token, repr(token), vars(token))  # noqa: T201 -- to the logs
    return token


def cloned(folder: Path) -> str:
    """As Prefect's own `GitRepository` does, where the URL is https."""
    subprocess.run(["git", "clone", "-q", Secret.load("flows").get(), str(folder)], check=True, timeout=30)
    return str(folder)


def uploaded(bucket: Any, data: bytes) -> str:
    return str(bucket.write_path("day.csv", data))


def committed(client: arraylake.Client, dataset: xr.Dataset, marker: str) -> str:
    session = client.get_repo("earthmover/ocean").writable_session("main")
    to_icechunk(dataset, session, group="g")
    return str(session.commit(marker))


def written(engine_url: str, frame: DataFrame) -> int:
    return int(frame.to_sql("days", sqlalchemy.create_engine(engine_url), index=False) or 0)


def asked(engine_url: str, token: Any, marker: str) -> object:
    """A statement that fails, with a secret for a parameter."""
    statement = sqlalchemy.text(f'SELECT * FROM "missing-{marker}" WHERE token = :token')
    with sqlalchemy.create_engine(engine_url).connect() as connection:
        return connection.execute(statement, {"token": token.get()}).fetchall()


def failing(bucket: Any, token: Any, marker: str) -> None:
    """An error that speaks of its blocks."""
    raise ValueError(f"{marker} {bucket!r} {token!r}", bucket, token)


def run(marker: str, scheduler: str, folder: Path) -> object:
    runner: Any = DaskTaskRunner(address=scheduler)

    @prefect.flow(task_runner=runner, log_prints=True)
    def nightly(bucket: Any, marker: str) -> list[object]:
        token, url = task(loaded, log_prints=True).submit(marker).result(), Secret.load("dwh").get()
        results = [
            task(cloned).submit(folder / "checkout"),
            task(uploaded).submit(bucket, marker.encode()),
            task(committed).submit(_lake(), xr.Dataset({"sst": ("x", [1.0])}), marker),
            task(written).submit(url, DataFrame({"text": [marker]})),
        ]
        finished = [token, *(one.result() for one in results)]
        failed = [task(asked).submit(url, token, marker), task(failing).submit(bucket, token, marker)]
        print(bucket, *finished, *(str(one.state.message) for one in failed if one.wait() is None))  # noqa: T201
        return [marker, bucket, *finished]

    return nightly(Bucket.load("reports"), marker)


def clients() -> Sequence[Any]:
    keys = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    lake = _lake()
    options = {"key": keys[0], "secret": keys[1], "client_kwargs": {"endpoint_url": endpoint}}
    store = {"access_key_id": keys[0], "secret_access_key": keys[1], "endpoint": endpoint}
    return (
        Secret.load("token"),
        obstore.store.S3Store("reports", **store, region="us-east-1", client_options={"allow_http": True}),  # type: ignore[arg-type]
        s3fs.S3FileSystem(**options),
        options,
        lake,
        lake.get_repo("earthmover/ocean"),
        Secret.load("dwh").get(),
    )
