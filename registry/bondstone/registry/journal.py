"""The journal: where the rotation of each name stands, written before every step that cannot be taken back.

One line per name. Every step replaces it by compare-and-swap on its number, in one transaction with the head that it moves and with its
row in the audit log, which keeps the history. The line is also the lock: who holds it, and until when.
"""

import json
from contextlib import suppress
from typing import Any, NamedTuple

from bondstone.registry.envelope import Context, unreadable
from bondstone.registry.errors import BondstoneError, Unreadable, UnsupportedFormat, WrongKey
from bondstone.registry.keyring import Keyring
from bondstone.registry.store import JournalLine, Store

RESTING = ("", "retired", "undone")  # nothing is under way
UNPROMOTED = ("started", "pending", "set", "verified")
GRACE = ("current", "rolled-back", "retiring")  # two credentials are good, and one is to be retired
RETIRING = ("disabling", "disabled")
_PAGE = 500


class Step(NamedTuple):
    """Where the rotation of a name stands. Version numbers of 0 mean none; times are in microseconds since 1970."""

    step: str = ""
    token: int = 0  # of the lock: one more for each that took it
    holder: str = ""  # who has it, or had it last
    until: int = 0  # when the lock ends by itself; 0: nobody has it
    started_at: int = 0
    base: int = 0  # the version that was current when it began
    version: int = 0  # the new one
    before: tuple[str, ...] = ()  # ids of the credentials that the vendor had then
    grace: int = 0  # seconds
    retires: int = 0  # the version whose credential is to die
    retire_at: int = 0
    compromised: bool = False
    why: str = ""  # code of the error that ended the last attempt


class Journal:
    """Reads and seals the lines."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._store, self._keyring = store, keyring

    def read(self, kind: str, name: str) -> tuple[int, Step]:
        """The number and content of a name's line; number 0 if it has none. Raises `Unreadable`, `WrongKey`, `UnsupportedFormat`."""
        line = self._store.journal(kind, name)
        return (line.number, self._open(line)) if line else (0, Step())

    def owns(self, kind: str, name: str, pending: int) -> bool:
        """Whether a pending version was made by a rotation that is not at its end. A line that does not open owns nothing."""
        with suppress(Unreadable, WrongKey, UnsupportedFormat):
            _, step = self.read(kind, name)
            return step.step in (*UNPROMOTED, "undoing") and step.version == pending
        return False

    def all(self) -> list[tuple[str, str, Step | None]]:
        """Every line, by kind, then name; None for one that does not open."""
        found: list[tuple[str, str, Step | None]] = []
        after = ("", "")
        while page := self._store.journals(after, _PAGE):
            found += [(line.kind, line.name, self._opened(line)) for line in page]
            after = page[-1].kind, page[-1].name
        return found

    def line(self, kind: str, name: str, number: int, step: Step, now: int) -> JournalLine:
        """A line, sealed."""
        return self._sealed(JournalLine(kind, name, number, now, b""), _content(step))

    def travelling(self, kind: str, name: str) -> bytes:
        """What a copy takes along: a credential that is to be retired. Raises as `read`.

        What is not promoted stays behind: nobody knows what became of it at its source since, and undoing it there deletes credentials.
        """
        _, step = self.read(kind, name)
        travels = step.step in (*GRACE, *RETIRING)
        return _content(step._replace(until=0, token=0)) if travels else b""

    def arrived(self, kind: str, name: str, content: bytes, now: int) -> JournalLine | None:
        """The line of a name that took `content` along."""
        return self._sealed(JournalLine(kind, name, 1, now, b""), content) if content else None

    def _sealed(self, row: JournalLine, content: bytes) -> JournalLine:
        return row._replace(sealed=self._keyring.seal(journal_context(self._keyring.registry_id, row), content))

    def _opened(self, line: JournalLine) -> Step | None:
        try:
            return self._open(line)
        except BondstoneError:
            return None

    def _open(self, line: JournalLine) -> Step:
        what = f"the journal of {line.kind}/{line.name}"
        plain = self._keyring.open(journal_context(self._keyring.registry_id, line), line.sealed, what)
        return parsed(plain, what)


def parsed(plain: bytes, what: str) -> Step:
    """The step in a line: every field, of its type, in the one form. Raises `Unreadable`, or `UnsupportedFormat` if there are others."""
    fields: object = None
    with suppress(ValueError, TypeError, KeyError):
        fields = json.loads(plain)
        step = _step(fields)
        typed = all(type(cell) is type(default) for cell, default in zip(step, Step(), strict=True))
        if typed and all(type(item) is str for item in step.before) and _content(step) == plain:
            return step
    if isinstance(fields, dict) and fields.keys() > set(Step._fields):
        raise UnsupportedFormat(f"{what} was written by a newer bondstone: install that")
    raise unreadable(what)


def _step(fields: Any) -> Step:
    return Step(**{**fields, "before": tuple(fields["before"])})


def _content(step: Step) -> bytes:
    return json.dumps(step._asdict(), sort_keys=True, separators=(",", ":")).encode()


def journal_context(registry_id: str, line: JournalLine) -> Context:
    """What a line is sealed for."""
    return Context("journal", registry_id, line.kind, line.name, line.number, line.at)
