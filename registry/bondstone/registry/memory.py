"""A store in memory: what every store does, in the plainest way. For tests, and as the measure of the other stores."""

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bondstone.registry.envelope import unreadable
from bondstone.registry.errors import Conflict
from bondstone.registry.head import Head
from bondstone.registry.keyring import WrappedKeyring
from bondstone.registry.memo import Memo
from bondstone.registry.store import (
    EVERYTHING,
    START,
    Adopted,
    AuditRow,
    ChainedRow,
    JournalLine,
    Lease,
    Relined,
    Resealed,
    Retagged,
    Sealed,
    SealedSettings,
    Sign,
    overtaken,
)

_numbers = itertools.count(1)


class MemoryStore:
    """Keeps sealed records in this process, as long as the object lives."""

    def __init__(self) -> None:
        self.url, self.tells_changes = f"memory:{next(_numbers)}", True
        self._lock = threading.RLock()
        self._memo = Memo()
        self._settings: SealedSettings | None = None
        self._keyrings: list[WrappedKeyring] = []
        self._heads: dict[tuple[str, str], tuple[Head, bytes]] = {}
        self._versions: dict[tuple[str, str, int], Sealed] = {}
        self._audit: list[ChainedRow] = []
        self._journal: dict[tuple[str, str], JournalLine] = {}
        self._leases: dict[str, Lease] = {}

    def __repr__(self) -> str:
        return f"MemoryStore({self.url!r})"

    def exists(self) -> bool:
        return self._settings is not None

    def check_schema(self) -> None:
        pass

    def close(self) -> None:
        pass

    def create(self, settings: SealedSettings, keyring: WrappedKeyring) -> bool:
        with self._lock:
            if self._settings is not None:
                return False
            self._settings, self._keyrings = settings, [keyring]
            return True

    def settings(self) -> SealedSettings:
        if self._settings is None:
            raise unreadable("the settings of this registry")
        return self._settings

    def set_settings(self, settings: SealedSettings, audit: AuditRow, sign: Sign) -> None:
        with self._change([audit], sign):
            old = self.settings()
            if old.generation != settings.generation - 1:
                raise Conflict("another process changed the settings of this registry first: try again")
            self._settings = settings._replace(registry_id=old.registry_id, created_at=old.created_at)

    def keyrings(self) -> list[WrappedKeyring]:
        return sorted(self._keyrings)

    def set_keyrings(
        self, old: Sequence[WrappedKeyring], new: Sequence[WrappedKeyring], audit: AuditRow, sign: Sign
    ) -> None:
        with self._change([audit], sign):
            if self.keyrings() != list(old):
                raise Conflict("another process changed the keyring of this registry first: try again")
            self._keyrings = list(new)

    def session(self) -> Memo:
        return self._memo

    def state(self, session: Memo) -> object:
        return session.epoch

    def hint(self) -> None:
        return None

    def load(self, session: Memo, kind: str, name: str) -> tuple[Head, bytes, Sealed | None] | None:
        with self._lock:
            found = self._heads.get((kind, name))
            return found and (*found, self._versions.get((kind, name, found[0].current)))

    def head(self, kind: str, name: str) -> tuple[Head, bytes] | None:
        return self._heads.get((kind, name))

    def heads(self, kind: str, limit: int, offset: int) -> list[tuple[Head, bytes]]:
        live = [row for row in self._sorted_heads() if not row[0].deleted and kind in ("", row[0].kind)]
        return live[offset : offset + limit]

    def all_heads(self, after: tuple[str, str], limit: int) -> list[tuple[Head, bytes]]:
        return [row for row in self._sorted_heads() if row[0][:2] > after][:limit]

    def _sorted_heads(self) -> list[tuple[Head, bytes]]:
        with self._lock:
            return [row for _, row in sorted(self._heads.items())]

    def version(self, kind: str, name: str, version: int) -> Sealed | None:
        return self._versions.get((kind, name, version))

    def history(self, kind: str, name: str) -> list[Sealed]:
        with self._lock:
            return [row for key, row in sorted(self._versions.items()) if key[:2] == (kind, name)]

    def commit(
        self,
        head: Head,
        tag: bytes,
        sealed: Sealed | None,
        audit: AuditRow,
        sign: Sign,
        *,
        over: bytes | None = None,
        line: JournalLine | None = None,
    ) -> None:
        key = (head.kind, head.name)
        with self._change([audit], sign):
            there, its_tag = self._heads.get(key, (Head(*key), None))
            right = its_tag == over if over is not None else there.generation == head.generation - 1
            if not right or (sealed and (*key, sealed.version) in self._versions):
                raise Conflict(f"another writer changed {head.kind}/{head.name} first: load it again and retry")
            self._heads[key] = (head, tag)
            if sealed:
                self._versions[*key, sealed.version] = sealed
            if line:
                self._put(line)

    def _put(self, line: JournalLine) -> None:
        there = self._journal.get(line[:2])
        if (there.number if there else 0) != line.number - 1:
            raise overtaken(line.kind, line.name)
        self._journal[line[:2]] = line

    def journal(self, kind: str, name: str) -> JournalLine | None:
        return self._journal.get((kind, name))

    def journals(self, after: tuple[str, str], limit: int) -> list[JournalLine]:
        with self._lock:
            return [line for key, line in sorted(self._journal.items()) if key > after][:limit]

    def write_journal(self, line: JournalLine, audit: AuditRow, sign: Sign) -> None:
        with self._change([audit], sign):
            self._put(line)

    def take_lease(self, lease: Lease, audit: AuditRow, sign: Sign) -> None:
        with self._change([audit], sign):
            if lease.id in self._leases:
                raise Conflict(f"there is a lease {lease.id} already")
            self._leases[lease.id] = lease

    def extend_lease(self, lease_id: str, until: int) -> bool:
        with self._change([], None):
            if there := self._leases.get(lease_id):
                self._leases[lease_id] = there._replace(until=until)
            return there is not None

    def release_lease(self, lease_id: str) -> None:
        with self._change([], None):
            self._leases.pop(lease_id, None)

    def leases(self) -> list[Lease]:
        with self._lock:
            return sorted(self._leases.values(), key=lambda lease: (lease.kind, lease.name, lease.until, lease.id))

    def now(self) -> int:
        return time.time_ns() // 1000

    def adopt(self, names: Sequence[Adopted], audit: AuditRow, sign: Sign) -> None:
        with self._change([audit], sign):
            for head, tag, versions, line in names:
                new = {(*head[:2], row.version): row for row in versions}
                if head[:2] in self._heads or len(new) < len(versions) or new.keys() & self._versions.keys():
                    raise Conflict("a name that was to be added is there already")
                self._heads[head[:2]] = (head, tag)
                self._versions |= new
                if line:
                    self._put(line)

    def purge(self, kind: str, name: str, through: int, audit: AuditRow, sign: Sign) -> int:
        with self._change([audit], sign):
            erased = [key for key in self._versions if key[:2] == (kind, name) and key[2] <= through]
            for key in erased:
                del self._versions[key]
            return len(erased)

    def discard(self, head: Head, audit: AuditRow, sign: Sign) -> int:
        with self._change([audit], sign):
            there, _ = self._heads.get(head[:2], (Head(*head[:2]), b""))
            current = there.generation == head.generation
            erased = [key for key in self._versions if current and key[:2] == head[:2] and key[2] > head.highest]
            for key in erased:
                del self._versions[key]
            return len(erased)

    def versions_of_other_keys(
        self, key_id: int, after: tuple[str, str, int], limit: int
    ) -> list[tuple[str, str, Sealed]]:
        with self._lock:
            rows = sorted(item for item in self._versions.items() if item[0] > after)
        others = [(*key[:2], row) for key, row in rows if row.envelope[3:7] != key_id.to_bytes(4)]
        return others[:limit]

    def heads_of_other_keys(self, key_id: int, after: tuple[str, str], limit: int) -> list[tuple[Head, bytes]]:
        return [row for row in self.all_heads(after, EVERYTHING) if row[1][:4] != key_id.to_bytes(4)][:limit]

    def count_of_other_keys(self, key_id: int) -> tuple[int, int]:
        versions = self.versions_of_other_keys(key_id, START, EVERYTHING)
        return len(versions), len(self.heads_of_other_keys(key_id, START[:2], EVERYTHING))

    def reseal(self, versions: Sequence[Resealed], heads: Sequence[Retagged], lines: Sequence[Relined] = ()) -> int:
        with self._change([], None):
            return sum(map(self._relined, lines)) + sum(map(self._resealed, versions)) + sum(map(self._retagged, heads))

    def _resealed(self, item: Resealed) -> bool:
        there = self._versions.get(item[:3])
        same = there is not None and there.envelope == item.old
        if there and same:
            self._versions[item[:3]] = there._replace(envelope=item.new)
        return same

    def _retagged(self, item: Retagged) -> bool:
        there = self._heads.get(item.head[:2])
        same = there is not None and (there[0].generation, there[1]) == (item.head.generation, item.old)
        if there and same:
            self._heads[item.head[:2]] = (there[0], item.new)
        return same

    def _relined(self, item: Relined) -> bool:
        same = self._journal.get(item.line[:2]) == item.line
        if same:
            self._journal[item.line[:2]] = item.line._replace(sealed=item.new)
        return same

    def record(self, rows: Sequence[AuditRow], sign: Sign) -> None:
        with self._change(rows, sign):
            pass

    def audit(
        self, *, since: int = 0, kind: str = "", name: str = "", limit: int = EVERYTHING, offset: int = 0
    ) -> list[ChainedRow]:
        asked = [
            line
            for line in reversed(list(self._audit))
            if line.row.at >= since and kind in ("", line.row.kind) and name in ("", line.row.name)
        ]
        return asked[offset : offset + limit]

    def audit_from(self, after: int, limit: int) -> list[ChainedRow]:
        return [line for line in list(self._audit) if line.seq > after][:limit]

    @contextmanager
    def _change(self, rows: Sequence[AuditRow], sign: Sign | None) -> Iterator[None]:
        """All or nothing: what is there is put back if anything fails, the signing too."""
        with self._lock:
            kept = (self._settings, self._keyrings, dict(self._heads), dict(self._versions), list(self._audit))
            others = (dict(self._journal), dict(self._leases))
            try:
                yield
                if sign is not None:
                    for row in rows:
                        self._append(row, sign)
            except BaseException:
                self._settings, self._keyrings, self._heads, self._versions, self._audit = kept
                self._journal, self._leases = others
                raise
            self._memo.epoch = object()

    def _append(self, row: AuditRow, sign: Sign) -> None:
        last = self._audit[-1] if self._audit else None
        seq, previous = (last.seq + 1, last.mac) if last else (1, b"")
        self._audit.append(ChainedRow(seq, row, sign(seq, previous, row)))
