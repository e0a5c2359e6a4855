"""Mirrors of repositories in the user's cache: of what was fetched once, only what is new crosses the network again.

A mirror belongs to one URL, the name of one credential, and one registry, so that nobody is served what another was let in to read. It
is private (0700), used by one process at a time, and can be deleted whenever nobody uses it.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from bondstone.blocks import GitRepository, InvalidSettings, ServiceUnavailable
from bondstone.integrations.git_command import DEADLINE, Git, named
from bondstone.integrations.git_fetch import FETCH, fetched

_LOOK_AGAIN = 0.05  # seconds


@contextmanager
def mirror_of(block: GitRepository, registry_id: str, *, seconds: float = DEADLINE) -> Iterator["Mirror"]:
    """The mirror of a repository, for us alone within the block.

    Raises `InvalidSettings` where there can be none, and `ServiceUnavailable` after `seconds` in which other processes used it.
    """
    place = _cache() / f"{_named_for(block, registry_id)}.git"
    with _held(place, block, seconds) as lock:
        yield Mirror(Git(place, block, (lock,)))


@dataclass(frozen=True)
class Mirror:
    """A bare repository."""

    git: Git

    def bring(self, to: Git) -> str:
        """As `fetched(to)`: first what is new into the mirror, then the commit into `to`."""
        try:
            return self._copied(to)
        except ServiceUnavailable:
            if self.git.passes("fsck", "--connectivity-only"):
                raise
        shutil.rmtree(self.git.folder)  # damaged
        return self._copied(to)

    def _copied(self, to: Git) -> str:
        if not (self.git.folder / "config").is_file():
            _make(self.git)
        for left in self.git.folder.rglob("*.lock"):  # by a git that was killed: whoever comes here holds our lock
            left.unlink()
        commit = fetched(self.git)
        if not to.has(commit):
            to(*FETCH, "--depth=1", str(self.git.folder), f"+{commit}:refs/bondstone/fetched")
        return commit


def _make(git: Git) -> None:
    """The whole of it or nothing."""
    shutil.rmtree(git.folder, ignore_errors=True)
    new = replace(git, folder=git.folder.with_suffix(".new"))
    new.folder.mkdir(mode=0o700, exist_ok=True)
    new("init", "--quiet", "--bare")
    new("config", "uploadpack.allowAnySHA1InWant", "true")  # the copies are asked for by commit
    new("config", "remote.origin.url", git.block.url)
    new.folder.rename(git.folder)


def _named_for(block: GitRepository, registry_id: str) -> str:
    who = block.credentials.reference or named(block) if block.credentials else None
    return sha256(json.dumps([registry_id, block.url, who]).encode()).hexdigest()[:32]


def _cache() -> Path:
    """The folder of all mirrors, readable by its owner alone."""
    base = os.environ.get("XDG_CACHE_HOME", "").strip() or "~/.cache"
    folder = Path(base).expanduser().absolute() / "bondstone" / "git"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        return folder
    except OSError as error:
        reason = error.strerror or type(error).__name__
    raise InvalidSettings(f"no mirrors can be kept in {folder} ({reason}): set XDG_CACHE_HOME, or give mirror=False")


@contextmanager
def _held(place: Path, block: GitRepository, seconds: float) -> Iterator[int]:
    """The descriptor of the mirror's lock, which the system lets go when the last process that has it ends."""
    with place.with_suffix(".lock").open("a") as file:
        until = time.monotonic() + seconds
        while not _locked(file.fileno()):
            if time.monotonic() > until:
                raise ServiceUnavailable(
                    f"other processes have been fetching {block.url} for {seconds:.0f} s: try again, or give mirror=False"
                )
            time.sleep(_LOOK_AGAIN)
        yield file.fileno()


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
