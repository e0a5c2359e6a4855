"""Garbage collection that leaves alone what open sessions have written."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bondstone.integrations.icechunk.asking import asked
from bondstone.integrations.icechunk.cutoffs import cutoff
from bondstone.integrations.icechunk.repo import Repo, repo
from bondstone.integrations.receipts import Freed, GarbageReceipt

if TYPE_CHECKING:
    import icechunk


@dataclass(frozen=True)
class IcechunkGarbageCollect:
    """Delete what no version of a repository needs: after commits that failed, rollbacks, and versions that expired."""

    repo: str  # the name of an IcechunkRepo block, or arraylake-repo/name
    ttl: float | None = None

    def __call__(self, *, older_than: timedelta | datetime, dry_run: bool = False) -> GarbageReceipt:
        """Of what was written before a moment, or longer ago than a time span. With `dry_run` nothing is deleted.

        Icechunk by itself deletes what an open session has written; its commit succeeds, and every read fails. So this raises `Conflict`
        for a moment that is younger than the oldest session that holds a lease, with its holder, or than 10 min; with `dry_run` too.
        Raises `AccessDenied`, `NotFound`, `ServiceUnavailable`.
        """
        target = repo(self.repo, ttl=self.ttl)
        moment = cutoff(target, older_than)
        freed = asked(target, lambda repository: collected(target, repository, moment, dry_run=dry_run))
        block = target.handle.get()
        return GarbageReceipt(target.uri(), str(block.reference), block.version or 0, moment, dry_run, freed)


def collected(target: Repo, repository: "icechunk.Repository", moment: datetime, *, dry_run: bool) -> Freed:
    """What icechunk's garbage collection deletes; it writes the repository's own file, as a commit does."""
    with target.lock():
        done = repository.garbage_collect(moment, dry_run=dry_run)
    chunks, manifests, failed = done.chunks_deleted, done.manifests_deleted, done.objects_failed_to_delete
    return Freed(done.snapshots_deleted, manifests, chunks, done.bytes_deleted, failed)
