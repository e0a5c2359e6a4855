"""Append monthly files of the NEMO ocean model to one dataset, under Prefect.

Save the repository once (`bondstone save icechunk-repo/ocean`), then run

    python examples/append_nemo.py NEMO/*.nc
"""

import sys
from pathlib import Path

import prefect
import xarray as xr

from bondstone.integrations.icechunk import IcechunkAppend

append = prefect.task(retries=3)(IcechunkAppend("ocean", dim="time_centered"))


@prefect.flow
def append_months(*paths: str) -> None:
    """However often it is retried, killed and run again, each month is there once: the key of a month is its file's name."""
    for path in sorted(paths):
        with xr.open_dataset(path) as month:
            # NEMO's own time counter begins at 0 in each file
            steps = month.swap_dims(time_counter="time_centered").load()
        print(append(steps, group="nemo", message=f"Append {Path(path).name}", key=Path(path).name).snapshot)


if __name__ == "__main__":
    append_months(*sys.argv[1:])
