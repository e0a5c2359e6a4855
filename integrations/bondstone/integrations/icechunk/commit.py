"""Commit a dataset as a new version: exactly once for each key, whatever is retried, raced or killed."""

import hashlib
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bondstone.blocks import Conflict, Handle, IcechunkRepo, InvalidName, live
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.errors import refused, translated
from bondstone.integrations.icechunk.repository import commit_lock, opened, shared, uri
from bondstone.integrations.provenance import run
from bondstone.integrations.receipts import CommitReceipt

if TYPE_CHECKING:
    import icechunk
    import xarray

MARKERS = ".bondstone"
TRIES = 20


@dataclass(frozen=True)
class IcechunkCommit:
    """Write a dataset into a group, replacing what was there, and commit that as the new version of a repository."""

    repo: str  # the name of an IcechunkRepo block
    ttl: float | None = None

    def __call__(
        self, dataset: "xarray.Dataset", /, *, message: str, group: str | None = None, key: str | None = None
    ) -> CommitReceipt:
        """Commit `dataset`. With `key`, a second call of the same key writes nothing and returns the first one's snapshot.

        Other groups, also inside `group`, stay as they are. Raises `AccessDenied`, `NotFound`, `ServiceUnavailable`, `InvalidName`, and
        `Conflict` if other writers kept winning for 20 tries.
        """
        handle = shared(live(IcechunkRepo, self.repo, ttl=self.ttl))
        return _commit(_Commit(handle, dataset, message, _checked(group), key))


@dataclass(frozen=True)
class _Commit:
    handle: Handle[IcechunkRepo]
    dataset: Any
    message: str
    group: str | None
    key: str | None

    @property
    def marker(self) -> str | None:
        """The group that proves, inside the very commit, that this key was committed; it outlives the history."""
        return f"{MARKERS}/{hashlib.sha256(self.key.encode()).hexdigest()[:32]}" if self.key is not None else None


def _checked(group: str | None) -> str | None:
    path = (group or "").strip("/")
    if any(part in ("", ".", "..", MARKERS) for part in path.split("/") if path):
        raise InvalidName(f"a group is a path such as 'xarray/means', without '.', '..' or '{MARKERS}'")
    return path or None


def _commit(job: _Commit, sleep: Callable[[float], None] = time.sleep) -> CommitReceipt:
    block = job.handle.get()
    with translated(block), commit_lock(block):
        for attempt in range(TRIES):
            receipt = _try(job)
            if receipt is not None:
                return receipt
            sleep(random.uniform(0, min(2.0, 0.05 * 2**attempt)))  # noqa: S311 -- jitter, not a key
    raise Conflict(f"other writers of {block.reference} were faster {TRIES} times: try again later")


def _try(job: _Commit) -> CommitReceipt | None:
    """One attempt on the newest state; None if it must be replayed on a newer one."""
    vendor = need("icechunk", "icechunk")
    block = job.handle.get()
    try:
        return _committed(job, block, opened(job.handle))
    except (vendor.ConflictError, vendor.RebaseFailedError):
        return None
    except vendor.StorageError as error:
        # A key that was deleted under our hands: the next attempt asks for the current one. If that is the same, it is refused for good.
        if not refused(error) or job.handle.refresh() == block:
            raise
        return None


def _committed(job: _Commit, block: IcechunkRepo, repository: "icechunk.Repository") -> CommitReceipt:
    session = repository.writable_session(block.branch)
    if job.marker and _exists(session, job.marker):
        found = _found(repository, block.branch, job.marker) or session.snapshot_id
        return _receipt(job, block, found, None, already=True)
    _write(job, session)
    solver = need("icechunk", "icechunk").ConflictDetector()
    snapshot = session.commit(job.message, _metadata(job, block), rebase_with=solver, rebase_tries=3)
    return _receipt(job, block, snapshot, _parent(repository, snapshot), already=False)


def _parent(repository: "icechunk.Repository", snapshot: str) -> str | None:
    """The version before; a rebase may have changed it. None if the storage just went: the commit is in, and must not fail for that."""
    with suppress(need("icechunk", "icechunk").StorageError):
        return repository.lookup_snapshot(snapshot).parent_id
    return None


def _write(job: _Commit, session: "icechunk.Session") -> None:
    need("xarray", "icechunk")
    write = need("icechunk.xarray", "icechunk").to_icechunk
    _clear(session, job.group)
    write(job.dataset, session, group=job.group, mode="a")
    if job.marker:
        _root(session).create_group(job.marker)


def _clear(session: "icechunk.Session", group: str | None) -> None:
    """Remove the arrays and attributes of a group, not the groups inside it: `mode="w"` would take those, and our markers, along."""
    if group is not None and not _exists(session, group):
        return
    root = _root(session)
    node = root[group] if group else root
    for name in list(node.array_keys()):
        del node[name]
    node.attrs.clear()


def _root(session: "icechunk.Session") -> Any:
    return need("zarr", "icechunk").open_group(session.store, mode="a", zarr_format=3)


def _exists(session: "icechunk.Session", path: str) -> bool:
    return path in _root(session)


def _found(repository: "icechunk.Repository", branch: str, marker: str) -> str | None:
    """The snapshot that wrote a marker; None if the history before now was expired."""
    ancestry = repository.ancestry(branch=branch)
    return next((snapshot.id for snapshot in ancestry if snapshot.metadata.get("bondstone.marker") == marker), None)


def _metadata(job: _Commit, block: IcechunkRepo) -> dict[str, Any]:
    """Where this version came from. Commit metadata can never be removed: names and ids only."""
    facts = {"block": str(block.reference), "version": block.version, "key": job.key, "marker": job.marker, **run()}
    if block.bucket and (signer := block.bucket.credentials) and signer.reference:
        facts["credentials"] = f"{signer.reference}@{signer.version}"
    return {f"bondstone.{name}": value for name, value in facts.items() if value is not None}


def _receipt(job: _Commit, block: IcechunkRepo, snapshot: str, parent: str | None, *, already: bool) -> CommitReceipt:
    name, version = str(block.reference), block.version or 0
    return CommitReceipt(uri(block), name, version, snapshot, parent, block.branch, job.group, job.key, already)
