"""The authenticated pointer of a name."""

import hmac
import struct
from typing import NamedTuple

from bondstone.registry.envelope import Context

_BODY = struct.Struct(">5Q")


class Head(NamedTuple):
    """Where a name stands. A version number of 0 means none. A tuple: one is made for every load."""

    kind: str
    name: str
    generation: int = 0
    current: int = 0
    previous: int = 0
    pending: int = 0
    highest: int = 0
    deleted_through: int = 0
    changed_at: int = 0  # microseconds since 1970

    @property
    def deleted(self) -> bool:
        """Whether the name is free again; its numbers are never used twice."""
        return not (self.current or self.pending)

    @property
    def consistent(self) -> bool:
        """Whether the numbers can stand together: a valid tag over nonsense is still refused."""
        least, most = self.deleted_through, self.highest
        return least <= most and all(not n or least < n <= most for n in (self.current, self.previous, self.pending))

    def saved(self, version: int, now: int) -> "Head":
        """The head after `version` was saved as the current one. What was pending was made for another current one, and is let go."""
        return self._next(now, current=version, previous=self.current, pending=0, highest=version)

    def staged(self, version: int, now: int) -> "Head":
        """The head after `version` was saved as the pending one."""
        return self._next(now, pending=version, highest=version)

    def promoted(self, now: int) -> "Head":
        """The head after its pending version became the current one."""
        return self._next(now, current=self.pending, previous=self.current, pending=0)

    def rolled_back(self, now: int) -> "Head":
        """The head after its previous version became the current one again."""
        return self._next(now, current=self.previous, previous=0)

    def unstaged(self, now: int) -> "Head":
        """The head after its pending version was let go."""
        return self._next(now, pending=0)

    def retired(self, now: int) -> "Head":
        """The head after its previous version became one that nobody can go back to."""
        return self._next(now, previous=0)

    def tombstone(self, now: int) -> "Head":
        """The head after everything up to here was deleted."""
        return self._next(now, current=0, previous=0, pending=0, deleted_through=self.highest)

    def _next(self, now: int, **numbers: int) -> "Head":
        # A clock that went backwards must not make a later change look older.
        later = {"generation": self.generation + 1, "changed_at": max(now, self.changed_at), **numbers}
        return self._replace(**later)  # type: ignore[arg-type]  # its stub joins the types of all fields

    def message(self, registry_id: str) -> bytes:
        """What its tag authenticates: context and numbers."""
        context = Context("head", registry_id, self.kind, self.name, self.generation, self.changed_at)
        body = _BODY.pack(self.current, self.previous, self.pending, self.highest, self.deleted_through)
        return context.encode() + body

    def tag(self, key: hmac.HMAC, number: int, registry_id: str) -> bytes:
        """The tag that goes with the row."""
        return tag_of(key, number, self.message(registry_id))


def tag_of(key: hmac.HMAC, number: int, message: bytes) -> bytes:
    """The id of the key, then HMAC-SHA-256."""
    mac = key.copy()
    mac.update(message)
    return number.to_bytes(4) + mac.digest()
