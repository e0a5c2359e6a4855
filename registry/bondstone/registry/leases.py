"""Leases: who uses a version for longer than a handle may, so that its credential is not retired under them."""

import uuid
from typing import TYPE_CHECKING

from bondstone.registry.errors import Conflict, InvalidSettings, NotFound, Unreadable, WrongKey
from bondstone.registry.journal import RETIRING
from bondstone.registry.listings import printable
from bondstone.registry.log import actor
from bondstone.registry.results import clock
from bondstone.registry.store import Lease

if TYPE_CHECKING:
    from bondstone.registry.registry import Registry

SECOND = 1_000_000  # microseconds
_KEPT = 24 * 3600 * SECOND  # of what its holder did not release
LONGEST = 7 * 24 * 3600  # seconds: a forgotten lease must not stop a rotation for ever


class Leases:
    """The leases of a registry. Times are the store's."""

    def __init__(self, registry: "Registry") -> None:
        self._registry = registry

    def take(self, kind: str, name: str, version: int, seconds: float, *, since: int | None = None) -> Lease:
        """Use `version` for so long. It is retired later than that, unless somebody gives up on it (`--compromised`).

        `since` is when the use began, where that was before now: `taken_at` of the lease. Raises `NotFound` if it was deleted, `Conflict`
        if it is retired already, or to be retired before that.
        """
        _check_length(seconds)
        self._check_version(kind, name, version)
        now = self._registry.shared_now()
        lease = Lease(uuid.uuid4().hex, kind, name, version, actor(), since or now, now + round(seconds * SECOND))
        self._check_rotation(lease)
        self._forget_old(now)
        self._registry.write_lease(lease)
        try:
            # Whoever retires it writes so first, and looks at the leases afterwards: one of the two sees the other.
            self._check_rotation(lease)
        except Conflict:
            self.release(lease)
            raise
        return lease

    def extend(self, lease: Lease, seconds: float) -> Lease:
        """The lease, ending so long from now. Raises as `take`, and `Conflict` if it ended or was released meanwhile."""
        _check_length(seconds)
        now = self._registry.shared_now()
        longer = lease._replace(until=now + round(seconds * SECOND))
        self._check_rotation(longer)
        if lease.until <= now or not self._registry.store.extend_lease(lease.id, longer.until):
            raise Conflict(f"the lease on {lease.kind}/{lease.name}@{lease.version} is gone: take a new one")
        try:
            self._check_rotation(longer)
        except Conflict:
            self._registry.store.extend_lease(lease.id, lease.until)
            raise
        return longer

    def release(self, lease: Lease) -> None:
        """Use it no more."""
        self._registry.store.release_lease(lease.id)

    def all(self) -> list[Lease]:
        """Those that have not ended, by kind, name and end."""
        now = self._registry.shared_now()
        return [
            _shown(lease) for lease in self._registry.store.leases() if _plausible(lease, now) and lease.until > now
        ]

    def of(self, kind: str, name: str) -> list[Lease]:
        """Those of one name."""
        return [lease for lease in self.all() if (lease.kind, lease.name) == (kind, name)]

    def _forget_old(self, now: int) -> None:
        for lease in self._registry.store.leases():
            if not _plausible(lease, now) or lease.until < now - _KEPT:
                self.release(lease)

    def _check_version(self, kind: str, name: str, version: int) -> None:
        head = self._registry.head(kind, name)
        if not head.deleted_through < version <= head.highest:
            raise NotFound(f"there is no {kind}/{name}@{version}")

    def _check_rotation(self, lease: Lease) -> None:
        try:
            _, step = self._registry.journal.read(lease.kind, lease.name)
        except (Unreadable, WrongKey):  # then nobody retires anything here
            return
        what = f"{lease.kind}/{lease.name}@{lease.version}"
        if step.retires != lease.version:
            return
        if step.step in ("retiring", *RETIRING, "retired"):
            raise Conflict(f"{what} was rotated and its credential is gone, or about to go: use the current version")
        if step.retire_at < lease.until:
            raise Conflict(f"{what} was rotated and is retired at {clock(step.retire_at)}: use the current version")


def _check_length(seconds: float) -> None:
    if not 0 < seconds <= LONGEST:
        raise InvalidSettings(f"a lease lasts up to {LONGEST} s (7 days): take another one when it ends")


def _plausible(lease: Lease, now: int) -> bool:
    """Whether it can be one: nothing proves a lease, and one that was planted must not stop rotations for ever, nor break them."""
    numbers = (lease.version, lease.taken_at, lease.until)
    cells = all(type(number) is int for number in numbers) and isinstance(lease.kind, str)
    return cells and 0 <= lease.taken_at <= lease.until <= now + LONGEST * SECOND + _KEPT


def _shown(lease: Lease) -> Lease:
    return lease._replace(holder=printable(lease.holder))
