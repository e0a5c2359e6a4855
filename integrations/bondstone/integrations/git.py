"""Git: a repository's files at its branch, tag or commit, fetched with the credential that is current."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bondstone.blocks import (
    AccessDenied,
    BondstoneError,
    Conflict,
    GitRepository,
    Handle,
    MissingExtra,
    NotFound,
    ServiceUnavailable,
    live,
)
from bondstone.integrations.git_access import access
from bondstone.integrations.receipts import CheckoutReceipt

DEADLINE = 300.0  # seconds for each git command; one that moves less than 1 kB/s for 30 s is given up
_STALLED = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30")


def checkout(name: str, path: str | os.PathLike[str], *, ttl: float | None = None) -> CheckoutReceipt:
    """Make the folder `path` hold the files of a `GitRepository` block, at the head of its branch, or its tag or commit.

    The folder is made, or brought up to date if it is an earlier checkout of the same repository. The credential is read for each
    command, and once more after a refusal; nothing of it is left on disk. Raises `AccessDenied` (also for a host whose SSH key is not
    known), `NotFound` (no such repository, branch, tag, commit or subpath), `Conflict` (the folder holds something else, or
    changes that would be lost), `ServiceUnavailable`.
    """
    handle, folder = live(GitRepository, name, ttl=ttl), Path(path).expanduser().absolute()
    with _whole(folder):
        return _checked_out(handle, folder)


def _checked_out(handle: Handle[GitRepository], folder: Path) -> CheckoutReceipt:
    block = handle.get()
    _prepared(folder, block)
    try:
        return _placed(folder, block, _fetched(folder, block))
    except AccessDenied as error:
        refusal = error.with_traceback(None)
    block, refused = handle.refresh(), block
    if block == refused:
        raise refusal
    _prepared(folder, block)  # it may be another repository by now
    return _placed(folder, block, _fetched(folder, block))


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


def _is_unborn(folder: Path) -> bool:
    """Whether nothing was ever checked out there."""
    head = folder / ".git/HEAD"
    return head.is_file() and head.read_text().startswith("ref:")


def _prepared(folder: Path, block: GitRepository) -> None:
    """An empty repository that knows its URL, or what an earlier checkout left. Nothing of anybody else's is touched."""
    if not (folder / ".git").exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise Conflict(f"{folder} is there and is no checkout: give a new or an empty folder")
        folder.mkdir(parents=True, exist_ok=True)
        _git(folder, block, "init", "--quiet")
        _git(folder, block, "config", "remote.origin.url", block.url)
        return
    theirs = _git(folder, block, "config", "--get", "remote.origin.url", failing=True).strip()
    if theirs != block.url:
        raise Conflict(f"{folder} is a checkout of another repository: give another folder")
    if _git(folder, block, "status", "--porcelain", "--untracked-files=no"):
        raise Conflict(f"{folder} has changes that are not committed: commit or undo them, or give another folder")


def _fetched(folder: Path, block: GitRepository) -> str:
    """The id of the commit that the block names, which is in the folder's store by then."""
    fetch = (*_STALLED, "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--force")
    if block.commit:
        if _has(folder, block, block.commit):
            return block.commit
        try:
            _git(folder, block, *fetch, "--depth=1", "origin", block.commit, online=True)
        except _Unadvertised:  # an older server, which hands out only what has a name
            _git(
                folder,
                block,
                *fetch,
                "--depth=2147483647",
                "origin",
                "+refs/heads/*:refs/remotes/origin/*",
                online=True,
            )
        if not _has(folder, block, block.commit):
            raise NotFound(f"{block.url} has no commit {block.commit}: correct {_name(block)}")
        return block.commit
    theirs = f"refs/heads/{block.branch}" if block.branch else f"refs/tags/{block.tag}" if block.tag else "HEAD"
    _git(folder, block, *fetch, "--depth=1", "origin", f"+{theirs}:refs/bondstone/fetched", online=True)
    return _git(folder, block, "rev-parse", "--verify", "--quiet", "refs/bondstone/fetched^{commit}").strip()


