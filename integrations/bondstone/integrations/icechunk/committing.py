"""How every task commits: once for each key, on the newest version, whatever is retried, raced or refused."""

import random
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from bondstone.blocks import Conflict
from bondstone.integrations.concurrency import concurrent_writes
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk import markers
from bondstone.integrations.icechunk.changes import changes
from bondstone.integrations.icechunk.errors import refused
from bondstone.integrations.icechunk.leases import SOON, WriteLease, leased
from bondstone.integrations.icechunk.progress import progress
from bondstone.integrations.icechunk.repo import Repo
from bondstone.integrations.provenance import code, run
from bondstone.integrations.receipts import Changes, CommitReceipt

if TYPE_CHECKING:
    import icechunk

TRIES = 20
REBASES = 3
KEEP_KEYS = 1000  # markers cost 3 µs each in every commit


class Change(Protocol):
    """What a task wants to have committed. It is written anew, on the newest version, for as long as others are faster."""

    def write(self, session: "icechunk.Session", /) -> dict[str, Any]:
        """Write into `session`. What it returns (JSON, nothing secret) is kept with the key, for `compare`. Raises `Conflict`."""
        ...

    def compare(self, session: "icechunk.Session | None", facts: dict[str, Any], /) -> None:
        """Raise `Conflict` if what the key committed, as `session` shows it, is not what is to be written now.

        `session` is of the very commit or, where its history has expired, None.
        """
        ...

    def rebase(self, session: "icechunk.Session", repository: "icechunk.Repository", /) -> bool:
        """Put what was written on the version that somebody else has just committed. False: it must be written anew."""
        ...


class Land(Protocol):
    """How what was written becomes the newest version."""

    def __call__(
        self, work: "Work", repository: "icechunk.Repository", session: "icechunk.Session", lease: WriteLease, /
    ) -> str | None:
        """The snapshot, or None if it must be written anew. Where commits take a lock, this takes it."""
        ...


def _locked(
    work: "Work", repository: "icechunk.Repository", session: "icechunk.Session", lease: WriteLease
) -> str | None:
    with work.repo.lock():
        return None if lease.lapsed() else landed(work, repository, session)


@dataclass(frozen=True)
class Work:
    """One call of a task: a change, and the words that go with it."""

    repo: Repo
    change: Change
    message: str
    group: str | None = None
    key: str | None = None
    keep_keys: int = KEEP_KEYS
    land: Land = _locked
    lease_after: float = SOON  # seconds of writing; what is shorter needs none
    call: str = field(default_factory=lambda: uuid4().hex)  # tells our own commit from another's after a lost answer

    @property
    def marker(self) -> str | None:
        """The path that proves the key."""
        return None if self.key is None else markers.marker(self.key)


def commit(work: Work, sleep: Callable[[float], None] = time.sleep) -> CommitReceipt:
    """Commit, and say what came of it.

    Raises `Conflict` if other writers were faster 20 times, and what the change and `Repo.translated` raise.
    """
    with work.repo.translated():
        for attempt in range(TRIES):
            # Where commits take a lock, one who lost holds it from the beginning: then nobody can be faster again.
            with work.repo.lock() if attempt else nullcontext():
                done = _attempt(work)
            if done is not None:
                return done
            sleep(random.uniform(0, min(2.0, 0.05 * 2**attempt)))  # noqa: S311 -- jitter, not a key
    raise Conflict(f"other writers of {work.repo.handle.reference} were faster {TRIES} times: try again later")


def _attempt(work: Work) -> CommitReceipt | None:
    """One attempt on the newest version; None if there must be another."""
    vendor = need("icechunk", "icechunk")
    before = work.repo.signing()
    try:
        return _committed(work, work.repo.open())
    except (vendor.ConflictError, vendor.RebaseFailedError):
        return None
    except vendor.StorageError as error:
        failed = error
    # A key that was deleted under our hands: the next attempt asks for the current one. If that is the same, it is refused for good.
    if not refused(failed) or not work.repo.renewed(before):
        raise failed
    return None


