"""Which versions are kept, and what goes with the others: told before anything is deleted."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bondstone.integrations.icechunk.asking import asked
from bondstone.integrations.icechunk.cutoffs import cutoff, now, oldest_session
from bondstone.integrations.icechunk.freed import freed_by_expiry
from bondstone.integrations.icechunk.garbage import collected
from bondstone.integrations.icechunk.policy import Plan, Policy, planned
from bondstone.integrations.icechunk.repo import Repo, repo
from bondstone.integrations.icechunk.versions import Versions
from bondstone.integrations.receipts import Freed, RetentionReceipt

if TYPE_CHECKING:
    import icechunk


@dataclass(frozen=True)
class IcechunkRetention:
    """Expire old versions of a repository, and delete what only they needed.

    Of the block's branch those are kept that are younger than `keep_for`, the newest `keep_last`, and where `daily_for` or `monthly_for` is
    given, the last one of each day or month (UTC) as far back as that; these are tagged `bondstone/kept/…`. What a tag or another branch
    shows is always kept, and so are the markers of keys. Of other branches, what is before their newest version goes by the same moment.
    """

    repo: str  # the name of an IcechunkRepo block, or arraylake-repo/name
    keep_for: timedelta = timedelta(days=30)
    keep_last: int = 10
    daily_for: timedelta | None = None
    monthly_for: timedelta | None = None
    ttl: float | None = None

    def plan(self) -> RetentionReceipt:
        """What a call would do. It reads the chunk lists of the versions that would go: of a million chunks for some minutes."""
        return self(dry_run=True)

    def __call__(self, *, dry_run: bool = False) -> RetentionReceipt:
        """Expire by the policy, and delete what was written longer ago than `keep_for` and is needed by no version.

        A version that a session may have begun with is kept while that session may be open. Who still reads a version that goes, by its
        snapshot, meets errors of the storage from then on. Raises `Conflict` as `IcechunkGarbageCollect`, for `keep_for`.
        """
        target = repo(self.repo, ttl=self.ttl)
        moment = cutoff(target, self.keep_for)
        plan, freed = asked(target, lambda repository: self._done(target, repository, moment, dry_run=dry_run))
        block = target.handle.get()
        place = target.uri(), str(block.reference), block.version or 0
        tags = tuple(sorted(plan.tagged)), tuple(sorted(plan.untagged))
        return RetentionReceipt(*place, plan.before, dry_run, freed, plan.expired, *tags)

    def _done(
        self, target: Repo, repository: "icechunk.Repository", moment: datetime, *, dry_run: bool
    ) -> tuple[Plan, Freed]:
        versions, policy = Versions.of(repository), Policy(self.keep_last, self.daily_for, self.monthly_for)
        times = {"moment": moment, "today": now(target), "oldest": oldest_session(target)}
        plan = planned(policy, versions, target.handle.get().branch, **times)
        if not dry_run:
            _expire(target, repository, plan)
        garbage = collected(target, repository, moment, dry_run=dry_run)
        return plan, freed_by_expiry(repository, versions, plan.expired, garbage) if dry_run else garbage


def _expire(target: Repo, repository: "icechunk.Repository", plan: Plan) -> None:
    with target.lock():
        for tag, snapshot in plan.tagged.items():
            repository.create_tag(tag, snapshot)
        for tag in plan.untagged:
            repository.delete_tag(tag)
        repository.expire_snapshots(plan.before)
