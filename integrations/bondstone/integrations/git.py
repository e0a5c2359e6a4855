"""Git: a repository's files at its branch, tag or commit, fetched with the credential that is current."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from bondstone.blocks import AccessDenied, Conflict, GitRepository, Handle, NotFound, live
from bondstone.integrations.git_command import Git, named
from bondstone.integrations.git_fetch import fetched
from bondstone.integrations.git_mirror import mirror_of
from bondstone.integrations.receipts import CheckoutReceipt
from bondstone.integrations.scratch import clear


@dataclass(frozen=True)
class GitCheckout:
    """Make a folder hold the files of a `GitRepository` block, at the head of its branch, or its tag or commit. See `checkout`."""

    repository: str
    submodules: bool = False
    mirror: bool = True
    ttl: float | None = None

    def __call__(self, path: str | os.PathLike[str], /) -> CheckoutReceipt:
        return checkout(self.repository, path, submodules=self.submodules, mirror=self.mirror, ttl=self.ttl)


def checkout(
    name: str,
    path: str | os.PathLike[str],
    *,
    submodules: bool = False,
    mirror: bool = True,
    ttl: float | None = None,
) -> CheckoutReceipt:
    """Make the folder `path` hold the files of a `GitRepository` block, at the head of its branch, or its tag or commit.

    The folder is made, or brought up to date if it is an earlier checkout of the same repository; without history. With `submodules`
    theirs are fetched too, with the same credential where they are on the same host. With `mirror` what was fetched is kept in the
    user's cache, for the next checkout on this machine, and those of one repository take turns, also where they share a folder.

    The credential is read for each command, and once more after a refusal; nothing of it is left on disk. Raises `AccessDenied` (also
    for a host whose SSH key is not known), `NotFound` (no such repository, branch, tag, commit or subpath), `Conflict` (the folder holds
    something else, or changes that would be lost), `ServiceUnavailable`, `InvalidSettings` (no mirror can be kept).
    """
    handle, folder = live(GitRepository, name, ttl=ttl), Path(path).expanduser().absolute()
    clear()  # also where this one makes no folder: a key may lie in what was left
    return _Checkout(handle, folder, submodules, mirror)()


@dataclass(frozen=True)
class _Checkout:
    handle: Handle[GitRepository]
    folder: Path
    submodules: bool
    mirror: bool

    def __call__(self) -> CheckoutReceipt:
        block = self.handle.get()
        try:
            return self._of(block)
        except AccessDenied as error:
            refusal = error.with_traceback(None)
        block, refused = self.handle.refresh(), block  # it may be another repository by now
        if block == refused:
            raise refusal
        return self._of(block)

    def _of(self, block: GitRepository) -> CheckoutReceipt:
        registry_id, _ = self.handle.source
        git = Git(self.folder, block)
        with mirror_of(block, registry_id) if self.mirror else nullcontext() as ours:
            return self._made(git, ours.bring if ours else fetched)

    def _made(self, git: Git, bring: Callable[[Git], str]) -> CheckoutReceipt:
        there, begun = self.folder.exists(), (self.folder / ".git").exists()
        with _whole(self.folder):
            _prepared(git)
            receipt = _placed(git, bring(git))
        if self.submodules:
            with nullcontext() if begun else _emptied(self.folder, there):
                _place_submodules(git)
        return receipt


@contextmanager
def _whole(folder: Path) -> Iterator[None]:
    """What a failure leaves is what was there before; what another process has checked out there meanwhile stays."""
    there, begun = folder.exists(), (folder / ".git").exists()
    try:
        yield
    except BaseException:
        if not begun and folder.is_dir() and [path.name for path in folder.iterdir()] == [".git"]:
            shutil.rmtree(folder / ".git", ignore_errors=True)
            if not there:
                with suppress(OSError):
                    folder.rmdir()
        raise


@contextmanager
def _emptied(folder: Path, there: bool) -> Iterator[None]:
    """After a failure, what we have just put into a new folder is gone again."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        if there:
            folder.mkdir(exist_ok=True)
        raise


def _is_unborn(folder: Path) -> bool:
    """Whether nothing was ever checked out there."""
    head = folder / ".git/HEAD"
    return head.is_file() and head.read_text().startswith("ref:")


def _prepared(git: Git) -> None:
    """An empty repository that knows its URL, or what an earlier checkout left. Nothing of anybody else's is touched."""
    folder, url = git.folder, git.block.url
    if not (folder / ".git").exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise Conflict(f"{folder} is there and is no checkout: give a new or an empty folder")
        folder.mkdir(parents=True, exist_ok=True)
        git("init", "--quiet")
        git("config", "remote.origin.url", url)
        return
    if git("config", "--get", "remote.origin.url", failing=True).strip() != url:
        raise Conflict(f"{folder} is a checkout of another repository: give another folder")
    # A submodule may lag behind after a failure; one with changes is refused when it is brought up to date.
    if git("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all"):
        raise Conflict(f"{folder} has changes that are not committed: commit or undo them, or give another folder")


def _placed(git: Git, commit: str) -> CheckoutReceipt:
    """The commit's files in the folder, and the folder that the block means."""
    block, folder = git.block, git.folder
    # A link is no tree, nor is what lies behind one: a subpath cannot lead out.
    if git("cat-file", "-t", f"{commit}:{block.subpath or ''}", failing=True).strip() != "tree":
        raise NotFound(f"{block.url} has no folder '{block.subpath}' at {commit[:12]}: correct {named(block)}")
    # Over what an interrupted one left; files of others are never in the way.
    force = ["--force"] if _is_unborn(folder) else []
    git("-c", "advice.detachedHead=false", "checkout", "--quiet", "--no-recurse-submodules", *force, "--detach", commit)
    return CheckoutReceipt(block.url, named(block), block.version or 0, commit, str(folder / (block.subpath or "")))


def _place_submodules(git: Git) -> None:
    """At the commits that the repository names, by the URLs that it names now."""
    if not (git.folder / ".gitmodules").is_file():
        return
    git("submodule", "--quiet", "sync", "--recursive")
    update = ("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")
    git(*update, online=True, submodules=True)
