"""Readers follow the pointer once, and hold to the snapshot that they found."""

from typing import TYPE_CHECKING

from bondstone.blocks import Handle, NotFound, S3Bucket, live
from bondstone.integrations.extras import need
from bondstone.integrations.zarr.objects import POINTER, Objects, prefix
from bondstone.integrations.zarr.paths import checked
from bondstone.integrations.zarr.pointer import Snapshot

if TYPE_CHECKING:
    import xarray

    from bondstone.integrations.zarr.store import LiveStore


def current(bucket: str, *, path: str, ttl: float | None = None) -> Snapshot:
    """The snapshot at `path` of an `S3Bucket` block that is current now. Raises `NotFound` if none was ever written."""
    objects = Objects(live(S3Bucket, bucket, ttl=ttl), checked(path))
    snapshot = objects.pointer().pointer.current
    if snapshot is None:
        raise NotFound(f"there is no {objects.uri(POINTER)}: write one by ZarrWrite, or correct the path")
    return snapshot


def connect(bucket: str, *, path: str, snapshot: str | None = None, ttl: float | None = None) -> "LiveStore":
    """Zarr's own store of one snapshot, to read: the current one, or the one with that id. It stays with it. Raises as `current`.

    A chunk that is asked for after the snapshot was removed raises `NotFound`.
    """
    found = snapshot or current(bucket, path=path, ttl=ttl).id
    return _store(live(S3Bucket, bucket, ttl=ttl), checked(path), found)


def open_dataset(bucket: str, *, path: str, snapshot: str | None = None, ttl: float | None = None) -> "xarray.Dataset":
    """The dataset of one snapshot, lazily, as `xarray.open_zarr` gives it. Arguments and errors as of `connect`."""
    return _dataset(connect(bucket, path=path, snapshot=snapshot, ttl=ttl))


def opened(objects: Objects, snapshot: str) -> "xarray.Dataset":
    """The same of a snapshot that is known, in plain arrays."""
    return _dataset(_store(objects.handle, objects.path, snapshot), chunks=None)


def _store(handle: Handle[S3Bucket], path: str, snapshot: str) -> "LiveStore":
    from bondstone.integrations.zarr.store import LiveStore

    return LiveStore(handle, f"{path}/{prefix(snapshot)}", read_only=True)


def _dataset(store: "LiveStore", **chunks: None) -> "xarray.Dataset":
    return need("xarray", "icechunk").open_zarr(store, consolidated=True, zarr_format=3, **chunks)  # type: ignore[no-any-return]
