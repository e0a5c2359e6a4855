"""Whether the audit log is whole: every row as it was chained, none missing, none added. `docs/format.md`, "Audit"."""

import hmac
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple, Self

from bondstone.registry.audit_chain import MAC_BYTES, AuditRow, ChainedRow, chained
from bondstone.registry.envelope import MALFORMED
from bondstone.registry.errors import InvalidSettings
from bondstone.registry.store import EVERYTHING

MOST_FAULTS = 100  # told; more are counted


class Checkpoint(NamedTuple):
    """The end of the log at one time. Kept apart from the registry, it shows later whether that end is still there."""

    registry: str
    seq: int
    mac: bytes

    def line(self) -> str:
        """One line of JSON."""
        return json.dumps({"registry": self.registry, "seq": self.seq, "mac": bytes(self.mac).hex()})

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `line` wrote. Raises `InvalidSettings`."""
        try:
            found = json.loads(text)
            registry, seq, mac = found["registry"], found["seq"], bytes.fromhex(found["mac"])
            if type(registry) is str and type(seq) is int and seq >= 0:
                return cls(registry, seq, mac)
        except (ValueError, TypeError, KeyError):
            pass
        raise InvalidSettings("this is no checkpoint: give a file that 'bondstone audit checkpoint' wrote")


class Fault(NamedTuple):
    """What is wrong, and from which row on."""

    seq: int
    what: str


class AuditReport(NamedTuple):
    """What was found."""

    rows: int
    before_chain: int  # the first ones, from before there was a chain: not proved
    last: int  # the number of the last row
    faults: list[Fault]  # the first of them
    faulty: int  # how many there are in all

    @property
    def whole(self) -> bool:
        return not self.faulty


def verify(
    pages: Iterable[Sequence[ChainedRow]],
    registry_id: str,
    key: Callable[[int], bytes | None],
    checkpoint: Checkpoint | None = None,
    *,
    chained: bool = False,
) -> AuditReport:
    """Look at every row once, oldest first. `key` gives the audit key of a root key's number.

    A registry that is `chained` has been so from its first row on.
    """
    walk = Walk(registry_id, key, checkpoint, chained)
    for page in pages:
        for line in page:
            for fault in walk.step(line):
                walk.note(fault)
    for fault in walk.end():
        walk.note(fault)
    return walk.report()


class Walk:
    """Where the look at a log stands."""

    def __init__(
        self, registry_id: str, key: Callable[[int], bytes | None], checkpoint: Checkpoint | None, chained: bool
    ) -> None:
        if checkpoint and checkpoint.registry != registry_id:
            raise InvalidSettings("this checkpoint is of another registry: give the one that was made of this one")
        self._registry_id, self._key, self._checkpoint, self._chained = registry_id, key, checkpoint, chained
        self._seq = self._number = self._rows = self._before = self._count = 0
        self._previous = b""
        self._faults: list[Fault] = []

    def note(self, fault: Fault) -> None:
        self._count += 1
        if self._count <= MOST_FAULTS:
            self._faults.append(fault)

    def report(self) -> AuditReport:
        return AuditReport(self._rows, self._before, self._seq, self._faults, self._count)

    def step(self, line: ChainedRow) -> Iterator[Fault]:
        """What is wrong with the next row."""
        mac = line.mac if isinstance(line.mac, bytes) else b""
        self._rows += 1
        if not 0 < line.seq < EVERYTHING:
            yield Fault(line.seq, "was put in: no row has such a number")
            return
        if line.seq > self._seq + 1:
            yield Fault(self._seq + 1, f"{_rows(self._seq + 1, line.seq - 1)} deleted, so {line.seq} is not proved")
        elif not mac and self._before == self._seq and not self._chained:
            self._before += 1
        elif what := self._refused(line, mac):
            yield Fault(line.seq, what)
        yield from self._compared(line.seq, mac)
        self._seq, self._previous = line.seq, mac
        self._number = max(self._number, int.from_bytes(mac[:4]) if self._key(int.from_bytes(mac[:4])) else 0)

    def _refused(self, line: ChainedRow, mac: bytes) -> str:
        number = int.from_bytes(mac[:4])
        key = self._key(number)
        if len(mac) != MAC_BYTES:
            return "was put in or changed: it is not chained"
        if key is None:
            return f"was put in or changed: there is no root key {number} in the keyring"
        if number < self._number:
            return f"was put in: it is chained by root key {number}, which was replaced before"
        return "" if _fits(key, self._registry_id, self._previous, line) else "was changed, or the one before it was"

    def _compared(self, seq: int, mac: bytes) -> Iterator[Fault]:
        if self._checkpoint and seq == self._checkpoint.seq and mac != self._checkpoint.mac:
            yield Fault(seq, "is not the row of the checkpoint")

    def end(self) -> Iterator[Fault]:
        """What is wrong after the last row."""
        if self._checkpoint and self._checkpoint.seq > self._seq:
            yield Fault(self._seq + 1, f"{_rows(self._seq + 1, self._checkpoint.seq)} cut off the end")


def _fits(key: bytes, registry_id: str, previous: bytes, line: ChainedRow) -> bool:
    try:
        proof = chained(key, registry_id, line.seq, previous, line.row)
    except (*MALFORMED, OverflowError):
        return False
    return hmac.compare_digest(proof, line.mac[4:])


class Proof(NamedTuple):
    """A row of a listing, and whether its MAC proves it, given the MAC of the row before. That none is missing only `verify` tells."""

    row: AuditRow
    proved: bool


def prove(
    newest_first: Sequence[ChainedRow],
    registry_id: str,
    key: Callable[[int], bytes | None],
    after: Callable[[int], Sequence[ChainedRow]],
) -> list[Proof]:
    """Each of some rows; `after` gives the row behind a number, where that is not the next of the listing."""
    found = []
    for line, older in zip_longest(newest_first, newest_first[1:]):
        if line.seq <= 1:
            older = ChainedRow(0, line.row, b"")
        elif older is None or older.seq != line.seq - 1:
            older = next(iter(after(line.seq - 2)), None)
        found.append(Proof(line.row, _proved(line, older, registry_id, key)))
    return found


def _proved(line: ChainedRow, older: ChainedRow | None, registry_id: str, key: Callable[[int], bytes | None]) -> bool:
    if (
        older is None
        or older.seq != line.seq - 1
        or not _is_mac(line.mac)
        or not (older.mac == b"" or _is_mac(older.mac))
    ):
        return False
    number = int.from_bytes(line.mac[:4])
    its_key = key(number)
    return (
        its_key is not None and number >= int.from_bytes(older.mac[:4]) and _fits(its_key, registry_id, older.mac, line)
    )


def _is_mac(cell: object) -> bool:
    return isinstance(cell, bytes) and len(cell) == MAC_BYTES


def _rows(first: int, last: int) -> str:
    return "was" if first == last else f"and all up to {last} were"
