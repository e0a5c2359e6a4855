"""The pointer of a path: one small object that tells the snapshots. Whoever swaps it has published.

It is JSON: ``format``; ``snapshots``, the current one first, each with ``id``, ``written_at``, ``superseded_at`` and ``by`` (names and
ids of what wrote it); ``keys``, from the hash of a key to the id of its snapshot, oldest first.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Any, Self

from bondstone.blocks import InvalidBlock, UnsupportedFormat

FORMAT = 1
KEYS = 100  # so many are remembered; whoever comes back with an older one writes again


@dataclass(frozen=True)
class Snapshot:
    """One whole dataset under a prefix of its own. Times are ISO 8601, in UTC."""

    id: str
    written_at: str
    superseded_at: str | None = None
    by: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pointer:
    """What is published at a path; nothing at all before the first write."""

    snapshots: tuple[Snapshot, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def current(self) -> Snapshot | None:
        return next(iter(self.snapshots), None)

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(snapshot.id for snapshot in self.snapshots)

    def before(self, id_: str) -> str | None:
        """The id of the snapshot that was current before that one, if both are there."""
        ids = [snapshot.id for snapshot in self.snapshots]
        return next((older for newer, older in pairwise(ids) if newer == id_), None)

    def written_with(self, key: str) -> str | None:
        """The id of the snapshot that was written with `key`; it may be gone by now."""
        return self.keys.get(_hash(key))

    def moved(self, new: Snapshot, key: str, *, keep: int, grace: timedelta) -> Self:
        """The pointer to `new`. Of the older ones it keeps the newest, `keep` in all, and whatever was current within `grace`."""
        now = datetime.fromisoformat(new.written_at)
        older = [replace(old, superseded_at=old.superseded_at or new.written_at) for old in self.snapshots]
        kept = [old for rank, old in enumerate(older, 1) if rank < keep or now - _end(old) < grace]
        keys = {**self.keys, _hash(key): new.id}
        return type(self)((new, *kept), dict(islice(keys.items(), max(0, len(keys) - KEYS), None)))

    def to_json(self) -> bytes:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1).encode()

    @classmethod
    def of_json(cls, data: bytes, where: str) -> Self:
        """Raises `InvalidBlock` for what is no pointer, and `UnsupportedFormat` for one of a newer bondstone; both name `where`."""
        try:
            fields = json.loads(data)
            if fields["format"] == FORMAT:
                return cls(tuple(Snapshot(**one) for one in fields["snapshots"]), dict(fields["keys"]))
        except (ValueError, TypeError, LookupError):
            raise InvalidBlock(f"{where} is no pointer that bondstone wrote: give another path, or remove it") from None
        raise UnsupportedFormat(f"{where} was written by a newer bondstone: install that")


def _end(snapshot: Snapshot) -> datetime:
    return datetime.fromisoformat(snapshot.superseded_at or snapshot.written_at)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]
