"""What is there: the names of a registry, and the versions of a name."""

from contextlib import suppress

from bondstone.registry.errors import BondstoneError
from bondstone.registry.head import Head
from bondstone.registry.records import Records
from bondstone.registry.results import UNREADABLE, Listed, Version, when
from bondstone.registry.store import Sealed

_MOST_ERASED = 1000  # numbers are shown of erased versions; a name that was salvaged may have billions
_MANY = 1000  # marks are then read at once, not one by one


def history(records: Records, head: Head) -> list[Version]:
    """Every version of a name, oldest first, deleted ones included."""
    states = {head.previous: "previous", head.pending: "pending", head.current: "current"}
    rows = {row.version: row for row in records.store.history(head.kind, head.name)}
    lines = []
    # What the head proves, not what lies there: a planted row is left out, a missing one is told.
    for number in range(1, head.highest + 1):
        row, deleted = rows.get(number), number <= head.deleted_through
        if row is None and deleted and number <= head.highest - _MOST_ERASED:
            continue
        proved = _opens(records, head, row)
        saved_at = row.saved_at if row and proved else 0
        state = states.get(number, "") if proved or (row is None and deleted) else UNREADABLE
        lines.append(Version(number, when(saved_at), deleted, state))
    return lines


def _opens(records: Records, head: Head, row: Sealed | None) -> bool:
    with suppress(BondstoneError):
        return records.open(head.kind, head.name, row, "") is not None
    return False


def names(records: Records, kind: str, limit: int, offset: int) -> list[Listed]:
    """The names that are not deleted, by kind, then name. An unreadable one is listed as such."""
    rows = records.store.heads(kind, limit, offset)
    if len(rows) > _MANY:
        records.seen.know_all()
    return [_line(head, records.proves(head, tag)) for head, tag in rows]


def _line(head: Head, proved: bool) -> Listed:
    if proved:
        return Listed(head.kind, head.name, head.current or head.pending, when(head.changed_at), True)
    return Listed(printable(head.kind), printable(head.name), 0, when(0), False)


def printable(cell: object) -> str:
    """A cell that nothing proves, as it may be shown."""
    return cell if isinstance(cell, str) and cell.isprintable() else ascii(cell)
