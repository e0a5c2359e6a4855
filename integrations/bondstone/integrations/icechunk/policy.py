"""Which versions a policy keeps: a plan, from what is there and what time it is. Nothing is asked or changed here."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from bondstone.integrations.icechunk.versions import Versions

if TYPE_CHECKING:
    import icechunk

KEPT = "bondstone/kept/"  # tags of versions that are kept for their day or month


@dataclass(frozen=True)
class Policy:
    """What `IcechunkRetention` was given."""

    keep_last: int
    daily_for: timedelta | None
    monthly_for: timedelta | None

    def periodic(self, items: "Iterable[icechunk.SnapshotInfo]", today: datetime) -> "list[icechunk.SnapshotInfo]":
        """The last of each day and month. The first version of all, which icechunk makes itself, is of none."""
        kept: dict[str, icechunk.SnapshotInfo] = {}
        newest_last = sorted((item for item in items if item.parent_id), key=lambda item: item.written_at)
        for span, period in ((self.daily_for, "%Y-%m-%d"), (self.monthly_for, "%Y-%m")):
            if span is not None:
                kept |= {f"{item.written_at:{period}}": item for item in newest_last if item.written_at >= today - span}
        return list(kept.values())


@dataclass(frozen=True)
class Plan:
    """Expire what was written `before`, but what has a tag then."""

    before: datetime
    tagged: dict[str, str]  # tag: snapshot
    untagged: set[str]
    expired: tuple[str, ...]  # oldest first


def planned(
    policy: Policy, versions: Versions, branch: str, *, moment: datetime, today: datetime, oldest: datetime
) -> Plan:
    """Expire what is older than `moment`, but for the policy, and for what a session since `oldest` may have begun with."""
    history = versions.branches[branch]
    last = history[: max(1, policy.keep_last)][-1].written_at
    before = min(moment, last, versions.needed_since(oldest))
    held = {tag: items[0] for tag, items in versions.tags.items() if tag.startswith(KEPT)}
    periodic = policy.periodic([*history, *held.values()], today)
    keep = {item.id: item for item in periodic if item.written_at < before}
    untagged = {tag for tag, item in held.items() if item.id not in keep}
    tagged = {_tag(keep[name]): name for name in keep.keys() - {item.id for item in held.values()}}
    shown = {items[0].id for tag, items in versions.tags.items() if tag not in untagged}
    shown |= keep.keys() | {items[0].id for items in versions.branches.values()}
    return Plan(before, tagged, untagged, tuple(_expiring(versions, before, shown)))


def _tag(item: "icechunk.SnapshotInfo") -> str:
    return f"{KEPT}{item.written_at:%Y-%m-%d}-{uuid4().hex[:8]}"  # a tag that was deleted can never be made again


def _expiring(versions: Versions, before: datetime, shown: set[str]) -> Iterator[str]:
    """As icechunk does it: the very first version stays, and whatever a branch or tag shows."""
    for item in sorted(versions.all().values(), key=lambda item: item.written_at):
        if item.parent_id and item.written_at < before and item.id not in shown:
            yield item.id
