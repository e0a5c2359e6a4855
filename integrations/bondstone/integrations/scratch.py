"""Folders for a while, for nobody else's eyes. What a process that was killed has left in them, the next one removes.

They lie in a folder of the user's own (0700). Who makes one holds a lock on it, which the system lets go when the process ends, however
it ends; so a folder without a lock is one that nobody will come back for, also where process ids mean nothing, as between containers.
"""

import fcntl
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bondstone.blocks import InvalidSettings

_SHARED = Path("/dev/shm")  # noqa: S108 -- a folder of our own is made in it, readable by us alone
_held: set[int] = set()  # the descriptors of this process's locks


@contextmanager
def scratch(purpose: str, *, in_memory: bool = False) -> Iterator[Path]:
    """An empty folder (0700) that is gone afterwards; `in_memory` where there is such a place, for what should not reach a disk.

    Raises `InvalidSettings` where somebody else may reach into the place for it.
    """
    clear()
    folder, lock = _made(_own(in_memory), purpose)
    maker = os.getpid()
    try:
        yield folder
    finally:
        if os.getpid() == maker:  # not in a process that was forked meanwhile: it is not its folder
            shutil.rmtree(folder, ignore_errors=True)
            _held.discard(lock)
            os.close(lock)


def clear() -> None:
    """Remove what processes that are no more have left, and nothing of those that live."""
    for place in filter(_is_private, _memory() + _disk()):
        for left in place.glob("*"):  # none where the place goes meanwhile
            with suppress(OSError):
                lock = _locked(left)
                shutil.rmtree(left, ignore_errors=True)
                os.close(lock)


def _made(parent: Path, purpose: str) -> tuple[Path, int]:
    """A new folder, and the descriptor of its lock."""
    while True:
        folder = parent / f"{purpose}-{secrets.token_hex(8)}"
        folder.mkdir(mode=0o700)
        # Another process may take it for one that was left, before it has its lock: then there has to be another.
        with suppress(BlockingIOError, FileNotFoundError):
            lock = _locked(folder)
            _held.add(lock)
            return folder, lock


def _locked(folder: Path) -> int:
    """A descriptor that holds the lock. Raises `BlockingIOError` if another one does, `FileNotFoundError` if the folder went meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder.stat()
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _own(in_memory: bool) -> Path:
    """The folder of all of this user's, in the first place that will do."""
    places = (_memory() if in_memory else []) + _disk()
    for place in places:
        with suppress(OSError):
            place.mkdir(mode=0o700)
        if _is_private(place):
            return place
    raise InvalidSettings(
        f"no private temporary folder: {' and '.join(map(str, places)) or 'one'} cannot be made, or others may reach into it "
        "(its mode must be 0700): remove it, or set TMPDIR to a folder of your own"
    )


def _memory() -> list[Path]:
    """What the system has for files that are on no disk."""
    session = Path(os.environ.get("XDG_RUNTIME_DIR") or os.devnull)
    bases = [base for base, usable in ((session, _is_private(session)), (_SHARED, _SHARED.is_dir())) if usable]
    return [base / f"bondstone-{os.geteuid()}" for base in bases]


def _disk() -> list[Path]:
    """One for each machine: on a disk that many share, the locks of another may not show."""
    with suppress(FileNotFoundError):  # there is no place for temporary files at all
        return [Path(tempfile.gettempdir()) / f"bondstone-{os.geteuid()}-{os.uname().nodename}"]
    return []


def _is_private(folder: Path) -> bool:
    """Whether it is a folder of this user's that nobody else may look into. A link is none, whatever it leads to."""
    try:
        about = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid() and not about.st_mode & 0o077


def _forget() -> None:
    """A forked process must not hold on to folders of a parent that is no more."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget)
