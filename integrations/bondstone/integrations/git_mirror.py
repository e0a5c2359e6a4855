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
from hashlib import sha256
from pathlib import Path

from bondstone.blocks import GitRepository, InvalidSettings, ServiceUnavailable
from bondstone.integrations.git_command import DEADLINE, Git, named
from bondstone.integrations.git_fetch import FETCH, fetched

_LOOK_AGAIN = 0.05  # seconds


def through_mirror(git: Git, registry_id: str, *, seconds: float = DEADLINE) -> str:
    """As `fetched`, by way of the mirror. Raises also `InvalidSettings` where there can be none, and `ServiceUnavailable` after
    `seconds` in which other processes used it."""
    place = _cache() / f"{_named_for(git.block, registry_id)}.git"
    with _held(place, git.block, seconds) as lock:
        mirror = Git(place, git.block, (lock,))
        try:
            return _copied(_ready(mirror), git)
        except ServiceUnavailable:
            if _is_sound(mirror):
                raise
        shutil.rmtree(place)
        return _copied(_ready(mirror), git)


def _copied(mirror: Git, git: Git) -> str:
    commit = fetched(mirror)
    if not git.has(commit):
        git(*FETCH, "--depth=1", str(mirror.folder), f"+{commit}:refs/bondstone/fetched")
    return commit


def _named_for(block: GitRepository, registry_id: str) -> str:
    who = block.credentials.reference or named(block) if block.credentials else None
    return sha256(json.dumps([registry_id, block.url, who]).encode()).hexdigest()[:32]


def _ready(mirror: Git) -> Git:
    """Made if it is not there, and without what a git that was killed left locked: whoever comes here holds our lock."""
    if not (mirror.folder / "config").is_file():
        shutil.rmtree(mirror.folder, ignore_errors=True)
        new = Git(mirror.folder.with_suffix(".new"), mirror.block, mirror.holding)
        new.folder.mkdir(mode=0o700, exist_ok=True)
        new("init", "--quiet", "--bare")
        new("config", "uploadpack.allowAnySHA1InWant", "true")  # the copies are asked for by commit
        new("config", "remote.origin.url", mirror.block.url)
        new.folder.rename(mirror.folder)
    for left in mirror.folder.rglob("*.lock"):
        left.unlink()
    return mirror


def _is_sound(mirror: Git) -> bool:
    """Whether all that its references need is there. Takes a while for a large one, and is asked after a failure only."""
    return mirror.passes("fsck", "--connectivity-only")


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
