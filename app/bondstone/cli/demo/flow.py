"""The flow of the demo, to be copied. It knows blocks by name and holds no secret.

`task` makes a step of a callable: `prefect.task` under Prefect, nothing in plain Python.
"""

import hmac
from collections.abc import Callable
from typing import Any

import xarray as xr

from bondstone.blocks import Secret
from bondstone.integrations import icechunk
from bondstone.integrations.icechunk import IcechunkCommit
from bondstone.integrations.receipts import Receipt
from bondstone.integrations.s3 import S3Upload


def ocean(source: str, edition: str, *, task: Callable[..., Any] = lambda step: step) -> list[Receipt]:
    """Commit monthly sea-surface temperature, then its seasonal averages, and upload their table with a signature."""
    commit, upload = task(IcechunkCommit("ocean")), task(S3Upload("reports"))

    monthly = commit(
        open_monthly(source), group="sst/monthly", message=f"Monthly means, {edition}", key=f"monthly-{edition}"
    )
    averages = task(seasonal_averages)(monthly.snapshot)
    seasonal = commit(
        averages, group="sst/seasonal", message=f"Seasonal averages, {edition}", key=f"seasonal-{edition}"
    )

    table = task(as_csv)(averages)
    report = upload(table, key=f"{edition}/seasonal.csv")
    signature = upload(task(signed)(table), key=f"{edition}/seasonal.csv.hmac")
    return [monthly, seasonal, report, signature]


def open_monthly(source: str) -> xr.Dataset:
    """Monthly sea-surface temperature (time, latitude, longitude; K) of the tropical strip, 2006 to 2010."""
    with xr.open_dataset(source, engine="netcdf4") as dataset:
        return dataset[["surface_temperature"]].load()


def seasonal_averages(snapshot: str) -> xr.Dataset:
    """Mean temperature of each season (season, latitude, longitude; K), read from the version that was just committed."""
    store = icechunk.connect("ocean").readonly_session(snapshot_id=snapshot).store
    with xr.open_zarr(store, group="sst/monthly", consolidated=False) as monthly:
        averages: xr.Dataset = monthly[["surface_temperature"]].groupby("time.season").mean("time")
        return averages.load()


def as_csv(averages: xr.Dataset) -> bytes:
    """Mean of each season over the strip, weighted by the cosine of latitude (season, K)."""
    import numpy as np

    weights = np.cos(np.deg2rad(averages.latitude))
    means = averages.surface_temperature.weighted(weights).mean(["latitude", "longitude"])
    return str(means.to_series().to_csv()).encode()


def signed(table: bytes) -> bytes:
    """HMAC-SHA-256 of the table, in hex, under a key that is loaded by name where it is needed."""
    return hmac.digest(Secret.load("report-signing-key").get().encode(), table, "sha256").hex().encode()
