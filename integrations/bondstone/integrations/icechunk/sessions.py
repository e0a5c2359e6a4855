"""The vendor's own writable session, for what no task does: committed where its block ends, and kept from garbage collection until then."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bondstone.blocks import Conflict
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.commit import Rebased
from bondstone.integrations.icechunk.committing import Work, landed
from bondstone.integrations.icechunk.leases import leased
from bondstone.integrations.icechunk.repo import Repo, repo

if TYPE_CHECKING:
    import icechunk


@contextmanager
def write_session(
    name: str, *, message: str = "Written in a session", ttl: float | None = None
) -> Iterator["icechunk.Session"]:
    """A writable session on the branch of a repository's block, committed when the block of `with` ends, if anything was written.

    An exception discards it. While it lasts, a lease in the registry says who writes and since when, and bondstone's garbage collection
    leaves its chunks alone; where the process is killed, the lease ends by itself within 10 min. A commit needs the lock of a local
    repository: leave it to this. `session.snapshot_id` is the commit afterwards. What was written is rebased on what others have committed
    elsewhere in the repository meanwhile; nothing can be repeated here, so raises `Conflict` where they wrote to the same place, or if the
    machine slept while garbage may have been collected. Raises what `IcechunkCommit` raises.
    """
    target = repo(name, ttl=ttl)
    with target.translated(), leased(target, after=0) as lease:
        repository = target.open()
        session = repository.writable_session(target.handle.get().branch)
        yield session
        if not session.has_uncommitted_changes:
            return
        with target.lock():
            if lease.lapsed():
                place = target.handle.reference
                raise Conflict(f"the registry did not know of this session in {place} for a while: write it again")
            _land(target, repository, session, message)


def _land(target: Repo, repository: "icechunk.Repository", session: "icechunk.Session", message: str) -> None:
    vendor = need("icechunk", "icechunk")
    try:
        landed(Work(target, _Session(), message), repository, session)
    except (vendor.ConflictError, vendor.RebaseFailedError):
        pass
    else:
        return
    raise Conflict(f"others have committed to the same place of {target.handle.reference}: write it again")


@dataclass(frozen=True)
class _Session(Rebased):
    """What the caller has written already, and without a key."""

    def write(self, session: "icechunk.Session") -> dict[str, Any]:
        return {}

    def compare(self, session: "icechunk.Session | None", facts: dict[str, Any]) -> None:
        """There is nothing to compare."""