def _has(folder: Path, block: GitRepository, commit: str) -> bool:
    return bool(_git(folder, block, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", failing=True))


def _placed(folder: Path, block: GitRepository, commit: str) -> CheckoutReceipt:
    """The commit's files in the folder, and the folder that the block means."""
    # A link is no tree, nor is what lies behind one: a subpath cannot lead out.
    kind = _git(folder, block, "cat-file", "-t", f"{commit}:{block.subpath or ''}", failing=True).strip()
    if kind != "tree":
        raise NotFound(f"{block.url} has no folder '{block.subpath}' at {commit[:12]}: correct {_name(block)}")
    force = (
        ["--force"] if _is_unborn(folder) else []
    )  # over what an interrupted one left; files of others are never in the way
    _git(folder, block, "-c", "advice.detachedHead=false", "checkout", "--quiet", *force, "--detach", commit)
    return CheckoutReceipt(block.url, _name(block), block.version or 0, commit, str(folder / (block.subpath or "")))


class _Unadvertised(NotFound):
    """The server has not said whether it has this commit."""


def _git(folder: Path, block: GitRepository, *words: str, online: bool = False, failing: bool = False) -> str:
    """What git prints. With `failing`, nothing where it fails. Only a command that is `online` gets the credential."""
    with access(block.credentials if online else None, block.url) as its:
        done = _run(["git", *words], folder, its.environment, its.descriptors, block)
    if done.code == 0:
        return done.output
    if failing:
        return ""
    raise _told(done.errors, block)


@dataclass(frozen=True)
class _Done:
    code: int
    output: str
    errors: str


def _run(
    argv: list[str],
    folder: Path,
    env: dict[str, str],
    descriptors: tuple[int, ...],
    block: GitRepository,
    seconds: float = DEADLINE,
) -> _Done:
    try:
        process = subprocess.Popen(  # noqa: S603 -- git, and names that cannot be options
            argv,
            cwd=folder,
            env=env,
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # git, its helpers and ssh end together
        )
    except FileNotFoundError:
        raise MissingExtra("git is not installed: install it with the package manager of this machine") from None
    with process:
        try:
            output, errors = process.communicate(timeout=seconds)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise ServiceUnavailable(f"{block.url} took more than {seconds:.0f} s: try again") from None
    return _Done(process.returncode, output.decode(errors="replace"), errors.decode(errors="replace"))


_REFUSED = (
    "Authentication failed",
    "could not read Username",
    "could not read Password",
    "returned error: 401",
    "returned error: 403",
    "Permission denied (",
    "HTTP Basic: Access denied",
)
_MISSING = (
    "Repository not found",
    "not found",
    "returned error: 404",
    "does not appear to be a git repository",
    "does not exist",
)


def _told(errors: str, block: GitRepository) -> BondstoneError:
    """Git's last words as ours."""
    where, signer = block.url, block.credentials.reference if block.credentials else None
    if "Host key verification failed" in errors:
        return AccessDenied(
            f"the host of {where} showed an SSH key that is not known here: compare it with what the host publishes, "
            "then add it to ~/.ssh/known_hosts"
        )
    if "would be overwritten" in errors:
        return Conflict(f"files of {where} would replace others in the folder: move those away, or give another folder")
    if "unadvertised object" in errors:
        return _Unadvertised(f"{where} does not hand out commits by their id")
    if "find remote ref" in errors or "not our ref" in errors:
        what = block.branch or block.tag or block.commit or "HEAD"
        return NotFound(f"{where} has no '{what}': correct {_name(block)}")
    if any(word in errors for word in _REFUSED):
        remedy = f"save a new version of {signer}" if signer else f"give {_name(block)} credentials that may read it"
        return AccessDenied(f"{where} refused the request: {remedy}")
    if any(word in errors for word in _MISSING):
        return NotFound(
            f"there is no repository at {where}, or {signer or 'nobody without credentials'} may not see it"
        )
    return ServiceUnavailable(f"git failed for {where} ({_last(errors)}): try again, or correct {_name(block)}")


def _last(errors: str) -> str:
    """The line that says why, without a user or password of a URL in it."""
    lines = [line for line in errors.splitlines() if line.startswith(("fatal:", "error:", "ssh:"))] or [
        "no reason given"
    ]
    return re.sub(r"//[^/\s@]*@", "//", lines[-1])[:200]


def _name(block: GitRepository) -> str:
    return str(block.reference or "the git-repository")
