"""List what is in a bucket. By boto3, since obstore fails at the first key that is not a path, and tells no refusal as such."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from bondstone.integrations.s3.access import Access


@dataclass(frozen=True)
class Item:
    """One object, as a listing tells it. `key` is relative to the prefix of the block; `size` is in bytes."""

    key: str
    size: int
    etag: str
    last_modified: datetime


@dataclass(frozen=True)
class S3List:
    """List the objects whose keys begin with a prefix, in the order of their keys."""

    bucket: str  # the name of an S3Bucket block
    ttl: float | None = None

    def __call__(self, *, prefix: str = "") -> list[Item]:
        """All of them, however many, under the keys that they have. Raises `AccessDenied`, `NotFound`, `ServiceUnavailable`."""
        return items(Access.of(self), prefix)


def items(access: Access, prefix: str) -> list[Item]:
    """The objects whose keys begin with `prefix`, as text: ``a`` finds ``ab`` too."""
    return access.client(lambda client: list(_pages(client, access, prefix)))


def _pages(client: object, access: Access, prefix: str) -> Iterator[Item]:
    root = access.key("")
    pages = client.get_paginator("list_objects_v2")  # type: ignore[attr-defined]
    for page in pages.paginate(Bucket=access.place.bucket, Prefix=root + prefix):
        for found in page.get("Contents", ()):
            yield Item(found["Key"].removeprefix(root), found["Size"], found["ETag"], found["LastModified"])
