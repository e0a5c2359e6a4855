"""Write, audit, publish: a version that fails a check is never the newest, not for a moment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.changes import changes
from bondstone.integrations.icechunk.commit import Writer, change_of, checked
from bondstone.integrations.icechunk.committing import KEEP_KEYS, Work, commit, metadata, mine, receipt
from bondstone.integrations.icechunk.leases import WriteLease
from bondstone.integrations.icechunk.repo import repo
from bondstone.integrations.receipts import CommitReceipt, PublishReceipt

if TYPE_CHECKING:
    import icechunk
    import xarray

type Check = Callable[[xarray.Dataset], object]

HELD = "held/"  # tags of candidates that failed
_LONGEST = 200  # characters of what a check says


@dataclass(frozen=True)
class IcechunkPublish:
    """Commit a dataset, or what a function writes, as a version that readers see only after it has passed all checks."""

    repo: str  # the name of an IcechunkRepo block, or arraylake-repo/name
    checks: Sequence[Check]
    ttl: float | None = None
    keep_keys: int = KEEP_KEYS  # as of IcechunkCommit

    def __call__(
        self, content: "xarray.Dataset | Writer", /, *, message: str, group: str | None = None, key: str | None = None
    ) -> PublishReceipt:
        """Write a candidate that no branch shows, check it, and move the branch to it.

        Each check is given the dataset of `group`, lazily, as a reader of the candidate sees it. It returns None or True if all is well,
        else False, or problems as text; one that raises fails too, and only the name of its error is told. A candidate with problems stays
        under the tag `held`; its key may be used again. When somebody commits meanwhile, the candidate is written and checked anew on what
        they have committed. Raises what `IcechunkCommit` raises, and `ValueError` if there is no check.
        """
        if not self.checks:
            raise ValueError("there is nothing to check: give checks, or use IcechunkCommit")
        path, audit = checked(group), _Audit(tuple(self.checks))
        target = repo(self.repo, ttl=self.ttl)
        work = Work(target, change_of(content, path), message, path, key, self.keep_keys, land=audit)
        try:
            done = commit(work)
        except _Held as held:
            return PublishReceipt(**vars(held.candidate), published=False, held=held.tag, problems=held.problems)
        return PublishReceipt(**vars(done))


class _Held(Exception):
    """A candidate that failed."""

    def __init__(self, candidate: CommitReceipt, tag: str, problems: tuple[str, ...]) -> None:
        self.candidate, self.tag, self.problems = candidate, tag, problems


@dataclass(frozen=True)
class _Audit:
    """Lands what passes `checks`."""

    checks: tuple[Check, ...]

    def __call__(
        self, work: Work, repository: "icechunk.Repository", session: "icechunk.Session", lease: WriteLease
    ) -> str | None:
        base, done = session.snapshot_id, changes(session)
        with work.repo.lock():
            candidate = session.flush(work.message, metadata=self._metadata(work))
        problems = self._problems(work, candidate)
        with work.repo.lock():
            if problems:
                tag = f"{HELD}{datetime.now(UTC):%Y-%m-%d}-{uuid4().hex[:8]}"  # a deleted tag can never be made again
                repository.create_tag(tag, candidate)
                raise _Held(receipt(work, candidate, base, done), tag, problems)
            return None if lease.lapsed() else _published(work, repository, candidate, base)

    def _metadata(self, work: Work) -> dict[str, Any]:
        return {**metadata(work), "bondstone.checks": [_name(check) for check in self.checks]}

    def _problems(self, work: Work, candidate: str) -> tuple[str, ...]:
        """By a repository that is opened anew, as a reader does: nothing comes from what the writer has in memory."""
        session = work.repo.open().readonly_session(snapshot_id=candidate)
        dataset = need("xarray", "icechunk").open_zarr(session.store, group=work.group, consolidated=False, chunks=None)
        return tuple(problem for check in self.checks for problem in _told(check, dataset))


def _published(work: Work, repository: "icechunk.Repository", candidate: str, base: str) -> str:
    """Raises the vendor's `ConflictError` if the branch does not show `base` any more."""
    vendor = need("icechunk", "icechunk")
    try:
        repository.reset_branch(work.repo.handle.get().branch, candidate, from_snapshot_id=base)
    except (vendor.ConflictError, vendor.StorageError):
        if not mine(work, base):  # else it had landed, and the answer was lost
            raise
    return candidate


def _told(check: Check, dataset: "xarray.Dataset") -> list[str]:
    name = _name(check)
    try:
        found = check(dataset)
    except need("icechunk", "icechunk").StorageError:  # the storage is what failed
        raise
    except Exception as error:  # noqa: BLE001 -- a check is anybody's code; its text may hold data
        return [f"{name} raised {type(error).__name__}"]
    if isinstance(found, str):
        found = [found]
    if isinstance(found, list | tuple | set):
        return [f"{name}: {' '.join(str(problem).split())[:_LONGEST]}" for problem in found]
    return [] if found is None or bool(found) else [f"{name} failed"]


def _name(check: Check) -> str:
    return getattr(check, "__name__", type(check).__name__)
