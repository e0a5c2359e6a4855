"""A dataset that is rewritten, by ZarrWrite and by hand, and a reader that looks at both all the time."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from zarr.storage import ObjectStore

from bondstone.blocks import S3Bucket, live
from bondstone.integrations import zarr
from bondstone.integrations.s3 import clients
from bondstone.integrations.zarr import ZarrWrite

PATH = "ocean/sst.zarr"


def uniform(number: int) -> xr.Dataset:
    """Two variables of four chunks each, and an attribute: all of them `number`."""
    values = xr.Variable(("t", "x"), np.full((4, 1000), float(number)), encoding={"chunks": (1, 1000)})
    return xr.Dataset({"a": values, "b": values}, attrs={"number": number})


def whole(dataset: xr.Dataset) -> bool:
    """Whether all of it is from one write."""
    numbers = {float(n) for name in "ab" for n in np.unique(dataset[name].values)}
    return numbers == {float(dataset.attrs["number"])}


def write(number: int, key: str | None = None) -> None:
    ZarrWrite("reports", keep=100)(uniform(number), path=PATH, key=key)


def write_several(numbers: range) -> None:
    for number in numbers:
        write(number, str(number))


def plain() -> "ObjectStore[Any]":
    """Zarr's own store, as one has it without bondstone."""
    return ObjectStore(clients.store(live(S3Bucket, "reports"), "plain.zarr"))


def write_plainly(number: int) -> None:
    uniform(number).to_zarr(plain(), mode="w", zarr_format=3, consolidated=False)


def read_until_stopped(folder: Path) -> None:
    """Put into `folder` what was counted when there is a file `stop` in it; `ready` says that it has begun."""
    counts = {"reads": 0, "torn": 0, "plain reads": 0, "plain torn": 0}
    errors: list[str] = []

    def read(kind: str, opened: Callable[[], xr.Dataset]) -> None:
        counts[f"{kind}reads"] += 1
        try:
            counts[f"{kind}torn"] += not whole(opened().load())
        except Exception as error:  # noqa: BLE001 -- whatever a reader meets
            counts[f"{kind}torn"] += 1
            errors.append(f"{kind}{error!r}"[:200])

    while not (folder / "stop").exists():
        read("", lambda: zarr.open_dataset("reports", path=PATH))
        read("plain ", lambda: xr.open_zarr(plain(), consolidated=False))
        (folder / "ready").touch()
    (folder / "counts").write_text(json.dumps(counts | {"errors": errors[:5]}))
