"""Versions with a number above the highest of their name's head.

Head and version are one transaction, so no writer leaves such a row: it was planted, or the head was set back. The next save would want
its number, and be refused for ever.
"""

from collections.abc import Callable, Iterable

from bondstone.registry.errors import RolledBack
from bondstone.registry.head import Head
from bondstone.registry.store import AuditRow, Sealed, Sign, Store


def clear(
    store: Store,
    head: Head,
    now: Callable[[], Head | None],
    opens: Callable[[Sealed], bool],
    audit: AuditRow,
    sign: Sign,
) -> None:
    """Erase what was planted in the way of the version after `head`; nothing if another writer put it there meanwhile.

    `now` proves the head anew. Raises `RolledBack` if one of the rows `opens`: then it is true, and it is the head that is not.
    """
    if store.version(head.kind, head.name, head.highest + 1) is None:
        return
    # Looked at after the row: where that came with an honest head, this is the one, or a later one.
    if (now() or Head(head.kind, head.name)) != head:
        return
    refuse_later(head, (row for row in store.history(head.kind, head.name) if opens(row)))
    store.discard(head, audit, sign)


def refuse_later(head: Head, proved: Iterable[Sealed]) -> None:
    """Raise `RolledBack` if one of the versions that are `proved` is above the highest number of `head`."""
    for row in proved:
        if row.version > head.highest:
            raise RolledBack(
                f"{head.kind}/{head.name} was set back: version {row.version} is there, and its newest is to be {head.highest}; "
                "restore it from a backup, or delete it with 'bondstone rm'"
            )
