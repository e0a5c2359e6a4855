"""The records of a registry, proved: a head is authentic and not older than one that was seen, a version opens for its place."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from bondstone.registry.envelope import Context, unreadable
from bondstone.registry.errors import BondstoneError, InvalidName, NotFound
from bondstone.registry.head import Head
from bondstone.registry.keyring import Keyring
from bondstone.registry.names import check_kind, check_name, shown
from bondstone.registry.results import Document
from bondstone.registry.seen import ROOT_KEY, SETTINGS, Seen, registry_rolled_back, rolled_back
from bondstone.registry.settings_row import opened_settings
from bondstone.registry.store import EVERYTHING, Sealed, SealedSettings, Store


class Records:
    """Between the store, which is not trusted, and all who read from it."""

    def __init__(self, store: Store, keyring: Keyring, seen: Seen) -> None:
        self.store, self.keyring, self.seen = store, keyring, seen

    def head(self, kind: str, name: str) -> Head | None:
        """A name's head, deleted or not; None if the name was never used."""
        check_kind(kind)
        check_name(name)
        found = self.newest(kind, name, lambda: self.store.head(kind, name), self.store.head(kind, name))
        return found and found[0]

    def newest[R: tuple[Any, ...]](
        self, kind: str, name: str, read: Callable[[], R | None], found: R | None
    ) -> R | None:
        """What was `found`, proved; or what `read` gives now, if another writer was in between.

        Raises `RolledBack` if it is older than what was seen.
        """
        asked = 0
        while True:
            generation = self.keyring.check(*found[:2]).generation if found else 0
            seen = self.seen.highest(kind, name)
            if generation >= seen:
                self.seen.note(kind, name, generation)
                return found
            # A mark is made after its commit. So what was read after a look at the mark cannot be older, but by an attack.
            if generation < asked:
                raise rolled_back(kind, name, asked, generation)
            asked, found = seen, read()

    def settings(self) -> tuple[SealedSettings, dict[str, Any]]:
        """The registry's settings, sealed and open. Raises `Unreadable`, `RolledBack` if they are older than those that were seen."""

        def read() -> tuple[int, tuple[SealedSettings, dict[str, Any]]]:
            row = self.store.settings()
            found = opened_settings(self.keyring, row)
            return row.generation, (row, found)

        return self._no_older(SETTINGS, read)

    def check_root_key(self) -> None:
        """Raises `RolledBack` if the newest root key is older than one that was seen: a save would be sealed under a replaced one."""

        def read() -> tuple[int, None]:
            self.keyring.refresh()
            return self.keyring.newest, None

        self._no_older(ROOT_KEY, read)

    def _no_older[R](self, mark: tuple[str, str], read: Callable[[], tuple[int, R]]) -> R:
        asked = 0
        while True:
            number, found = read()
            seen = self.seen.highest(*mark)
            if number >= seen:
                self.seen.note(*mark, number)
                return found
            if number < asked:  # as in `newest`
                raise registry_rolled_back(mark[1], asked, number)
            asked = seen

    def proves(self, head: Head, tag: bytes) -> bool:
        """Whether this head of a listing is what its name stands at."""
        with suppress(BondstoneError):
            self.newest(head.kind, head.name, lambda: self.store.head(head.kind, head.name), (head, tag))
            return True
        return False

    def open(self, kind: str, name: str, sealed: Sealed | None, what: str) -> Document:
        """A version that the head proves to be there. Raises `Unreadable`, also if it is gone."""
        if sealed is None:
            raise unreadable(what)
        context = self._context(kind, name, sealed.version, sealed.saved_at)
        return Document(sealed.version, sealed.saved_at, self.keyring.open(context, sealed.envelope, what), {})

    def seal(self, kind: str, name: str, version: int, saved_at: int, content: bytes) -> Sealed:
        """A version as the store keeps it."""
        return Sealed(version, saved_at, self.keyring.seal(self._context(kind, name, version, saved_at), content))

    def _context(self, kind: str, name: str, version: int, saved_at: int) -> Context:
        return Context("version", self.keyring.registry_id, kind, name, version, saved_at)

    def salvaged(self, kind: str, name: str) -> tuple[Head | None, bytes | None]:
        """A head that knows only which numbers are spent, and the tag of the unreadable one that it stands for."""
        found = self.store.head(kind, name)
        if found is None:
            return None, None
        numbers = (found[0].highest, *(row.version for row in self.store.history(kind, name)))
        generation = max(found[0].generation if plausible(found[0].generation) else 0, self.seen.highest(kind, name))
        # No version has a number above the generation that it came with: what a set-back head no longer knows is spent all the same.
        highest = max([1, self.seen.highest(kind, name), *filter(plausible, numbers)])
        return Head(kind, name, max(generation, highest), pending=highest, highest=highest), found[1]

    def missing(self, kind: str, name: str) -> NotFound:
        """The refusal of a name that is not there."""
        from difflib import get_close_matches

        names = [head.name for head, _ in self.store.heads(kind, EVERYTHING, 0)]
        near = get_close_matches(name, filter(_is_name, names), 1)
        hint = f"did you mean '{near[0]}'?" if near else f"save it first, or see 'bondstone ls --kind {kind}'"
        return NotFound(f"there is no {kind} named {shown(name)}: {hint}")


def plausible(number: object) -> bool:
    """Whether a number that nothing proves may be counted on from: a huge one would use up all that follow."""
    return type(number) is int and 0 <= number < 2**31


def _is_name(cell: object) -> bool:
    """Whether a name that nothing proves may be shown: it may have been planted."""
    with suppress(InvalidName):
        return isinstance(cell, str) and bool(check_name(cell))
    return False