def _committed(work: Work, repository: "icechunk.Repository") -> CommitReceipt | None:
    with leased(work.repo, after=work.lease_after) as lease:
        session = repository.writable_session(work.repo.handle.get().branch)
        if earlier := _earlier(work, repository, session):
            return earlier
        _write(work, session)
        if not session.has_uncommitted_changes:
            return receipt(work, session.snapshot_id, None, Changes())
        done = changes(session)
        snapshot = work.land(work, repository, session, lease)
    return receipt(work, snapshot, _parent(repository, snapshot), done) if snapshot else None


def _write(work: Work, session: "icechunk.Session") -> None:
    """The change, and with it what proves its key."""
    with progress(session, work.message), concurrent_writes():
        facts = work.change.write(session)
    if work.marker:
        markers.write(session, work.marker, {**facts, "at": datetime.now(UTC).isoformat(timespec="microseconds")})
        markers.prune(session, work.marker, work.keep_keys)


def _earlier(work: Work, repository: "icechunk.Repository", session: "icechunk.Session") -> CommitReceipt | None:
    """What the same key committed before."""
    facts = markers.read(session, work.marker) if work.marker else None
    if facts is None:
        return None
    ancestry = repository.ancestry(snapshot_id=session.snapshot_id)
    found = next((item for item in ancestry if item.metadata.get("bondstone.marker") == work.marker), None)
    work.change.compare(repository.readonly_session(snapshot_id=found.id) if found else None, facts)
    already = found is None or found.metadata.get("bondstone.call") != work.call
    return receipt(work, found.id if found else session.snapshot_id, None, Changes(), already=already)


def landed(work: Work, repository: "icechunk.Repository", session: "icechunk.Session") -> str:
    """The snapshot. After a conflict, and after an answer that was lost, it may be there already."""
    vendor, base = need("icechunk", "icechunk"), session.snapshot_id
    for rebases in range(REBASES + 1):
        try:
            return session.commit(work.message, metadata(work))
        except (vendor.ConflictError, vendor.StorageError) as error:
            if snapshot := mine(work, base):
                return snapshot
            if not isinstance(error, vendor.ConflictError) or rebases == REBASES:
                raise
            if not work.change.rebase(session, repository):
                raise
    raise AssertionError("unreachable")


def mine(work: Work, base: str) -> str | None:
    """The snapshot that this very call has made since `base`, by a repository with the keys of now; None if there is none."""
    with suppress(need("icechunk", "icechunk").StorageError):  # then the caller's error tells more
        for item in work.repo.open().ancestry(branch=work.repo.handle.get().branch):
            if item.metadata.get("bondstone.call") == work.call:
                return item.id
            if item.id == base:
                break
    return None


def _parent(repository: "icechunk.Repository", snapshot: str) -> str | None:
    """The version before; a rebase may have changed it. None if the storage just went: the commit is in, and must not fail for that."""
    with suppress(need("icechunk", "icechunk").StorageError):
        return repository.lookup_snapshot(snapshot).parent_id
    return None


def metadata(work: Work) -> dict[str, Any]:
    """Where this version came from. Commit metadata can never be removed: names and ids only."""
    block, signer = work.repo.handle.get(), work.repo.signer()
    facts = {"block": str(block.reference), "version": block.version, "key": work.key, "marker": work.marker}
    if signer and signer.reference:
        facts["credentials"] = f"{signer.reference}@{signer.version}"
    known = {**facts, "call": work.call, **run(), **code()}
    return {f"bondstone.{name}": value for name, value in known.items() if value is not None}


def receipt(work: Work, snapshot: str, parent: str | None, done: Changes, *, already: bool = False) -> CommitReceipt:
    block = work.repo.handle.get()
    place = work.repo.uri(), str(block.reference), block.version or 0
    return CommitReceipt(*place, snapshot, parent, block.branch, work.group, work.key, already, done)
