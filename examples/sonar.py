"""Convert a raw file of an echo sounder, which lies in S3, by echopype, and put the Zarr or NetCDF there.

Save the buckets once (`bondstone save s3-bucket/raw`, with `anonymous=true` where anybody may read it, and `bondstone save
s3-bucket/reports`), then run

    python examples/sonar.py s3://BUCKET/cruise/x.raw EK60                        # under Prefect
    python examples/sonar.py s3://BUCKET/cruise/x.raw EK60 --plain                # in plain Python
    python examples/sonar.py s3://BUCKET/cruise/x.raw EK60 --plain --to netcdf
"""

import argparse
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

import echopype  # type: ignore[import-untyped]

from bondstone.integrations.receipts import ObjectReceipt
from bondstone.integrations.s3 import S3Upload, storage_options

SUFFIXES = {"zarr": ".zarr", "netcdf": ".nc"}


def convert(uri: str, model: str, source: str, folder: str, to: str) -> str:
    """The path of the result, which is local: echopype 0.12 drops the scheme of ``s3://…`` in `to_zarr`, and writes there as well."""
    echo = echopype.open_raw(uri, sonar_model=model, storage_options=storage_options(source))
    result = Path(folder, PurePosixPath(uri).stem).with_suffix(SUFFIXES[to])
    write = echo.to_zarr if to == "zarr" else echo.to_netcdf
    write(result)
    return str(result)


def key(result: str) -> str:
    """Where it goes."""
    return f"converted/{Path(result).name}"


def shape(uri: str, bucket: str) -> tuple[int, ...]:
    """Channels, pings and samples of what was converted, read where it lies now."""
    echo = echopype.open_converted(uri, storage_options=storage_options(bucket))
    sizes: tuple[int, ...] = echo["Sonar/Beam_group1"].backscatter_r.shape
    return sizes


def plainly(uri: str, model: str, source: str, bucket: str, to: str) -> ObjectReceipt:
    with tempfile.TemporaryDirectory() as folder:
        result = convert(uri, model, source, folder, to)
        return S3Upload(bucket)(result, key=key(result))


def in_prefect(uri: str, model: str, source: str, bucket: str, to: str) -> ObjectReceipt:
    """The same two steps as tasks."""
    from prefect import flow, task

    task_of: Any = task  # its types know no options beside a callable
    converting, upload = task_of(convert, retries=1), task_of(S3Upload(bucket), retries=3)

    @flow(name="sonar")
    def sonar(uri: str, model: str, to: str) -> ObjectReceipt:
        with tempfile.TemporaryDirectory() as folder:
            result = converting(uri, model, source, folder, to)
            receipt: ObjectReceipt = upload(result, key=key(result))
        return receipt

    return sonar(uri, model, to)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("uri")
    parser.add_argument("model", help="as echopype names it: EK60, EK80, AZFP ...")
    parser.add_argument("--source", default="raw", help="an S3Bucket block, by which the file is read")
    parser.add_argument("--bucket", default="reports", help="an S3Bucket block, to which the result goes")
    parser.add_argument("--to", default="zarr", choices=SUFFIXES)
    parser.add_argument("--plain", action="store_true")
    given = parser.parse_args()
    run = plainly if given.plain else in_prefect
    receipt = run(given.uri, given.model, given.source, given.bucket, given.to)
    print(receipt.uri)
    if given.to == "zarr":  # a NetCDF file has to be downloaded before echopype opens it
        print(*shape(receipt.uri, given.bucket))


if __name__ == "__main__":
    main()
