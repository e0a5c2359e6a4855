"""Datasets that say nothing about codecs are stored by a fast one; what they do say is kept."""

from typing import Any

import numcodecs  # type: ignore[import-untyped]
import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.codecs import BloscCodec, GzipCodec
from zarr.storage import MemoryStore

from bondstone.integrations.encoding import with_default_codecs

pytestmark = pytest.mark.filterwarnings("ignore:.*onsolidated.*")


class TestDefaults:
    """Of variables without codecs."""

    @pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "u1", "bool", "c16", "M8[ns]", "m8[s]"])
    def test_numbers_and_times(self, dtype: str) -> None:
        """Blosc with zstd at its first level, shuffled; the values are the same."""
        dataset = xr.Dataset({"a": ("x", np.arange(10).astype(dtype))})

        array = stored(dataset)["a"]

        (codec,) = array.compressors
        assert isinstance(codec, BloscCodec)
        assert (codec.cname, codec.clevel, codec.shuffle) == ("zstd", 1, "shuffle")

    def test_coordinates_too(self) -> None:
        """They are variables like others."""
        dataset = xr.Dataset({"a": ("x", [1.0, 2.0])}, {"x": [10.0, 20.0]})

        assert isinstance(stored(dataset)["x"].compressors[0], BloscCodec)

    @pytest.mark.parametrize("dtype", [object, "U3"])
    def test_texts_are_left_alone(self, dtype: Any) -> None:
        """Shuffling the bytes of a text gains nothing."""
        dataset = xr.Dataset({"a": ("x", np.array(["one", "two"], dtype=dtype))})

        (codec,) = stored(dataset)["a"].compressors

        assert not isinstance(codec, BloscCodec)


class TestWhatIsSaid:
    """By the user, or by the file that the dataset is from."""

    @pytest.mark.parametrize("compressors", [[GzipCodec(level=3)], GzipCodec(level=3), None, ()])
    def test_codecs_are_kept(self, compressors: Any) -> None:
        """Also the wish for none."""
        dataset = xr.Dataset({"a": ("x", np.arange(10.0))})
        dataset["a"].encoding["compressors"] = compressors

        assert stored(dataset)["a"].compressors == ((GzipCodec(level=3),) if compressors else ())

    def test_the_rest_of_an_encoding_is_kept(self) -> None:
        """Chunks, packing and time units, beside what a NetCDF file leaves there, which Zarr does not know."""
        dataset = xr.Dataset({"a": ("time", [1.0, 2.5, 3.0])}, {"time": np.arange(3).astype("M8[D]").astype("M8[ns]")})
        dataset["a"].encoding = {
            "dtype": "i2",
            "scale_factor": 0.5,
            "_FillValue": -1,
            "chunks": (2,),
            "zlib": True,
            "complevel": 4,
        }
        dataset["time"].encoding = {"units": "hours since 1960-01-01", "dtype": "i4"}

        group = stored(dataset)

        assert (group["a"].dtype, group["a"].chunks, group["a"].attrs["scale_factor"]) == (np.dtype("i2"), (2,), 0.5)
        assert (group["time"].dtype, group["time"].attrs["units"]) == (np.dtype("i4"), "hours since 1960-01-01")
        assert isinstance(group["a"].compressors[0], BloscCodec)

    def test_a_dataset_that_was_read_from_zarr_2(self) -> None:
        """Its codecs are refused by Zarr 3, and replaced."""
        old = MemoryStore()
        encoding = {"a": {"filters": [numcodecs.Delta(dtype="f8")]}}
        xr.Dataset({"a": ("x", np.arange(10.0))}).to_zarr(old, zarr_format=2, encoding=encoding)

        array = stored(xr.open_zarr(old))["a"]

        assert isinstance(array.compressors[0], BloscCodec)
        assert array[3] == 3.0

    def test_the_dataset_itself_stays_as_it_is(self) -> None:
        """Only the copy has the codec; the data is not copied."""
        dataset = xr.Dataset({"a": ("x", np.arange(10.0))}, {"x": np.arange(10)})

        copy = with_default_codecs(dataset)

        assert dataset["a"].encoding == dataset["x"].encoding == {}
        assert np.shares_memory(copy["a"].values, dataset["a"].values)


def stored(dataset: xr.Dataset) -> Any:
    """The group that is written from it; it reads as the dataset."""
    store = MemoryStore()
    with_default_codecs(dataset).to_zarr(store, zarr_format=3)
    xr.testing.assert_allclose(xr.open_zarr(store).load(), dataset.load())
    return zarr.open_group(store, mode="r")
