"""After a key died early: what was written goes on with the new one.

Icechunk never asks again for a key because it was refused, and what a session has written cannot leave it. A *fork* can: it pickles, with
all that was written through it, and where it arrives it has a client that asks. So write through a fork that was taken up front.
"""

import pickle
from typing import TYPE_CHECKING

from bondstone.blocks import Conflict
from bondstone.integrations.icechunk.repo import repo as leads_to

if TYPE_CHECKING:
    import icechunk


def revived(repo: str, fork: "icechunk.ForkSession", *, ttl: float | None = None) -> "icechunk.ForkSession":
    """`fork` with all that was written through it, and the keys that the block `repo` has now. Go on with this one.

    `ttl` is that of `connect`.
    """
    its = leads_to(repo, ttl=ttl)
    its.renewed(its.signing())
    again: icechunk.ForkSession = pickle.loads(pickle.dumps(fork))  # noqa: S301 -- our own, of this moment
    return again


def resumed(repo: str, *forks: "icechunk.ForkSession", ttl: float | None = None) -> "icechunk.Session":
    """A writable session with all that was written through `forks`, ready to commit; for when the session that they are of is refused.

    Raises `Conflict` if somebody has committed since the forks were taken: icechunk would merge them without looking for conflicts.
    """
    its = leads_to(repo, ttl=ttl)
    its.renewed(its.signing())
    with its.translated():
        session = its.open().writable_session(its.handle.get().branch)
        if any(fork.snapshot_id != session.snapshot_id for fork in forks):
            raise Conflict(f"somebody has committed to {its.handle.reference} since this was begun: write it again")
        session.merge(*(pickle.loads(pickle.dumps(fork)) for fork in forks))  # noqa: S301
    return session
