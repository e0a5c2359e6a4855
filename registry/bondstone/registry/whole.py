"""A registry as a whole: what copies and backups read and write of it, and what a restore in place did to it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from bondstone.registry.errors import Unreadable, UnsupportedFormat, WrongKey
from bondstone.registry.head import Head
from bondstone.registry.journal import Journal
from bondstone.registry.listings import printable
from bondstone.registry.records import Records
from bondstone.registry.results import Plain, SetBack, WholeName
from bondstone.registry.seen import ROOT_KEY, SETTINGS
from bondstone.registry.settings_row import opened_settings
from bondstone.registry.store import EVERYTHING, START, Adopted, ChainedRow, Sealed, Store

_PAGE_NAMES = 500
_PAGE_AUDIT = 1000


def whole_names(records: Records, lost: Callable[[str], None]) -> Iterator[WholeName]:
    """Every name with its versions, deleted ones too. What does not open is left out and told to `lost`."""
    after = START[:2]
    while page := records.store.all_heads(after, _PAGE_NAMES):
        for head, tag in page:
            if records.proves(head, tag):
                yield _whole_name(records, head, lost)
            else:
                lost(f"{printable(head.kind)}/{printable(head.name)}")
        after = page[-1][0][:2]


def _whole_name(records: Records, head: Head, lost: Callable[[str], None]) -> WholeName:
    kind, name, versions = head.kind, head.name, []
    head, rotation = _with_rotation(records, head, lost)
    rows = {row.version: row for row in records.store.history(kind, name)}
    # Planted numbers, and those of a later moment than the head's, are left out.
    erased = (n for n in rows if type(n) is int and 0 < n <= head.deleted_through)
    for number in (*sorted(erased), *range(head.deleted_through + 1, head.highest + 1)):
        try:
            document = records.open(kind, name, rows.get(number), "")
            versions.append(Plain(number, document.saved_at, document.content))
        except (Unreadable, WrongKey, UnsupportedFormat):
            lost(f"{kind}/{name}@{number}")
    return WholeName(head, versions, rotation)


def _with_rotation(records: Records, head: Head, lost: Callable[[str], None]) -> tuple[Head, bytes]:
    """A head, and where its rotation stood at that moment."""
    while True:
        rotation = b""
        try:
            rotation = Journal(records.store, records.keyring).travelling(head.kind, head.name)
            now = records.head(head.kind, head.name)
        except (Unreadable, WrongKey, UnsupportedFormat):
            lost(f"the rotation of {head.kind}/{head.name}")
            return head, rotation
        if now is None or now.generation == head.generation:
            return head, rotation
        head = now


def all_names(store: Store) -> set[tuple[str, str]]:
    """Kind and name of whatever has a head, deleted names too. Nothing is proved."""
    found, after = set[tuple[str, str]](), START[:2]
    while page := store.all_heads(after, _PAGE_NAMES):
        found.update(head[:2] for head, _ in page)
        after = page[-1][0][:2]
    return found


def adopted(records: Records, name: WholeName) -> Adopted:
    """A name of another registry, as it is, sealed for this one."""
    head, versions, rotation = name
    line = Journal(records.store, records.keyring).arrived(head.kind, head.name, rotation, head.changed_at)
    return Adopted(head, records.keyring.tag(head), [_sealed(records, head, plain) for plain in versions], line)


def _sealed(records: Records, head: Head, plain: Plain) -> Sealed:
    return records.seal(head.kind, head.name, plain.version, plain.saved_at, plain.content)


def set_back(records: Records) -> list[SetBack]:
    """The names that are older than what was seen here. One whose head is unreadable is none of them."""
    found = []
    for kind, name, seen in records.seen.marks():
        if not kind:
            with suppress(Unreadable, WrongKey):
                number = _of_the_registry(records, (kind, name))
                found += [SetBack(kind, name, seen, number)] if number < seen else []
            continue
        row = records.store.head(kind, name)
        with suppress(Unreadable, WrongKey):
            generation = records.keyring.check(*row).generation if row else 0
            if generation < seen:
                found.append(SetBack(kind, name, seen, generation))
    return found


def _of_the_registry(records: Records, mark: tuple[str, str]) -> int:
    row = records.store.settings()
    opened_settings(records.keyring, row)
    return {SETTINGS: row.generation, ROOT_KEY: records.keyring.newest}[mark]


def audit_pages(store: Store, progress: Callable[[int, int], None]) -> Iterator[Sequence[ChainedRow]]:
    """The whole audit log, oldest first."""
    last = store.audit(limit=1)
    after, done, total = -EVERYTHING, 0, last[0].seq if last else 0
    while page := store.audit_from(after, _PAGE_AUDIT):
        yield page
        after, done = page[-1].seq, done + len(page)
        progress(done, max(total, done))
