"""Commit what many workers write: each its own blocks, through a fork that holds no secret, and all of it in one commit or none."""

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bondstone.integrations.icechunk.commit import Rebased, checked
from bondstone.integrations.icechunk.committing import KEEP_KEYS, Work, commit
from bondstone.integrations.icechunk.repo import Repo, repo
from bondstone.integrations.icechunk.same import refuse_other
from bondstone.integrations.icechunk.workers import travelled, written
from bondstone.integrations.receipts import CommitReceipt

if TYPE_CHECKING:
    import distributed
    import icechunk
    import xarray

type Workers = distributed.Client | Executor


@dataclass(frozen=True)
class IcechunkDistributedWrite:
    """Write a lazy dataset into a group by many workers, replacing what was there, and commit that as the new version."""

    repo: str  # the name of an IcechunkRepo block, or arraylake-repo/name
    ttl: float | None = None
    keep_keys: int = KEEP_KEYS  # at least as many keys are remembered, the newest

    def __call__(
        self,
        dataset: "xarray.Dataset",
        /,
        client: "Workers | None" = None,
        *,
        message: str,
        group: str | None = None,
        key: str | None = None,
    ) -> CommitReceipt:
        """Compute and write each block of a dataset of dask arrays where `client` runs it, and commit once.

        `client` is a Dask client or any executor; without one, Dask's own default computes (the current client, else threads). A block
        holds whole stored chunks (`.encoding["chunks"]`, else as large as the largest block): the dataset is rechunked where it must be.
        When a worker's key is refused, it is looked up again and the chunk written once more; when the commit's is, what was written is
        kept. Each chunk that must be there is counted before the commit, so those that hold nothing but the fill value are stored too.

        Raises what `IcechunkCommit` raises, `ServiceUnavailable` if chunks are missing, and what computing the dataset raises.
        """
        path, target = checked(group), repo(self.repo, ttl=self.ttl)
        return commit(Work(target, _Distributed(target, dataset, path, client), message, path, key, self.keep_keys))


@dataclass
class _Distributed(Rebased):
    repo: Repo
    dataset: Any
    group: str | None
    client: "Workers | None"
    done: "icechunk.ForkSession | None" = None  # outlives the session, when that one's key dies at the commit

    def write(self, session: "icechunk.Session") -> dict[str, Any]:
        if self.done is None or self.done.snapshot_id != session.snapshot_id:
            self.done = written(self.dataset, self.group, session.fork(), self.repo, self.client)
        session.merge(travelled(self.done))
        return {"group": self.group}

    def compare(self, session: "icechunk.Session | None", facts: dict[str, Any]) -> None:
        refuse_other(self.dataset, self.group, session, facts)
