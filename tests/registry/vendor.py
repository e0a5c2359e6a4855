"""A vendor of keys, two for each user, that keeps them in a folder: what a killed rotator made there stays there."""

import json
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bondstone.registry import BondstoneError, Registry
from bondstone.registry.errors import AccessDenied, Conflict, RegistryUnavailable
from bondstone.registry.journal import Step
from bondstone.registry.keys import RawKey
from bondstone.registry.lock import live
from bondstone.registry.memory import MemoryStore
from bondstone.registry.rotation import Rotation
from bondstone.registry.sql import SqlStore
from bondstone.registry.sqlite import SqliteDatabase
from bondstone.registry.store import AuditRow, JournalLine, Lease, Sign

SECOND = 1_000_000
KIND, NAME = "aws-credentials", "prod"
MAX_TTL = 300
LOCK = 61_000_000  # microseconds after which the lock of a killed rotator has ended
KEY = RawKey("key", "a test", b"k" * 32)


class Vendor:
    """Makes, refuses and deletes keys. `refuses` says which calls it refuses, and with what."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refuses: dict[str, Exception] = {}
        self.during: Callable[[str], None] = lambda call: None

    def good(self) -> dict[str, bool]:
        """Each key, and whether it is good."""
        found = {}
        for path in sorted(self.folder.iterdir()):
            with suppress(FileNotFoundError):  # deleted by another thread in this moment
                found[path.name] = json.loads(path.read_text())
        return found

    def make(self, key: str = "") -> str:
        if len(self.good()) >= 2:
            raise Conflict("two keys exist already: delete one")
        key = key or uuid.uuid4().hex
        self.set(key, good=True)
        return key

    def set(self, key: str, *, good: bool) -> None:
        draft = self.folder.with_name("draft")
        draft.write_text(json.dumps(good))
        draft.replace(self.folder / key)

    def delete(self, key: str) -> None:
        (self.folder / key).unlink(missing_ok=True)

    def called(self, call: str) -> None:
        self.during(call)
        if call in self.refuses:
            raise self.refuses[call]


class KeysOf:
    """The keys of one name, as the engine sees them. `made_here`: as a password, which is made here and then set there."""

    def __init__(self, registry: Registry, vendor: Vendor, *, made_here: bool = False) -> None:
        self.registry, self.vendor, self.made_here = registry, vendor, made_here

    def key(self, version: int) -> str:
        return self.registry.load(KIND, NAME, version).content.decode()

    def same(self, one: int, other: int) -> bool:
        return self.key(one) == self.key(other)

    def existing(self, current: int) -> Sequence[str]:
        self.vendor.called("existing")
        keys = self.vendor.good()
        if len(keys) >= 2:
            raise Conflict("two keys exist already: delete one")
        return list(keys)

    def create(self, current: int) -> bytes:
        self.vendor.called("create")
        key = uuid.uuid4().hex if self.made_here else self.vendor.make()
        self.vendor.called("created")
        return key.encode()

    def install(self, new: int, current: int) -> None:
        self.vendor.called("install")
        if self.made_here and self.key(new) not in self.vendor.good():
            self.vendor.make(self.key(new))
        self.vendor.called("installed")

    def verify(self, new: int) -> None:
        self.vendor.called("verify")
        if not self.vendor.good().get(self.key(new)):
            raise AccessDenied("the vendor does not know this key")

    def disable(self, old: int, current: int) -> None:
        self.vendor.called("disable")
        assert self.key(old) != self.key(current)
        if self.key(old) in self.vendor.good():
            self.vendor.set(self.key(old), good=False)

    def retire(self, old: int, current: int) -> None:
        self.vendor.called("retire")
        assert self.key(old) != self.key(current)
        self.vendor.delete(self.key(old))

    def discard(self, before: Sequence[str], new: int, current: int) -> None:
        self.vendor.called("discard")
        for key in self.vendor.good():
            if key not in before and key != self.key(current):
                self.vendor.delete(key)


class Later(SqlStore):
    """A store whose clock can be set."""

    ahead = 0

    def now(self) -> int:
        return super().now() + self.ahead


class Mortal(MemoryStore):
    """A store in memory that stops answering one client: from then on that one is as dead as a killed process."""

    ahead = 0
    dead = False
    between: Callable[[], None] | None = None  # what happens right before a lease is written
    away = 0  # how many renewals of a lock it will not answer

    def now(self) -> int:
        return super().now() + self.ahead

    def write_journal(self, line: JournalLine, audit: AuditRow, sign: Sign) -> None:
        if self.dead:
            raise RegistryUnavailable("the process is dead")
        if self.away and threading.current_thread().name == "bondstone-rotation":
            self.away -= 1
            raise RegistryUnavailable("away")
        super().write_journal(line, audit, sign)

    def take_lease(self, lease: Lease, audit: AuditRow, sign: Sign) -> None:
        self._meanwhile()
        super().take_lease(lease, audit, sign)

    def extend_lease(self, lease_id: str, until: int) -> bool:
        self._meanwhile()
        return super().extend_lease(lease_id, until)

    def _meanwhile(self) -> None:
        act, self.between = self.between, None
        if act:
            act()


class Killed(BaseException):
    """The process ends here."""


def first(store: "Later | Mortal", vendor: Vendor) -> Registry:
    """A registry with one name, whose key is the only one."""
    vendor.folder.mkdir()
    registry = Registry.create(store, KEY, max_ttl=MAX_TTL)
    registry.save(KIND, NAME, vendor.make().encode())
    return registry


def settled(registry: Registry, vendor: Vendor, *, current: int | None = None) -> None:
    """Nothing is under way: the current key is the only one at the vendor, head and journal agree, the audit log is whole."""
    head = registry.head(KIND, NAME)
    _, step = registry.journal.read(KIND, NAME)
    assert vendor.good() == {registry.load(KIND, NAME).content.decode(): True}
    assert (head.previous, head.pending) == (0, 0)
    assert step.step in (("retired", "undone") if step.base else ("",))
    assert not live(step, registry.shared_now())
    assert current in (None, head.current)
    assert registry.verify_audit().whole


def usable(registry: Registry, vendor: Vendor) -> bool:
    """Whether who loads the name now gets a key that the vendor takes."""
    return vendor.good().get(registry.load(KIND, NAME).content.decode(), False)


class InMemory:
    """A registry in memory, whose clock can be set, and the vendor."""

    def __init__(self, folder: Path) -> None:
        self.vendor, self.store = Vendor(folder / "keys"), Mortal()
        self.registry = first(self.store, self.vendor)

    def rotation(self, **options: Any) -> Rotation:
        return Rotation(self.registry, KIND, NAME, KeysOf(self.registry, self.vendor), **options)

    def step(self) -> Step:
        return self.registry.journal.read(KIND, NAME)[1]

    def pass_seconds(self, seconds: float) -> None:
        self.store.ahead += round(seconds * SECOND)

    def versions(self) -> tuple[int, int, int]:
        head = self.registry.head(KIND, NAME)
        return head.current, head.previous, head.pending

    def good(self, version: int) -> bool:
        return self.vendor.good().get(self.registry.load(KIND, NAME, version).content.decode(), False)

    def save_by_hand(self) -> None:
        self.registry.save(KIND, NAME, self.vendor.make().encode(), overwrite=True)


def refused(place: InMemory, call: str = "verify", error: Exception | None = None) -> None:
    """A rotation that the vendor refused."""
    place.vendor.refuses[call] = error or AccessDenied("no")
    with suppress(BondstoneError):
        place.rotation().rotate()
    place.vendor.refuses.clear()


def meanwhile(place: InMemory, call: str, act: Callable[[], object]) -> None:
    """Do something in the middle of the vendor's `call`, once."""

    def during(name: str) -> None:
        if name == call:
            place.vendor.during = lambda _: None
            act()

    place.vendor.during = during


def child(path: str, folder: str, act: str, point: str, ahead: str) -> None:
    """A rotator that is killed at `point`; prints the points that it passed."""
    store = Later(SqliteDatabase(Path(path)))
    store.ahead = int(ahead)
    vendor = Vendor(Path(folder))
    registry = Registry.open(store, KEY)

    def at(passed: str) -> None:
        sys.stdout.write(passed + "\n")
        sys.stdout.flush()
        if passed == point:
            os.kill(os.getpid(), signal.SIGKILL)

    vendor.during = lambda call: at(f"vendor: {call}")
    getattr(Rotation(registry, KIND, NAME, KeysOf(registry, vendor), at=at), act)()


if __name__ == "__main__":
    child(*sys.argv[1:])
