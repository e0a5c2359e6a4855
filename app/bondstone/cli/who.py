"""`bondstone who`."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from bondstone.cli import output
from bondstone.cli.audit import _clock, _start
from bondstone.cli.listings import registry_if_any
from bondstone.cli.references import whole
from bondstone.registry import Reference, Registry
from bondstone.registry.store import AuditRow

_HELD = {"load", "save", "stage"}


class Holder(NamedTuple):
    """Somebody who has had the values of a block in its process."""

    who: str  # user@host, and the run of an engine
    version: int  # the newest one that it has had
    times: int
    last: int  # microseconds since 1970


def who(reference: str, since: str | None, *, as_json: bool) -> None:
    """Holders by the audit log, the newest first; then the blocks in which it is."""
    asked, registry = whole(reference), registry_if_any()
    start = _start(since, datetime.now(UTC)) if since is not None else 0
    rows = registry.audit(since=start, kind=asked.kind, name=asked.name) if registry else []
    held, inside = holders(rows), containers(registry, asked) if registry else []
    if as_json:
        output.emit_json({"holders": [_item(holder) for holder in held], "inside": inside})
        return
    output.table(("who", "version", "times", "last"), [tuple(map(str, _item(holder).values())) for holder in held])
    if inside:
        output.note(f"it is inside {', '.join(inside)}: ask for those, too")


def holders(rows: Iterable[AuditRow]) -> list[Holder]:
    """One for each process and run, from rows that begin with the newest."""
    held: dict[str, Holder] = {}
    for row in rows:
        if row.action in _HELD and row.outcome == "ok":
            known = held.setdefault(row.actor, Holder(row.actor, row.version, 0, row.at))
            held[row.actor] = known._replace(version=max(known.version, row.version), times=known.times + 1)
    return list(held.values())


def containers(registry: Registry, reference: Reference) -> list[str]:
    """The blocks that hold a reference to this one; on record as one `look`."""
    names = [(item.kind, item.name) for item in registry.list() if item.readable]
    marks = [f'"$ref":"{reference}{end}'.encode() for end in ('"', "@")]  # as the canonical form has it
    return [
        f"{kind}/{name}" for kind, name, content in registry.look_over(names) if any(mark in content for mark in marks)
    ]


def _item(holder: Holder) -> dict[str, Any]:
    return {
        "who": holder.who,
        "version": holder.version,
        "times": holder.times,
        "last": _clock(holder.last, datetime.isoformat),
    }
