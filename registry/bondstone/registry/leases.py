"""Leases: who uses a version for longer than a handle may, so that its credential is not retired under them."""

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bondstone.registry.errors import Conflict, InvalidSettings, NotFound
from bondstone.registry.journal import RETIRING
from bondstone.registry.log import actor
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

    def take(self, kind: str, name: str, version: int, seconds: float) -> Lease:
        """Use `version` for so long. It is retired later than that, unless somebody gives up on it (`--compromised`).

        Raises `NotFound` if it was deleted, `Conflict` if it is retired already, or to be retired before that.
        """
        if not 0 < seconds <= LONGEST:
            raise InvalidSettings(f"a lease lasts up to {LONGEST} s (7 days): take another one when it ends")
        self._check_version(kind, name, version)
        now = self._registry.shared_now()
        lease = Lease(uuid.uuid4().hex, kind, name, version, actor(), now, now + round(seconds * SECOND))
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

    def _forget_old(self, now: int) -> None:
        for lease in self._registry.store.leases():
            if lease.until < now - _KEPT:
                self.release(lease)

    def extend(self, lease: Lease, seconds: float) -> Lease:
        """The lease, ending so long from now. Raises as `take`, and `Conflict` if it was released meanwhile."""
        if not 0 < seconds <= LONGEST:
            raise InvalidSettings(f"a lease lasts up to {LONGEST} s (7 days)")
        longer = lease._replace(until=self._registry.shared_now() + round(seconds * SECOND))
        self._check_rotation(longer)
        if not self._registry.store.extend_lease(lease.id, longer.until):
            raise Conflict(f"the lease on {lease.kind}/{lease.name}@{lease.version} is gone: take a new one")
        self._check_rotation(longer)
        return longer

    def release(self, lease: Lease) -> None:
        """Use it no more."""
        self._registry.store.release_lease(lease.id)

    def all(self) -> list[Lease]:
        """Those that have not ended, by kind, name and end."""
        now = self._registry.shared_now()
        return [lease for lease in self._registry.store.leases() if lease.until > now]

    def of(self, kind: str, name: str) -> list[Lease]:
        """Those of one name."""
        return [lease for lease in self.all() if (lease.kind, lease.name) == (kind, name)]

    def _check_version(self, kind: str, name: str, version: int) -> None:
        head = self._registry.head(kind, name)
        if not head.deleted_through < version <= head.highest:
            raise NotFound(f"there is no {kind}/{name}@{version}")

    def _check_rotation(self, lease: Lease) -> None:
        _, step = self._registry.journal.read(lease.kind, lease.name)
        what = f"{lease.kind}/{lease.name}@{lease.version}"
        if step.retires != lease.version:
            return
        if step.step in (*RETIRING, "retired"):
            raise Conflict(f"{what} was rotated and its credential is gone: use the current version")
        if step.retire_at < lease.until:
            at = datetime.fromtimestamp(step.retire_at / SECOND, UTC)
            raise Conflict(f"{what} was rotated and is retired at {at:%Y-%m-%d %H:%M:%S} UTC: use the current version")
