"""Whatever is asked of them in whatever order, SQLite and PostgreSQL answer as the store in memory does."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from bondstone.registry import BondstoneError, Settings
from bondstone.registry.head import Head
from bondstone.registry.memory import MemoryStore
from bondstone.registry.sql import SqlStore
from bondstone.registry.sqlite import SqliteDatabase
from bondstone.registry.store import JournalLine, Relined, Resealed, Retagged, Store
from bondstone.registry.testing.store_suite import KEYRING, SETTINGS, audited, lease, line, refuse, sealed, sign, tag
from bondstone.registry.texts import POSTGRESQL
from tests.postgres import Server

EFFORT = settings(
    max_examples=50, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
)

NAMES = st.sampled_from(["a", "a-b"])  # few, so that they meet
KINDS = st.sampled_from(["secret", "secret", "s3-bucket"])
NUMBERS = st.integers(0, 4)
KEYS = st.sampled_from([number.to_bytes(4) for number in (1, 2, 300)])
SIGNS = st.sampled_from([sign, sign, sign, refuse])
AFTER = st.tuples(st.sampled_from(["", "secret"]), NAMES, NUMBERS)

Open = Callable[[], Store]


class Stores(RuleBasedStateMachine):
    """Asks each store the same and compares what it answers, refusals too."""

    other: Open  # a registry as `StoreSuite` makes them

    def __init__(self) -> None:
        super().__init__()
        self.stores: list[Store] = [MemoryStore(), type(self).other()]
        self.stores[0].create(SETTINGS, KEYRING)

    @initialize(names=st.lists(NAMES, max_size=6))
    def begin(self, names: Sequence[str]) -> None:
        for name in names:
            self.save("secret", name, (1).to_bytes(4), sign, False)

    def teardown(self) -> None:
        for store in self.stores:
            store.close()

    def ask(self, question: Callable[[Store], Any]) -> Any:
        answers = [self.answer(store, question) for store in self.stores]
        assert answers[1] == answers[0]
        return answers[0]

    def answer(self, store: Store, question: Callable[[Store], Any]) -> Any:
        try:
            return question(store)
        except (BondstoneError, RuntimeError) as error:
            return type(error), str(error)

    def head(self, kind: str, name: str) -> tuple[Head, bytes]:
        return self.stores[0].head(kind, name) or (Head(kind, name), b"")

    @rule(kind=KINDS, name=NAMES, key=KEYS, staged=st.booleans())
    def save_more(self, kind: str, name: str, key: bytes, staged: bool) -> None:
        self.save(kind, name, key, sign, staged)

    @rule(kind=KINDS, name=NAMES, key=KEYS, signed=SIGNS, staged=st.booleans())
    def save(self, kind: str, name: str, key: bytes, signed: Any, staged: bool) -> None:
        head, _ = self.head(kind, name)
        number = head.highest + 1
        moved = head.staged(number, 100) if staged else head.saved(number, 100)
        row = audited("save", name, number, kind=kind)
        self.ask(lambda store: store.commit(moved, tag(b"save", key), sealed(number, b"text", key), row, signed))

    @rule(kind=KINDS, name=NAMES, generation=NUMBERS, version=st.none() | NUMBERS, signed=SIGNS)
    def commit_anything(self, kind: str, name: str, generation: int, version: int | None, signed: Any) -> None:
        head = self.head(kind, name)[0]._replace(generation=generation + 1)
        row = sealed(version, b"any") if version else None
        self.ask(lambda store: store.commit(head, tag(b"any"), row, audited("any", name, kind=kind), signed))

    @rule(kind=KINDS, name=NAMES)
    def delete(self, kind: str, name: str) -> None:
        head = self.head(kind, name)[0].tombstone(300)
        self.ask(lambda store: store.commit(head, tag(b"gone"), None, audited("delete", name, kind=kind), sign))

    @rule(kind=KINDS, name=NAMES, right=st.booleans(), generation=NUMBERS)
    def commit_over(self, kind: str, name: str, right: bool, generation: int) -> None:
        head, there = self.head(kind, name)
        over, new = there if right else tag(b"other"), head._replace(generation=generation + 1)
        self.ask(lambda store: store.commit(new, tag(b"over"), None, audited("over", name), sign, over=over))

    @rule(kind=KINDS, name=NAMES, through=NUMBERS, signed=SIGNS)
    def purge(self, kind: str, name: str, through: int, signed: Any) -> None:
        self.ask(lambda store: store.purge(kind, name, through, audited("purge", name, through), signed))

    @rule(kind=KINDS, name=NAMES, version=NUMBERS, key=KEYS, right=st.booleans(), generation=st.none() | NUMBERS)
    def reseal(self, kind: str, name: str, version: int, key: bytes, right: bool, generation: int | None) -> None:
        there = self.stores[0].version(kind, name, version)
        old = there.envelope if there and right else b"other"
        versions = [Resealed(kind, name, version, old, sealed(version, b"again", key).envelope)]
        head, its_tag = self.head(kind, name)
        moved = head if generation is None else head._replace(generation=generation)
        self.ask(lambda store: store.reseal(versions, [Retagged(moved, its_tag, tag(b"again", key))]))

    def journal(self, name: str) -> JournalLine:
        return self.stores[0].journal("secret", name) or line(0, name)

    @rule(name=NAMES, step=st.sampled_from([1, 1, 1, 0, 2]), signed=SIGNS)
    def write_journal(self, name: str, step: int, signed: Any) -> None:
        row = line(self.journal(name).number + step, name, b"step")
        self.ask(lambda store: store.write_journal(row, audited("rotate", name), signed))

    @rule(
        name=NAMES, step=st.sampled_from([1, 1, 0]), generation=st.none() | NUMBERS, staged=st.booleans(), signed=SIGNS
    )
    def commit_with_a_line(self, name: str, step: int, generation: int | None, staged: bool, signed: Any) -> None:
        head, _ = self.head("secret", name)
        number = head.highest + 1
        moved = head.staged(number, 100) if staged else head.promoted(100)
        moved = moved if generation is None else moved._replace(generation=generation + 1)
        version = sealed(number, b"line") if staged else None
        row = line(self.journal(name).number + step, name, b"with a head")
        self.ask(lambda store: store.commit(moved, tag(b"line"), version, audited("stage", name), signed, line=row))

    @rule(name=NAMES, right=st.booleans())
    def reseal_a_line(self, name: str, right: bool) -> None:
        there = self.journal(name) if right else line(1, name, b"other")
        self.ask(lambda store: store.reseal([], [], [Relined(there, b"again")]))

    @rule(number=NUMBERS, name=NAMES, until=NUMBERS, signed=SIGNS)
    def take_lease(self, number: int, name: str, until: int, signed: Any) -> None:
        self.ask(lambda store: store.take_lease(lease(str(number), name, until), audited("lease", name), signed))

    @rule(number=NUMBERS, until=NUMBERS, released=st.booleans())
    def change_lease(self, number: int, until: int, released: bool) -> None:
        if released:
            self.ask(lambda store: store.release_lease(str(number)))
        self.ask(lambda store: store.extend_lease(str(number), until))

    @rule(names=st.lists(NAMES, max_size=3), at=NUMBERS, signed=SIGNS)
    def record(self, names: Sequence[str], at: int, signed: Any) -> None:
        rows = [audited("load", name, at=at) for name in names]
        self.ask(lambda store: store.record(rows, signed))

    @rule(generation=NUMBERS, signed=SIGNS)
    def set_settings(self, generation: int, signed: Any) -> None:
        changed = self.stores[0].settings()._replace(generation=generation, envelope=b"%d" % generation)
        self.ask(lambda store: store.set_settings(changed, audited("settings"), signed))

    @rule(slots=st.sets(st.sampled_from(["primary", "recovery", "a", "b"]), min_size=1), right=st.booleans())
    def set_keyrings(self, slots: set[str], right: bool) -> None:
        old = self.stores[0].keyrings() if right else []
        new = [KEYRING._replace(slot=slot) for slot in slots]
        self.ask(lambda store: store.set_keyrings(old, new, audited("key"), sign))

    @rule()
    def close(self) -> None:
        self.ask(lambda store: store.close())

    @rule(kind=KINDS | st.just(""), limit=NUMBERS, offset=NUMBERS, since=NUMBERS, name=NAMES | st.just(""), after=AFTER)
    def look(self, kind: str, limit: int, offset: int, since: int, name: str, after: tuple[str, str, int]) -> None:
        self.ask(lambda store: store.heads(kind, limit, offset))
        self.ask(lambda store: store.all_heads(after[:2], limit))
        self.ask(lambda store: store.audit(since=since, kind=kind, name=name, limit=limit, offset=offset))
        self.ask(lambda store: store.audit_from(offset, limit))
        self.ask(lambda store: store.journals(after[:2], limit))
        self.ask(lambda store: [store.versions_of_other_keys(key, after, limit) for key in (1, 2, 300)])
        self.ask(lambda store: [store.heads_of_other_keys(key, after[:2], limit) for key in (1, 2, 300)])

    @rule(kind=KINDS, name=NAMES, version=NUMBERS)
    def look_at_one(self, kind: str, name: str, version: int) -> None:
        self.ask(lambda store: store.load(store.session(), kind, name))
        self.ask(lambda store: store.version(kind, name, version))
        self.ask(lambda store: store.history(kind, name))

    @invariant()
    def the_same_is_there(self) -> None:
        heads = self.ask(lambda store: store.all_heads(("", ""), 1000))
        self.ask(lambda store: [store.history(head.kind, head.name) for head, _ in heads])
        self.ask(lambda store: (store.settings(), store.keyrings(), store.audit_from(0, 1000)))
        self.ask(lambda store: (store.journals(("", ""), 1000), store.leases()))


def test_sqlite_beside_memory(tmp_path: Path) -> None:
    """Random sequences of everything that a store can be asked."""
    template, copies = SqliteDatabase(tmp_path / "template.db"), iter(range(10**6))
    SqlStore(template).create(SETTINGS, KEYRING)
    template.close()

    def other() -> Store:
        path = tmp_path / f"{next(copies)}.db"
        shutil.copy(template.path, path)
        return SqlStore(SqliteDatabase(path))

    run_state_machine_as_test(type("Machine", (Stores,), {"other": staticmethod(other)}), settings=EFFORT)


@pytest.mark.xdist_group("postgres")
def test_postgresql_beside_memory(postgres: Server, database: str) -> None:
    """The same of a real PostgreSQL."""
    store = Settings(registry=postgres.url(database)).store()
    store.create(SETTINGS, KEYRING)

    def other() -> Store:
        with postgres.connect(database) as raw:
            for table in ("heads", "versions", "audit", "registry", "keyrings", "journal", "leases"):
                raw.execute(f"DELETE FROM {table}")
            row = SETTINGS._asdict()
            raw.execute(POSTGRESQL["add_registry"], {"id": 1, "settings": row.pop("envelope"), **row})
            raw.execute(POSTGRESQL["add_keyring"], KEYRING._asdict())
        return store

    run_state_machine_as_test(type("Machine", (Stores,), {"other": staticmethod(other)}), settings=EFFORT)
