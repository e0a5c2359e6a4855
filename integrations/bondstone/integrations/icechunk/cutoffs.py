"""Until when garbage may be collected: nothing that an open session needs is older than that."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bondstone.blocks import ArraylakeRepo, BondstoneError, Conflict, IcechunkRepo
from bondstone.integrations.icechunk.leases import FLOOR
from bondstone.integrations.icechunk.repo import Repo, repo

if TYPE_CHECKING:
    from bondstone.registry.store import Lease

SKEW = timedelta(minutes=1)  # by which the clocks of registry, storage and machines may differ
_KINDS = (IcechunkRepo.kind, ArraylakeRepo.kind)


def now(target: Repo) -> datetime:
    """By the clock that leases go by."""
    return _time(target.handle.registry.shared_now())


def cutoff(target: Repo, older_than: timedelta | datetime) -> datetime:
    """The moment that is meant. Raises `ValueError` if it has no time zone, and what `refuse_young` raises."""
    moment = now(target) - older_than if isinstance(older_than, timedelta) else older_than
    if moment.tzinfo is None:
        raise ValueError("older_than has no time zone: add one, such as datetime.UTC")
    refuse_young(target, moment)
    return moment


def refuse_young(target: Repo, moment: datetime) -> None:
    """Raise `Conflict` if something that was written after `moment` may still be waiting for its commit."""
    lease = min(_sessions(target), key=lambda lease: lease.taken_at, default=None)
    if lease is not None and moment > _time(lease.taken_at) - SKEW:
        raise Conflict(
            f"{lease.holder} has been writing into {lease.kind}/{lease.name} since {_shown(_time(lease.taken_at))}: "
            f"collect what is older than that, or wait until its lease ends ({_shown(_time(lease.until))} if it dies)"
        )
    if moment > now(target) - FLOOR:
        raise Conflict(
            f"a session of {target.handle.reference} that began {FLOOR.seconds // 60} min ago may be open: collect what is older than that"
        )


def oldest_session(target: Repo) -> datetime:
    """Since when a session may be open."""
    floor = now(target) - FLOOR
    return min((_time(lease.taken_at) for lease in _sessions(target)), default=floor) - SKEW


def _sessions(target: Repo) -> Iterator["Lease"]:
    """The leases on the repository, by whatever block."""
    here: dict[tuple[str, str], bool] = {(target.handle.reference.kind, target.handle.reference.name): True}
    for lease in target.handle.registry.leases.all():
        if lease.kind in _KINDS:
            place = lease.kind, lease.name
            if here.setdefault(place, _leads_to(target, *place)):
                yield lease


def _leads_to(target: Repo, kind: str, name: str) -> bool:
    """Whether another block leads to the same place. One that cannot be asked may."""
    try:
        return repo(f"{kind}/{name}").uri() == target.uri()
    except BondstoneError:
        return True


def _time(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC)


def _shown(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}Z"
