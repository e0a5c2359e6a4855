"""Commit a dataset and its seasonal averages, and upload their table, under Prefect.

Save the blocks once (`bondstone save s3-bucket/reports`, `bondstone save icechunk-repo/ocean`), then run

    python examples/seasonal_averages.py ostia_monthly.nc surface_temperature
"""

import sys

import prefect
import xarray as xr

from bondstone.integrations.icechunk import IcechunkCommit
from bondstone.integrations.s3 import S3Upload

commit = prefect.task(retries=3)(IcechunkCommit("ocean"))
upload = prefect.task(retries=3)(S3Upload("reports"))


@prefect.flow
def seasonal_averages(source: str, variable: str) -> None:
    """A second run with the same file commits nothing twice: the keys are the same."""
    with xr.open_dataset(source) as dataset:
        monthly = dataset[[variable]].load()
    averages = monthly.groupby("time.season").mean("time")
    table = averages[variable].mean(["latitude", "longitude"]).to_series().to_csv()

    commit(monthly, group="monthly", message=f"Monthly means of {variable}", key=f"monthly {source}")
    commit(averages, group="seasonal", message=f"Seasonal averages of {variable}", key=f"seasonal {source}")
    print(upload(table.encode(), key=f"{variable}/seasonal.csv"))


if __name__ == "__main__":
    seasonal_averages(*sys.argv[1:])
