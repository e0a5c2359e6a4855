"""Write a dataset beside what is there, then swap one pointer: readers see the former one or this one, whole."""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bondstone.blocks import BondstoneError, Conflict, InvalidSettings, S3Bucket, live
from bondstone.integrations.concurrency import concurrent_writes
from bondstone.integrations.encoding import with_default_codecs
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.same import differing
from bondstone.integrations.provenance import code, run
from bondstone.integrations.receipts import ZarrReceipt
from bondstone.integrations.zarr.objects import POINTER, Objects, began, consolidate, leftovers, new_id, prefix
from bondstone.integrations.zarr.paths import checked
from bondstone.integrations.zarr.pointer import Pointer, Snapshot
from bondstone.integrations.zarr.reading import opened

if TYPE_CHECKING:
    import xarray

TRIES = 20
LONGEST = timedelta(days=1)  # that a write may take
CLOCKS = timedelta(hours=1)  # that they may differ; what is unpublished after both is nobody's


@dataclass(frozen=True)
class ZarrWrite:
    """Replace the dataset at a path of a bucket, at once for whoever reads it through `open_dataset` or `connect`.

    The newest `keep` snapshots stay, and every other for `grace` seconds after it was current: what is opened longer is lost to its reader.
    """

    bucket: str  # the name of an S3Bucket block
    keep: int = 2
    grace: float = 3600.0
    ttl: float | None = None

    def __post_init__(self) -> None:
        if self.keep < 1 or self.grace < 0:
            raise InvalidSettings("keep is the number of snapshots that stay, at least 1, and grace is in seconds")

    def __call__(self, dataset: "xarray.Dataset", /, *, path: str, key: str | None = None) -> ZarrReceipt:
        """Write `dataset` as the current snapshot of `path`, such as "ocean/sst.zarr".

        With `key`, a second call of the same key writes nothing and tells the first one's snapshot. Raises `AccessDenied`, `NotFound` (no
        such bucket), `ServiceUnavailable`, `InvalidName` (path), and `Conflict`: the key has published another dataset, or the write took
        more than a day, or other writers kept winning for 20 tries.
        """
        if not isinstance(dataset, need("xarray", "icechunk").Dataset):
            raise TypeError(f"give an xarray.Dataset, not {type(dataset).__name__}: an array has to_dataset(name='…')")
        objects = Objects(live(S3Bucket, self.bucket, ttl=self.ttl), checked(path))
        return _Write(self, objects, dataset, key).done()


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class _Write:
    task: ZarrWrite
    objects: Objects
    dataset: Any
    key: str | None
    clock: Callable[[], datetime] = _now
    sleep: Callable[[float], None] = time.sleep

    def done(self) -> ZarrReceipt:
        found = self.objects.pointer().pointer
        if self.key is not None and (known := found.written_with(self.key)):
            return self._already(known, found)
        draft = new_id(self.clock())
        self._store(draft)
        try:
            published, found = self._publish(draft)
        except Conflict:
            self._discard(draft)
            raise
        if published == draft:
            return self._receipt(draft, found, already=False)
        self._discard(draft)
        return self._already(published, found)

    def _already(self, published: str, pointer: Pointer) -> ZarrReceipt:
        """Of a snapshot that is gone there is nothing left to compare."""
        if published in pointer.ids:
            stored = opened(self.objects, published)
            if difference := differing(self.dataset, stored):
                raise Conflict(f"key {self.key!r} has published other content ({difference}): take another key")
        return self._receipt(published, pointer, already=True)

    def _store(self, draft: str) -> None:
        """The data under a prefix of its own, all of it or, unless we are killed, nothing."""
        from bondstone.integrations.zarr.store import LiveStore

        try:
            store = LiveStore(self.objects.handle, f"{self.objects.path}/{prefix(draft)}")
            with concurrent_writes():
                with_default_codecs(self.dataset).to_zarr(store, mode="w-", zarr_format=3, consolidated=False)
            consolidate(self.objects, draft)
        except BaseException:
            self._discard(draft)
            raise

    def _publish(self, draft: str) -> tuple[str, Pointer]:
        """The snapshot that our key stands for, which is `draft` unless somebody was first, and a pointer that has it."""
        # The answer to our swap may be lost: what was published is known by its key, also if others have let go of it since.
        key, grace = draft if self.key is None else self.key, timedelta(seconds=self.task.grace)
        for attempt in range(TRIES):
            before, etag = self.objects.pointer()
            if found := before.written_with(key):
                return found, before
            after = before.moved(self._snapshot(draft), key, keep=self.task.keep, grace=grace)
            if self.objects.swap(after, etag):
                self._tidy(before, after)
                return draft, after
            self.sleep(random.uniform(0, min(2.0, 0.05 * 2**attempt)))  # noqa: S311 -- jitter, not a key
        raise Conflict(f"other writers of {self.objects.uri(POINTER)} were faster {TRIES} times: try again later")

    def _snapshot(self, draft: str) -> Snapshot:
        """Raises `Conflict` if the draft is so old that others may take it for a leftover."""
        now, block = self.clock(), self.objects.handle.get()
        if (start := began(draft)) and now - start > LONGEST:
            raise Conflict(f"writing to {self.objects.uri(POINTER)} took more than a day: write in smaller pieces")
        by = {"block": f"{block.reference}@{block.version}", **run(), **code()}
        if block.credentials and block.credentials.reference:
            by["credentials"] = f"{block.credentials.reference}@{block.credentials.version}"
        return Snapshot(draft, now.isoformat(timespec="milliseconds"), by=by)

    def _tidy(self, before: Pointer, after: Pointer) -> None:
        """Remove what the swap let go of, and what killed writers left. We have published, so this fails nobody: the next write goes on."""
        long_ago = self.clock() - LONGEST - CLOCKS
        with suppress(BondstoneError):
            for snapshot in {*(before.ids - after.ids), *leftovers(self.objects, after, long_ago)}:
                self.objects.remove(snapshot)

    def _discard(self, draft: str) -> None:
        with suppress(BondstoneError):
            self.objects.remove(draft)

    def _receipt(self, snapshot: str, pointer: Pointer, *, already: bool) -> ZarrReceipt:
        block, uri = self.objects.handle.get(), self.objects.uri(prefix(snapshot))
        what = (self.objects.path, snapshot, pointer.before(snapshot), self.key, already)
        size = sum(self.objects.listing(snapshot).values())
        return ZarrReceipt(uri, str(block.reference), block.version or 0, *what, size)
