"""Zarr in a bucket, rewritten as a whole without a reader seeing half of it; for stores that cannot have Icechunk."""

from bondstone.integrations.zarr.reading import connect, current, open_dataset
from bondstone.integrations.zarr.write import ZarrWrite

__all__ = ["ZarrWrite", "connect", "current", "open_dataset"]
