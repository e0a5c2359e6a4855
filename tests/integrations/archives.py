"""Files for repositories to refer to: in a bucket, in a folder, and in a bucket that Arraylake has the keys of."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bondstone.blocks import IcechunkRepo
from bondstone.integrations import arraylake
from bondstone.integrations.icechunk import connect
from tests.integrations.arraylake_stand_in import ORG, Service
from tests.integrations.conftest import Account, save


class Files:
    """Two NetCDF4 files of three days each, in a bucket or in a folder, and who may read them: `aws-credentials/archive`."""

    repo = "ocean"

    def __init__(self, reports: Account, folder: Path, scheme: str) -> None:
        self.reports, self.folder, self.scheme = reports, folder, scheme
        self.bucket, self.user = f"archive-{reports.user}", f"archive-{reports.user}"
        reports.server.create_bucket(self.bucket)
        reports.server.create_user(self.user)
        self.rotate()
        self.prefix = f"s3://{self.bucket}/days/" if scheme == "s3" else f"file://{folder}/"
        self.urls = [self.put(f"{number}.nc", days(number)) for number in range(2)]
        fields = {"virtual_chunk_credentials": {self.prefix: "aws-credentials/archive" if scheme == "s3" else None}}
        place = IcechunkRepo.load("ocean")
        save("icechunk-repo/ocean", bucket="s3-bucket/reports", prefix=place.prefix, **fields)

    def rotate(self) -> None:
        """Another key; the old ones are deleted."""
        key = self.reports.server.create_key(self.user)
        old, self.key = getattr(self, "key", None), key
        if old:
            self.reports.server.delete_key(self.user, old.access_key_id)
        pair = {"access_key_id": key.access_key_id, "secret_access_key": key.secret_access_key}
        save("aws-credentials/archive", **pair, endpoint=self.reports.server.endpoint)

    def put(self, name: str, dataset: xr.Dataset) -> str:
        dataset.to_netcdf(self.folder / name, engine="netcdf4", unlimited_dims=["time"])
        if self.scheme == "s3":
            body = (self.folder / name).read_bytes()
            self.admin.put_object(Bucket=self.bucket, Key=f"days/{name}", Body=body)
        return f"{self.prefix}{name}"

    def remove(self, name: str) -> None:
        if self.scheme == "s3":
            self.admin.delete_object(Bucket=self.bucket, Key=f"days/{name}")
        else:
            (self.folder / name).unlink()

    def open_to_all(self) -> None:
        """Anybody may read the bucket."""
        statement = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{self.bucket}/*",
        }
        self.admin.delete_public_access_block(Bucket=self.bucket)
        self.admin.put_bucket_policy(
            Bucket=self.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        )

    @property
    def admin(self) -> Any:
        return self.reports.server.client("s3")


class Authorized(Files):
    """The same in a bucket that Arraylake lets a repository refer to. Keys of both are delegated, or the buckets' own."""

    def __init__(self, lake: Service, reports: Account, folder: Path, *, delegated: bool = True) -> None:
        self.lake, self.delegated = lake, delegated
        self.repo = "arraylake-repo/ocean" if delegated else "arraylake-repo/plain"
        super().__init__(reports, folder, "s3")
        self.authorize(add={self.prefix: "archive"})

    def authorize(self, **changes: Any) -> None:
        """By the vendor's client, with its words."""
        name = self.repo.removeprefix("arraylake-repo/")
        arraylake.connect("prod").update_virtual_chunk_containers(f"{ORG}/{name}", **changes)

    def rotate(self) -> None:
        """Arraylake is told of the other key."""
        super().rotate()
        self.lake.archive(self.reports.server, self.bucket, None if self.delegated else self.key)


def days(number: int) -> xr.Dataset:
    """Three days, each of which is a chunk."""
    values = np.random.default_rng(number).normal(size=(3, 200))
    times = np.datetime64("2020-01-01", "ns") + (3 * number + np.arange(3)) * np.timedelta64(1, "D")
    dataset = xr.Dataset({"sst": (("time", "x"), values)}, {"time": times})
    dataset.time.encoding = {"units": "hours since 2020-01-01", "dtype": "f8"}
    dataset.sst.encoding = {"chunksizes": (1, 200)}
    return dataset


def read(repo: str, group: str) -> xr.Dataset:
    store = connect(repo).readonly_session("main").store
    dataset: xr.Dataset = xr.open_zarr(store, group=group, consolidated=False, chunks=None).load()
    return dataset


def messages(repo: str) -> list[str]:
    """Of all commits but the first, which icechunk makes itself."""
    return [snapshot.message for snapshot in connect(repo).ancestry(branch="main")][:-1]
