"""Who writes into a repository, and since when: no garbage collection takes chunks that a session has written and not committed.

Nothing younger than `FLOOR` is ever collected. So a session needs a lease only if it lasts longer, and short commits cost nothing.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from bondstone.blocks import BondstoneError, Conflict
from bondstone.blocks.handle import seconds
from bondstone.integrations.icechunk.repo import Repo
from bondstone.registry import RegistryUnavailable

if TYPE_CHECKING:
    from bondstone.registry.store import Lease

FLOOR = timedelta(minutes=10)
SOON = FLOOR.total_seconds() / 2
_LENGTH = 600.0  # seconds for which the lease of a process that was killed goes on
_MICRO = 1_000_000


class WriteLease:
    """The lease of one session on the block of its repository; two threads use it."""

    def __init__(self, repo: Repo, length: float) -> None:
        self._handle, self._length, self._begun = repo.handle, length, seconds()
        self._lease: Lease | None = None
        self._lapsed = False
        self._mutex = threading.Lock()

    def renew(self) -> None:
        """Take it, or let it last as long again. Raises `RegistryUnavailable`, and what `Leases.take` raises."""
        with self._mutex:
            leases, age = self._handle.registry.leases, seconds() - self._begun
            if self._lease is not None:
                try:
                    self._lease = leases.extend(self._lease, self._length)
                except Conflict:
                    self._lease, self._lapsed = None, True
            if self._lease is None:
                since = self._handle.registry.shared_now() - round(age * _MICRO)
                kind, name = self._handle.reference.kind, self._handle.reference.name
                self._lease = leases.take(kind, name, self._handle.get().version or 0, self._length, since=since)
                self._lapsed |= age > FLOOR.total_seconds()

    def lapsed(self) -> bool:
        """Whether there was a time in which nobody could know of the session, for one while the machine slept: then its chunks may be gone.

        Where the registry cannot be written, nobody can know at all: that is warned of.
        """
        if self._lease is None and seconds() - self._begun < FLOOR.total_seconds():
            return False
        try:
            self.renew()
        except RegistryUnavailable as error:
            self.warn(error)
            return False
        return self._lapsed

    def warn(self, error: RegistryUnavailable) -> None:
        """Of a registry that takes no lease."""
        place, floor = self._handle.reference, FLOOR.total_seconds() / 60
        warnings.warn(
            f"the registry takes no lease on {place} ({error}): collect no garbage there while a session lasts longer than {floor:.0f} min",
            stacklevel=4,
        )

    def keep(self, after: float, done: threading.Event) -> None:
        """Renew it until `done`, the first time `after` so many seconds."""
        pause = after
        while not done.wait(pause):
            with suppress(BondstoneError):  # the registry may be back in a moment; `lapsed` finds out
                self.renew()
            self._handle.registry.store.close()  # what this thread holds open
            pause = self._length / 3

    def release(self) -> None:
        """Let it go."""
        if self._lease is not None:
            with suppress(BondstoneError):  # it ends by itself
                self._handle.registry.leases.release(self._lease)


@contextmanager
def leased(repo: Repo, *, after: float, length: float = _LENGTH) -> Iterator[WriteLease]:
    """From now on a session is written; its lease is taken `after` so many seconds, renewed while the block lasts, and gone at its end."""
    lease, done = WriteLease(repo, length), threading.Event()
    if not after:
        try:
            lease.renew()
        except RegistryUnavailable as error:
            lease.warn(error)
    keeper = threading.Thread(target=lease.keep, args=(after or length / 3, done), daemon=True, name="bondstone-lease")
    keeper.start()
    try:
        yield lease
    finally:
        done.set()
        keeper.join()
        lease.release()
