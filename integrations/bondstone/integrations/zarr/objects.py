"""The objects below a path of a bucket: the pointer, read and swapped, and the prefix of each snapshot."""

import json
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, NamedTuple

from bondstone.blocks import Handle, S3Bucket
from bondstone.integrations.aws import LiveKeys
from bondstone.integrations.extras import need
from bondstone.integrations.s3 import clients
from bondstone.integrations.s3.errors import failures, refused, translated
from bondstone.integrations.s3.place import Place
from bondstone.integrations.zarr.pointer import Pointer

POINTER = "current.json"
SNAPSHOTS = "snapshots"
METADATA = "zarr.json"  # of the root; the first to go when a snapshot is removed

_TIME = "%Y%m%dT%H%M%SZ"


class Found(NamedTuple):
    """A pointer as it was read; `etag` is None where there is none yet."""

    pointer: Pointer
    etag: str | None


class Objects:
    """What lies below `path`. A refused request is repeated once, with the keys that the block has by then."""

    def __init__(self, handle: Handle[S3Bucket], path: str) -> None:
        self.handle, self.path = handle, path
        if not handle.get().anonymous:
            LiveKeys(handle).keys()  # obstore hides why its provider fails
        self._store = clients.store(handle, path)

    def uri(self, name: str) -> str:
        return Place.of(self.handle.get()).uri(f"{self.path}/{name}")

    def pointer(self) -> Found:
        """Raises what `Pointer.of_json` raises."""
        obstore = need("obstore", "aws")

        def read(store: Any) -> Found:
            try:
                answer = obstore.get(store, POINTER)
            except FileNotFoundError:
                return Found(Pointer(), None)
            return Found(Pointer.of_json(bytes(answer.bytes()), self.uri(POINTER)), answer.meta["e_tag"])

        return self._ask(read)

    def swap(self, new: Pointer, etag: str | None) -> bool:
        """Put `new` in the place of the pointer that has `etag`. False, and nothing has changed, if that is no longer the one."""
        kinds = need("obstore.exceptions", "aws")
        condition = {"e_tag": etag} if etag else "create"

        def put(store: Any) -> bool:
            try:
                need("obstore", "aws").put(store, POINTER, new.to_json(), mode=condition)
            except (kinds.PreconditionError, kinds.AlreadyExistsError):
                return False
            except kinds.BaseError as error:
                if "NotImplemented" not in str(error):
                    raise
                self._put_unconditionally(store, new)
            return True

        return self._ask(put)

    def _put_unconditionally(self, store: Any, new: Pointer) -> None:
        warnings.warn(
            f"the server of {self.handle.reference} has no conditional writes: of two writers at once one is lost",
            stacklevel=2,
        )
        need("obstore", "aws").put(store, POINTER, new.to_json())

    def listing(self, snapshot: str) -> dict[str, int]:
        """The size in bytes of each object of a snapshot."""
        root = prefix(snapshot)
        found = self._ask(lambda store: need("obstore", "aws").list(store, root + "/").collect())
        return {item["path"].removeprefix(root + "/"): item["size"] for item in found}

    def snapshots(self) -> list[str]:
        """The ids of all snapshots of which there is an object, published or not."""
        found = self._ask(lambda store: need("obstore", "aws").list_with_delimiter(store, SNAPSHOTS + "/"))
        return [place.rpartition("/")[2] for place in found["common_prefixes"]]

    def data(self, snapshot: str, name: str) -> bytes:
        return self._ask(lambda store: bytes(need("obstore", "aws").get(store, f"{prefix(snapshot)}/{name}").bytes()))

    def put(self, snapshot: str, name: str, data: bytes) -> None:
        self._ask(lambda store: need("obstore", "aws").put(store, f"{prefix(snapshot)}/{name}", data))

    def remove(self, snapshot: str) -> None:
        """The metadata first: who still reads it can then tell a chunk that is gone from one that never was."""
        delete, root = need("obstore", "aws").delete, prefix(snapshot)
        self._ask(lambda store: delete(store, f"{root}/{METADATA}"))
        names = [f"{root}/{name}" for name in self.listing(snapshot)]
        self._ask(lambda store: delete(store, names))

    def _ask[T](self, call: Callable[[Any], T]) -> T:
        with translated(self.handle.get()):
            try:
                return call(self._store)
            except failures() as error:
                if not refused(error):
                    raise
            self.handle.refresh()
            self._store = clients.store(self.handle, self.path)
            return call(self._store)


def prefix(snapshot: str) -> str:
    return f"{SNAPSHOTS}/{snapshot}"


def new_id(now: datetime) -> str:
    """It tells when its writing began, which is all that is known of one that was never published."""
    return f"{now.astimezone(UTC):{_TIME}}-{token_hex(6)}"


def began(snapshot: str) -> datetime | None:
    """None for what is no id of ours."""
    try:
        return datetime.strptime(snapshot.partition("-")[0], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def consolidate(objects: Objects, snapshot: str) -> None:
    """Put the metadata of all arrays into that of the root, so that a reader asks for one object.

    Source: zarr-python, "Consolidated metadata". Its own function warns each time that this is not in Zarr's specification yet, and
    warnings cannot be silenced in one thread alone.
    """
    names = [name for name in objects.listing(snapshot) if name.endswith(f"/{METADATA}")]
    with ThreadPoolExecutor(8) as pool:
        found = [json.loads(data) for data in pool.map(lambda name: objects.data(snapshot, name), names)]
    arrays = {name.removesuffix(f"/{METADATA}"): metadata for name, metadata in zip(names, found, strict=True)}
    root = json.loads(objects.data(snapshot, METADATA))
    root["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": arrays}
    objects.put(snapshot, METADATA, json.dumps(root, indent=1).encode())


def leftovers(objects: Objects, pointer: Pointer, before: datetime) -> list[str]:
    """The snapshots that were never published, or were let go of, and whose writing began before that time."""
    unpublished = [snapshot for snapshot in objects.snapshots() if snapshot not in pointer.ids]
    return [snapshot for snapshot in unpublished if (start := began(snapshot)) and start < before]
