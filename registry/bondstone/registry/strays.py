"""Versions with a number above the highest of their name's head.

Head and version are one transaction, so no writer leaves such a row: it was planted, or the head was set back. The next save would want
its number, and be refused for ever.
"""

from bondstone.registry.errors import BondstoneError, RolledBack
from bondstone.registry.head import Head
from bondstone.registry.records import Records
from bondstone.registry.store import AuditRow, Sealed, Sign


def clear(records: Records, head: Head, audit: AuditRow, sign: Sign) -> None:
    """Erase what was planted in the way of the version after `head`; nothing if another writer put it there meanwhile.

    Raises `RolledBack` if one of the rows opens: then it is true, and it is the head that is not.
    """
    kind, name = head.kind, head.name
    if records.store.version(kind, name, head.highest + 1) is None:
        return
    # Looked at after the row: where that came with an honest head, this is the one, or a later one.
    if (records.head(kind, name) or Head(kind, name)) != head:
        return
    for row in records.store.history(kind, name):
        _refuse_later(records, head, row)
    records.store.discard(head, audit, sign)


def refuse_later(records: Records, head: Head) -> None:
    """Raise `RolledBack` if the version after the highest of `head` is there, and opens."""
    row = records.store.version(head.kind, head.name, head.highest + 1)
    if row is not None:
        _refuse_later(records, head, row)


def _refuse_later(records: Records, head: Head, row: Sealed) -> None:
    if type(row.version) is not int or row.version <= head.highest:
        return
    try:
        records.open(head.kind, head.name, row, "")
    except BondstoneError:
        return
    raise RolledBack(
        f"{head.kind}/{head.name} was set back: version {row.version} is there, and its newest is to be {head.highest}; "
        "restore it from a backup, or delete it with 'bondstone rm'"
    )
