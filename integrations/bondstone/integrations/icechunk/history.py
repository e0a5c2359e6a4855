"""Undo, and names for versions: both change what a repository shows, and neither writes data."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bondstone.blocks import Conflict, InvalidName
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.asking import asked, found
from bondstone.integrations.icechunk.repo import Repo, repo
from bondstone.integrations.receipts import RollbackReceipt, TagReceipt

if TYPE_CHECKING:
    import icechunk


@dataclass(frozen=True)
class IcechunkRollback:
    """Let the branch of a repository's block show an earlier version again, for all who read it."""

    repo: str  # the name of an IcechunkRepo block, or arraylake-repo/name
    ttl: float | None = None

    def __call__(self, *, to: str, seen: str | None = None) -> RollbackReceipt:
        """To a snapshot or a tag. The receipt's `undo` is what the branch showed before: called with that, this restores it.

        What was committed after `to` is in no history any more, and garbage; tag `undo` to keep it. Keys of those commits may be committed
        again. Raises `NotFound` if there is no such version, `Conflict` if somebody commits in this moment or, with `seen`, if the branch
        does not show that snapshot any more.
        """
        target = repo(self.repo, ttl=self.ttl)
        undo, snapshot = asked(target, lambda repository: _reset(target, repository, to, seen))
        block = target.handle.get()
        return RollbackReceipt(target.uri(), str(block.reference), block.version or 0, snapshot, undo, block.branch)


@dataclass(frozen=True)
class IcechunkTag:
    """Give a version of a repository a name, which is never moved, and which keeps it from expiring."""

    repo: str
    ttl: float | None = None

    def __call__(self, tag: str, /, *, snapshot: str | None = None) -> TagReceipt:
        """Tag a snapshot, or what the branch shows. A second call with the same two changes nothing, and says so.

        Raises `NotFound` if there is no such snapshot, `InvalidName`, and `Conflict` if the tag is another snapshot's, or was deleted.
        """
        target = repo(self.repo, ttl=self.ttl)
        tagged, already = asked(target, lambda repository: _tag(target, repository, checked_tag(tag), snapshot))
        block = target.handle.get()
        return TagReceipt(target.uri(), str(block.reference), block.version or 0, tag, tagged, already)


def checked_tag(tag: str) -> str:
    """Raises `InvalidName`; icechunk takes anything, as '' and '../x'."""
    if not tag.isprintable() or any(part.strip(" .") == "" for part in tag.split("/")):
        raise InvalidName("a tag is a name such as '2026-11' or 'released/2026-11', without '.', '..' or an empty part")
    return tag


def _reset(target: Repo, repository: "icechunk.Repository", to: str, seen: str | None) -> tuple[str, str]:
    """What the branch showed, and what it shows now."""
    branch, snapshot = target.handle.get().branch, found(repository, to)
    with target.lock():
        undo = repository.lookup_branch(branch)
        if seen not in (None, undo):
            raise Conflict(f"{target.handle.reference} shows {undo} by now: look again at what would be undone")
        if undo != snapshot:
            moved(target, repository, snapshot, undo)
    return undo, snapshot


def moved(target: Repo, repository: "icechunk.Repository", snapshot: str, before: str) -> None:
    """Move the branch from one snapshot to another. Raises `Conflict` if somebody else moved it; the lock must be held."""
    vendor, branch = need("icechunk", "icechunk"), target.handle.get().branch
    try:
        repository.reset_branch(branch, snapshot, from_snapshot_id=before)
    except (vendor.ConflictError, vendor.StorageError) as error:
        if target.open().lookup_branch(branch) == snapshot:  # it had landed, and the answer was lost
            return
        if not isinstance(error, vendor.ConflictError):
            raise
    else:
        return
    raise Conflict(
        f"somebody has committed to {target.handle.reference} in this moment: look again at what would be undone"
    )


def _tag(target: Repo, repository: "icechunk.Repository", tag: str, snapshot: str | None) -> tuple[str, bool]:
    """The snapshot, and whether it had the tag already."""
    vendor = need("icechunk", "icechunk")
    wanted = found(repository, snapshot) if snapshot else repository.lookup_branch(target.handle.get().branch)
    try:
        with target.lock():
            repository.create_tag(tag, wanted)
    except vendor.AlreadyExistsError:
        there = repository.lookup_tag(tag) if tag in repository.list_tags() else None
    else:
        return wanted, False
    if there == wanted:
        return wanted, True
    whose = f"is the tag of {there}" if there else "was deleted, and a deleted tag cannot be made again"
    raise Conflict(f"{tag!r} {whose}: use another name")
