"""What every store promises, as tests. A store's own test file holds only what is peculiar to it.

class TestMyStore(StoreSuite):
    @pytest.fixture
    def store(self) -> Store:
        return MyStore(...)  # at a place where nothing is yet
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from bondstone.registry.errors import BondstoneError, Conflict, Unreadable
from bondstone.registry.head import Head
from bondstone.registry.keyring import WrappedKeyring
from bondstone.registry.store import (
    Adopted,
    AuditRow,
    ChainedRow,
    JournalLine,
    Lease,
    Overtaken,
    Relined,
    Resealed,
    Retagged,
    Sealed,
    SealedSettings,
    Store,
)

KIND = "secret"
KEY = (1).to_bytes(4)
SETTINGS = SealedSettings("0123456789abcdef" * 2, 5, 1, 5, b"settings")
KEYRING = WrappedKeyring("primary", "key", "k01234567", 1, 5, b"wrapped")


def sign(seq: int, previous: bytes, row: AuditRow) -> bytes:
    """A stand-in for the registry's MAC, from which a test can tell what was signed."""
    return f"{seq}|{previous[:4].hex()}|{row.action}|{row.name}|{row.version}".encode()


def audited(action: str = "save", name: str = "a", version: int = 1, *, at: int = 7, kind: str = KIND) -> AuditRow:
    return AuditRow(at, "someone@here:1", action, kind, name, version, "ok")


def sealed(version: int, text: bytes = b"text", key: bytes = KEY) -> Sealed:
    """A version as an envelope looks: two letters, a format, the number of a key, and bytes of every value."""
    return Sealed(version, 100 + version, b"BS\x01" + key + text + bytes(range(256)))


def tag(text: bytes = b"", key: bytes = KEY) -> bytes:
    return key + text.ljust(32, b"\0")


def line(number: int, name: str = "a", text: bytes = b"line") -> JournalLine:
    """A line of the journal."""
    return JournalLine(KIND, name, number, 100 + number, text)


def lease(lease_id: str, name: str, until: int) -> Lease:
    return Lease(lease_id, KIND, name, 1, "someone@here:1", 700, until)


def refuse(seq: int, previous: bytes, row: AuditRow) -> bytes:
    raise RuntimeError("no signature")


class StoreSuite:
    """Subclass it with a fixture `store` that gives a store at a place where nothing is yet."""

    def beside(self, store: Store) -> Store:
        """Another client of the same place, as another process would have; the same object if there is no such thing."""
        return store

    @pytest.fixture
    def made(self, store: Store) -> Store:
        """The store, with a registry in it."""
        assert store.create(SETTINGS, KEYRING) is True
        store.check_schema()
        return store

    def save(self, store: Store, name: str = "a", text: bytes = b"text", *, kind: str = KIND, key: bytes = KEY) -> Head:
        """The next version of a name."""
        found = store.head(kind, name)
        head = found[0] if found else Head(kind, name)
        number = head.highest + 1
        row = audited("save", name, number, kind=kind)
        store.commit(head.saved(number, 100 + number), tag(text, key), sealed(number, text, key), row, sign)
        return head.saved(number, 100 + number)

    def contents(self, store: Store) -> object:
        """All that is there."""
        heads = store.all_heads(("", ""), 1000)
        versions = [store.history(head.kind, head.name) for head, _ in heads]
        return store.settings(), store.keyrings(), heads, versions, store.audit_from(0, 1000)

    # --- a registry as a whole ---

    def test_nothing_is_there_at_first(self, store: Store) -> None:
        """Looking for a registry makes none."""
        assert store.exists() is False
        assert store.exists() is False

    def test_create(self, store: Store) -> None:
        """A new registry has its settings and one keyring, and nothing else."""
        assert store.create(SETTINGS, KEYRING) is True

        assert store.exists() is True
        assert self.contents(store) == (SETTINGS, [KEYRING], [], [], [])

    def test_a_second_create_changes_nothing(self, made: Store) -> None:
        """Whoever comes later is told, and the first one's registry stays."""
        self.save(made)
        before = self.contents(made)

        assert self.beside(made).create(SETTINGS._replace(registry_id="f" * 32), KEYRING) is False

        assert self.contents(made) == before

    def test_several_creators_at_once(self, store: Store) -> None:
        """One of eight makes the registry, all of them find it."""
        ids = [f"{number:x}" * 32 for number in range(8)]
        start = threading.Barrier(8)

        def create(registry_id: str) -> tuple[bool, str]:
            mine = self.beside(store)
            start.wait()
            won = mine.create(SETTINGS._replace(registry_id=registry_id), KEYRING)
            found = mine.settings().registry_id
            mine.close()
            return won, found

        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(create, ids))

        assert [won for won, _ in outcomes].count(True) == 1
        assert {found for _, found in outcomes} == {store.settings().registry_id}
        assert ids[[won for won, _ in outcomes].index(True)] == store.settings().registry_id

    def test_check_schema_may_be_repeated(self, made: Store) -> None:
        """On a registry of today it changes nothing."""
        before = self.contents(made)

        made.check_schema()
        self.beside(made).check_schema()

        assert self.contents(made) == before

    def test_the_url_and_the_repr_tell_where_it_is(self, made: Store) -> None:
        """Every client of one place gives the same URL."""
        assert made.url == self.beside(made).url
        assert made.url in repr(made)

    # --- settings and keyrings ---

    def test_settings_follow_one_another(self, made: Store) -> None:
        """The generation after the one that is there replaces it, and is on record."""
        changed = SETTINGS._replace(generation=2, changed_at=9, envelope=b"new")

        made.set_settings(changed, audited("settings", "", 2), sign)

        assert made.settings() == changed
        assert [line.row.action for line in made.audit()] == ["settings"]

    @pytest.mark.parametrize("generation", [1, 3])
    def test_settings_of_another_generation_are_refused(self, made: Store, generation: int) -> None:
        """A writer that had not seen the last change changes nothing."""
        before = self.contents(made)

        with pytest.raises(Conflict):
            made.set_settings(SETTINGS._replace(generation=generation, envelope=b"new"), audited(), sign)

        assert self.contents(made) == before

    def test_keyrings_are_replaced_as_one(self, made: Store) -> None:
        """All rows or none, by slot."""
        new = [KEYRING._replace(slot="recovery"), KEYRING._replace(wrapped=b"again", generation=2)]

        made.set_keyrings([KEYRING], new, audited("key add", ""), sign)

        assert made.keyrings() == [new[1], new[0]]
        assert [line.row.action for line in made.audit()] == ["key add"]

    def test_keyrings_that_were_changed_meanwhile(self, made: Store) -> None:
        """Rows that are not the ones that were read are not replaced."""
        before = self.contents(made)

        with pytest.raises(Conflict):
            made.set_keyrings([KEYRING._replace(wrapped=b"older")], [], audited(), sign)

        assert self.contents(made) == before

    # --- names and versions ---

    def test_a_name_never_used(self, made: Store) -> None:
        """Nothing is told as nothing, not as an error."""
        assert made.load(made.session(), KIND, "a") is None
        assert made.head(KIND, "a") is None
        assert made.version(KIND, "a", 1) is None
        assert made.history(KIND, "a") == []

    def test_what_was_committed_is_read_back(self, made: Store) -> None:
        """Every number and byte, by every way to it, for every client."""
        head = self.save(made)

        for store in (made, self.beside(made)):
            assert store.load(store.session(), KIND, "a") == (head, tag(b"text"), sealed(1))
            assert store.head(KIND, "a") == (head, tag(b"text"))
            assert store.version(KIND, "a", 1) == sealed(1)
            assert store.history(KIND, "a") == [sealed(1)]
            assert [line.row for line in store.audit()] == [audited()]

    def test_types_are_kept(self, made: Store) -> None:
        """Bytes come back as bytes and numbers as numbers: what compares equal may still not be able to do the same."""
        self.save(made)
        found = made.load(made.session(), KIND, "a")

        assert found is not None
        head, its_tag, row = found
        assert row is not None
        assert [type(cell) for cell in (its_tag, row.envelope, *head)] == [bytes, bytes, str, str, *[int] * 7]
        assert type(made.audit()[0].mac) is bytes
        assert type(made.keyrings()[0].wrapped) is bytes
        assert type(made.settings().envelope) is bytes

    def test_large_numbers_and_documents(self, made: Store) -> None:
        """Times in microseconds, numbers up to 2**63 - 1, a megabyte and a little more."""
        most = 2**63 - 1
        head = Head(KIND, "a", 1, most, most - 1, most - 2, most, 7, most)
        row = Sealed(most, most, b"BS\x01" + KEY + bytes(1_100_000))

        made.commit(head, tag(), row, audited(version=most, at=most), sign)

        assert made.load(made.session(), KIND, "a") == (head, tag(), row)
        assert made.audit()[0].row == audited(version=most, at=most)

    def test_each_version_is_kept(self, made: Store) -> None:
        """A new version leaves the older ones as they are; `load` gives the current one."""
        for text in (b"one", b"two", b"three"):
            self.save(made, "a", text)

        assert made.history(KIND, "a") == [sealed(1, b"one"), sealed(2, b"two"), sealed(3, b"three")]
        found = made.load(made.session(), KIND, "a")
        assert found is not None
        assert found[2] == sealed(3, b"three")

    def test_a_head_without_a_version(self, made: Store) -> None:
        """A tombstone has none; the head is there all the same."""
        head = self.save(made)
        made.commit(head.tombstone(300), tag(b"gone"), None, audited("delete"), sign)

        assert made.load(made.session(), KIND, "a") == (head.tombstone(300), tag(b"gone"), None)
        assert made.version(KIND, "a", 1) == sealed(1)

    @pytest.mark.parametrize("generation", [1, 2, 4])
    def test_a_name_that_has_moved_on(self, made: Store, generation: int) -> None:
        """Only the generation after the one that is there is taken; nothing of another is left behind, its record neither."""
        self.save(made)
        head = self.save(made, "a", b"two")
        before = self.contents(made)

        with pytest.raises(Conflict):
            made.commit(head.saved(3, 9)._replace(generation=generation), tag(), sealed(3), audited(), sign)

        assert self.contents(made) == before

    def test_a_generation_without_the_one_before(self, made: Store) -> None:
        """A name that was never used begins with generation 1."""
        before = self.contents(made)

        with pytest.raises(Conflict):
            made.commit(Head(KIND, "a", 2, 1, highest=1), tag(), sealed(1), audited(), sign)

        assert self.contents(made) == before

    def test_a_version_is_never_replaced(self, made: Store) -> None:
        """Not even by a writer whose head is right: nothing changes."""
        head = self.save(made)
        before = self.contents(made)

        with pytest.raises(Conflict):
            made.commit(head.saved(1, 9), tag(b"new"), sealed(1, b"new"), audited(), sign)

        assert self.contents(made) == before

    def test_over_a_head_that_proves_nothing(self, made: Store) -> None:
        """The tag that was read is what is moved from, whatever the numbers."""
        self.save(made)
        new = Head(KIND, "a", 40, 0, 0, 0, 1, 1, 9)

        made.commit(new, tag(b"new"), None, audited("delete"), sign, over=tag(b"text"))

        assert made.head(KIND, "a") == (new, tag(b"new"))

    def test_over_another_tag_is_refused(self, made: Store) -> None:
        """Of two that would replace a head one does."""
        self.save(made)
        before = self.contents(made)

        with pytest.raises(Conflict):
            made.commit(Head(KIND, "a", 1), tag(), None, audited(), sign, over=tag(b"other"))
        with pytest.raises(Conflict):
            made.commit(Head(KIND, "b", 1), tag(), None, audited(), sign, over=tag(b"text"))

        assert self.contents(made) == before

    def test_a_refused_signature_changes_nothing(self, made: Store) -> None:
        """What cannot be recorded does not happen."""
        head = self.save(made)
        before = self.contents(made)
        changes: list[Callable[[], object]] = [
            lambda: made.commit(head.saved(2, 9), tag(), sealed(2), audited(), refuse),
            lambda: made.commit(Head(KIND, "b", 1, 1, highest=1), tag(), sealed(1), audited(), refuse),
            lambda: made.adopt([Adopted(Head(KIND, "b", 1, 1, highest=1), tag(), [sealed(1)])], audited(), refuse),
            lambda: made.purge(KIND, "a", 1, audited(), refuse),
            lambda: made.set_settings(SETTINGS._replace(generation=2), audited(), refuse),
            lambda: made.set_keyrings([KEYRING], [KEYRING._replace(wrapped=b"x")], audited(), refuse),
            lambda: made.record([audited()], refuse),
        ]

        for change in changes:
            with pytest.raises(RuntimeError, match="no signature"):
                change()
            assert self.contents(made) == before
        self.save(made, "a", b"after")  # and the store works as before

    def test_purge(self, made: Store) -> None:
        """Erases up to a number, tells how many, and leaves head, later versions and other names."""
        for name in ("a", "a", "a", "b"):
            head = self.save(made, name)
        kept = made.head(KIND, "a")

        assert made.purge(KIND, "a", 2, audited("purge", version=2), sign) == 2
        assert made.purge(KIND, "a", 2, audited("purge", version=2), sign) == 0

        assert made.history(KIND, "a") == [sealed(3)]
        assert made.head(KIND, "a") == kept
        assert made.history(KIND, "b") == [sealed(1)]
        assert made.head(KIND, "b") == (head, tag(b"text"))
        assert [line.row.action for line in made.audit(limit=2)] == ["purge", "purge"]

    def test_discard(self, made: Store) -> None:
        """Erases what is above the highest number of a head, and nothing else."""
        head = self.save(made)
        made.commit(
            head._replace(generation=2), tag(), sealed(9), audited(), sign
        )  # a version that its head does not know
        self.save(made, "b")

        assert made.discard(head._replace(generation=2), audited("discard"), sign) == 1

        assert made.history(KIND, "a") == [sealed(1)]
        assert made.history(KIND, "b") == [sealed(1)]
        assert made.audit(limit=1)[0].row == audited("discard")

    def test_discarding_above_a_head_that_moved_on(self, made: Store) -> None:
        """What another writer saved meanwhile stays: also the first version of a name that was never used."""
        head = self.save(made)
        self.save(made)

        assert made.discard(head, audited("discard"), sign) == 0
        assert made.discard(Head(KIND, "a"), audited("discard"), sign) == 0

        assert made.history(KIND, "a") == [sealed(1), sealed(2)]

    # --- whole names of another registry ---

    @pytest.fixture
    def brought(self) -> list[Adopted]:
        """Two names: one with a deleted version and without another that was purged, one with nothing but its head."""
        one = Head(KIND, "one", 9, 4, 3, 0, 5, 2, 300)
        return [
            Adopted(one, tag(b"one"), [sealed(2, b"deleted"), sealed(3), sealed(4, b"current"), sealed(5)]),
            Adopted(Head(KIND, "gone", 3, 0, 0, 0, 2, 2, 400), tag(b"gone"), []),
        ]

    def test_adopt(self, made: Store, brought: list[Adopted]) -> None:
        """Every head and version is there as it was given, for every client, and one row is on record."""
        made.adopt(brought, audited("restore", "", 0, kind=""), sign)

        for store in (made, self.beside(made)):
            head, its_tag, versions, _ = brought[0]
            assert store.load(store.session(), KIND, "one") == (head, its_tag, sealed(4, b"current"))
            assert store.history(KIND, "one") == list(versions)
            assert store.load(store.session(), KIND, "gone") == (*brought[1][:2], None)
            assert [line.row for line in store.audit()] == [audited("restore", "", 0, kind="")]

    def test_an_adopted_name_goes_on(self, made: Store, brought: list[Adopted]) -> None:
        """The next change of it follows the generation that it came with."""
        made.adopt(brought, audited("restore"), sign)

        self.save(made, "one", b"next")

        found = made.load(made.session(), KIND, "one")
        assert found is not None
        assert (found[0].generation, found[2]) == (10, sealed(6, b"next"))

    @pytest.mark.parametrize("place", [0, 2])
    def test_adopting_a_name_that_is_there(self, made: Store, brought: list[Adopted], place: int) -> None:
        """First or last of them, deleted or not: `Conflict`, and none of the others is left behind."""
        self.save(made, "a")
        before = self.contents(made)
        taken = Adopted(Head(KIND, "a", 1, 1, highest=1), tag(b"other"), [sealed(1, b"other")])

        with pytest.raises(Conflict):
            made.adopt([*brought[:place], taken, *brought[place:]], audited("restore"), sign)

        assert self.contents(made) == before

    def test_adopting_a_version_twice(self, made: Store, brought: list[Adopted]) -> None:
        """Two versions of one number: `Conflict`, and nothing is there."""
        before = self.contents(made)
        head, its_tag, _ = brought[0]

        with pytest.raises(Conflict):
            made.adopt([brought[1], Adopted(head, its_tag, [sealed(4), sealed(4, b"twice")])], audited("restore"), sign)

        assert self.contents(made) == before

    def test_adopting_nothing(self, made: Store) -> None:
        """No names are on record all the same."""
        made.adopt([], audited("restore"), sign)

        assert made.all_heads(("", ""), 10) == []
        assert len(made.audit()) == 1

    # --- listings ---

    @pytest.fixture
    def several(self, made: Store) -> list[tuple[str, str]]:
        """Names of two kinds, one of them deleted, saved in no order; gives those that are not."""
        kinds = {"secret": ["b", "a/c", "a-b", "ab", "a.b", "a_b", "gone", "0"], "aws": ["b"], "s3-bucket": ["z"]}
        for kind, names in kinds.items():
            for name in names:
                head = self.save(made, name, kind=kind)
                if name == "gone":
                    made.commit(head.tombstone(300), tag(b"gone"), None, audited("delete"), sign)
        return [(kind, name) for kind, names in kinds.items() for name in names if name != "gone"]

    def test_names_are_in_the_order_of_their_bytes(self, made: Store, several: list[tuple[str, str]]) -> None:
        """The same order in every store, whatever its language: by kind, then name, without the deleted."""
        assert [head[:2] for head, _ in made.heads("", 1000, 0)] == sorted(several)
        assert [head[:2] for head, _ in made.heads("secret", 1000, 0)] == sorted(several)[2:]
        assert made.heads("none", 1000, 0) == []

    def test_listings_have_pages(self, made: Store, several: list[tuple[str, str]]) -> None:
        """A limit and an offset cut them, and go on behind their end."""
        pages = [[head[:2] for head, _ in made.heads("", 3, offset)] for offset in (0, 3, 6, 9, 12)]

        assert [row for page in pages for row in page] == sorted(several)
        assert [len(page) for page in pages] == [3, 3, 3, 0, 0]

    def test_a_pending_name_is_listed(self, made: Store) -> None:
        """What has no current version yet is not deleted."""
        made.commit(Head(KIND, "a").staged(1, 9), tag(), sealed(1), audited("stage"), sign)

        assert [head.pending for head, _ in made.heads(KIND, 10, 0)] == [1]

    def test_all_heads_by_the_page(self, made: Store, several: list[tuple[str, str]]) -> None:
        """Deleted ones too, each once."""
        found, after = [], ("", "")
        while page := made.all_heads(after, 4):
            found += [head[:2] for head, _ in page]
            after = found[-1]

        assert found == sorted([*several, ("secret", "gone")])

    # --- other root keys ---

    def test_what_other_keys_sealed(self, made: Store) -> None:
        """Versions and heads under another key, by the page, in the order of kind, name, version."""
        for name, key in [("a", 1), ("a", 2), ("b", 1), ("b", 256), ("c", 2), ("d", 2**32 - 1)]:
            self.save(made, name, key=key.to_bytes(4))

        versions = made.versions_of_other_keys(2, ("", "", 0), 10)
        heads = made.heads_of_other_keys(2, ("", ""), 10)

        assert [(kind, name, row.version) for kind, name, row in versions] == [
            ("secret", "a", 1), ("secret", "b", 1), ("secret", "b", 2), ("secret", "d", 1),
        ]  # fmt: skip
        assert [row for *_, row in versions[:2]] == [sealed(1), sealed(1)]
        assert [head.name for head, _ in heads] == ["b", "d"]
        assert made.versions_of_other_keys(2, ("secret", "b", 1), 1) == [versions[2]]
        assert made.count_of_other_keys(2) == (4, 2)
        assert made.count_of_other_keys(0) == (6, 4)
        assert made.heads_of_other_keys(2, ("secret", "b"), 10) == [heads[1]]
        assert made.versions_of_other_keys(2, ("", "", 0), 2) == versions[:2]

    def test_reseal(self, made: Store) -> None:
        """What is still as it was read gets its new bytes; what was changed meanwhile is left, and not counted."""
        head = self.save(made)
        self.save(made, "b")
        new = sealed(1, key=(2).to_bytes(4)).envelope
        right, wrong = sealed(1).envelope, sealed(1, b"other").envelope

        changed = made.reseal(
            [
                Resealed(KIND, "a", 1, right, new),
                Resealed(KIND, "b", 1, wrong, new),
                Resealed(KIND, "c", 1, right, new),
            ],
            [Retagged(head, tag(b"text"), tag(b"new")), Retagged(head._replace(name="b"), tag(b"other"), tag(b"new"))],
        )

        assert changed == 2
        assert made.load(made.session(), KIND, "a") == (head, tag(b"new"), Sealed(1, 101, new))
        assert made.version(KIND, "b", 1) == sealed(1)
        assert made.head(KIND, "b") == (head._replace(name="b"), tag(b"text"))

    def test_a_head_that_moved_on_is_not_retagged(self, made: Store) -> None:
        """The same tag on a later generation is another head."""
        head = self.save(made)
        later = self.save(made)

        assert made.reseal([], [Retagged(head, tag(b"text"), tag(b"new"))]) == 0

        assert made.head(KIND, "a") == (later, tag(b"text"))

    # --- the audit log ---

    def test_the_audit_log_is_a_chain(self, made: Store) -> None:
        """Each row is signed with its number and the MAC before it, in one transaction with what it records or with its batch."""
        self.save(made)
        made.record([audited("load"), audited("load", "b")], sign)
        self.save(made)

        lines = made.audit_from(0, 10)
        previous = [b"", *(line.mac for line in lines)]
        assert [line.row.action for line in lines] == ["save", "load", "load", "save"]
        assert all(before.seq < after.seq for before, after in pairwise(lines))
        assert [line.mac for line in lines] == [
            sign(line.seq, mac, line.row) for line, mac in zip(lines, previous, strict=False)
        ]

    def test_the_audit_log_newest_first(self, made: Store) -> None:
        """By time, kind and name, with a limit and an offset."""
        rows = [
            audited("load", name, at=at, kind=kind) for at, (kind, name) in enumerate(zip("xxyy", "abab", strict=True))
        ]
        made.record(rows, sign)

        def asked(lines: list[ChainedRow]) -> list[int]:
            return [line.row.at for line in lines]

        assert asked(made.audit()) == [3, 2, 1, 0]
        assert asked(made.audit(since=2)) == [3, 2]
        assert asked(made.audit(kind="x")) == [1, 0]
        assert asked(made.audit(name="a")) == [2, 0]
        assert asked(made.audit(kind="y", name="b", since=1)) == [3]
        assert asked(made.audit(limit=2, offset=1)) == [2, 1]
        assert asked(made.audit(kind="z")) == []

    def test_the_audit_log_by_the_page(self, made: Store) -> None:
        """Oldest first, behind a number."""
        made.record([audited("load", version=number) for number in range(5)], sign)
        first = made.audit_from(0, 2)

        assert [line.row.version for line in first] == [0, 1]
        assert [line.row.version for line in made.audit_from(first[-1].seq, 10)] == [2, 3, 4]

    def test_recording_nothing(self, made: Store) -> None:
        """No rows are no record."""
        made.record([], sign)

        assert made.audit() == []

    # --- sessions and writers ---

    def test_the_state_changes_with_each_commit(self, made: Store) -> None:
        """Never the same object before and after a change, by this client or another; what was read with the same one is current."""
        session, other = made.session(), self.beside(made)
        for store in (made, other):
            before = made.state(session)
            self.save(store)

            assert made.state(session) is not before

    def test_the_state_of_a_session_that_saw_a_change(self, made: Store) -> None:
        """The change counts for the thread that made it, too."""
        session = made.session()
        made.state(session)
        self.save(made)
        made.load(session, KIND, "a")
        before = made.state(session)
        self.save(self.beside(made))

        assert made.state(session) is not before

    def test_a_session_remembers(self, made: Store) -> None:
        """What is put into its memo is found again in the same thread."""
        made.session().remember((KIND, "a"), "something")

        assert made.session().memo[KIND, "a"] == "something"

    def test_it_goes_on_after_a_close(self, made: Store) -> None:
        """Closing lets go of what this thread held, not of the store."""
        head = self.save(made)
        made.close()

        assert made.head(KIND, "a") == (head, tag(b"text"))
        self.save(made)
        made.close()
        made.close()

    def test_writers_take_turns(self, made: Store) -> None:
        """Eight clients that save one name: each generation is one's, every acknowledged version is there, the audit log is one chain."""

        def work(number: int) -> list[int]:
            store = self.beside(made)
            mine: list[int] = []
            while len(mine) < 10:
                try:
                    mine.append(self.save(store, "shared", b"%d" % number).current)
                except Conflict:
                    continue
            store.close()
            return mine

        with ThreadPoolExecutor(8) as pool:
            numbers = [number for numbers in pool.map(work, range(8)) for number in numbers]

        lines = made.audit_from(0, 1000)
        previous = [b"", *(line.mac for line in lines)]
        assert sorted(numbers) == list(range(1, 81))
        assert [row.version for row in made.history(KIND, "shared")] == list(range(1, 81))
        assert [line.row.version for line in lines] == list(range(1, 81))
        assert [line.mac for line in lines] == [
            sign(line.seq, mac, line.row) for line, mac in zip(lines, previous, strict=False)
        ]

    def test_writers_of_different_names_do_not_meet(self, made: Store) -> None:
        """Each waits for the others, and none is told of a conflict that is not."""

        def work(number: int) -> None:
            store = self.beside(made)
            for _ in range(10):
                self.save(store, f"name-{number}")
            store.close()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))

        assert [head.highest for head, _ in made.heads(KIND, 100, 0)] == [10] * 8
        assert len(made.audit_from(0, 1000)) == 80

    def test_a_reader_sees_head_and_version_of_one_moment(self, made: Store) -> None:
        """Beside a writer, `load` never gives a head without its version, nor an older one than before."""
        self.save(made)
        done = threading.Event()

        def write() -> None:
            store = self.beside(made)
            for _ in range(50):
                self.save(store)
            store.close()
            done.set()

        with ThreadPoolExecutor(1) as pool:
            writing, seen = pool.submit(write), [0]
            while not done.is_set() and not writing.done():
                found = made.load(made.session(), KIND, "a")
                assert found is not None
                head, _, row = found
                assert row is not None
                assert row.version == head.current
                seen.append(head.generation)
            writing.result()

        assert seen == sorted(seen)

    def test_a_registry_that_is_not_there(self, store: Store) -> None:
        """Asked before it was made, or after it was removed: an error of ours."""
        with pytest.raises(BondstoneError):
            store.settings()
        assert issubclass(Unreadable, BondstoneError)

    # --- the journal and the leases ---

    def put(self, store: Store, number: int, name: str = "a", text: bytes = b"line") -> JournalLine:
        """A line of the journal, written."""
        row = line(number, name, text)
        store.write_journal(row, audited("rotate", name, number), sign)
        return row

    def rotations(self, store: Store) -> object:
        """All that is there, the journal and the leases too."""
        return self.contents(store), store.journals(("", ""), 1000), store.leases()

    def test_a_journal_that_was_never_written(self, made: Store) -> None:
        """Nothing is told as nothing."""
        assert made.journal(KIND, "a") is None
        assert made.journals(("", ""), 10) == []

    def test_a_line_takes_the_place_of_the_one_before(self, made: Store) -> None:
        """Of each name there is one, the last; every step is on record."""
        self.put(made, 1)
        self.put(made, 1, "b")
        last = self.put(made, 2, text=bytes(range(256)))

        assert self.beside(made).journal(KIND, "a") == last
        assert type(made.journals(("", ""), 1)[0].sealed) is bytes
        assert [line.row.version for line in made.audit_from(0, 10)] == [1, 1, 2]

    @pytest.mark.parametrize("number", [1, 2, 4, 9])
    def test_a_line_of_another_number_is_refused(self, made: Store, number: int) -> None:
        """Who had not seen the last line changes nothing, and is told that somebody else goes on with it."""
        self.put(made, 1)
        self.put(made, 2)
        before = self.rotations(made)

        with pytest.raises(Overtaken):
            made.write_journal(line(number, "a", b"other"), audited("rotate"), sign)

        assert self.rotations(made) == before

    def test_a_first_line_is_of_number_1(self, made: Store) -> None:
        """There is none before it."""
        with pytest.raises(Overtaken):
            self.put(made, 2)

        assert made.journals(("", ""), 10) == []

    def test_of_several_rotators_one_writes(self, made: Store) -> None:
        """Eight that read the same line: one of them has the next number, the first one too."""
        for number in (1, 2):
            start = threading.Barrier(8)

            def write(mine: int, number: int = number, start: threading.Barrier = start) -> bool:
                store = self.beside(made)
                start.wait()
                try:
                    self.put(store, number, text=b"%d" % mine)
                except Overtaken:
                    return False
                finally:
                    store.close()
                return True

            with ThreadPoolExecutor(8) as pool:
                assert list(pool.map(write, range(8))).count(True) == 1
        assert len(made.audit_from(0, 100)) == 2

    def test_a_head_moves_together_with_the_journal(self, made: Store) -> None:
        """Version, head, line and record are of one transaction."""
        head = self.save(made)
        self.put(made, 1)
        moved = head.staged(2, 200)

        made.commit(moved, tag(b"two"), sealed(2), audited("stage", version=2), sign, line=line(2))

        assert made.head(KIND, "a") == (moved, tag(b"two"))
        assert made.version(KIND, "a", 2) == sealed(2)
        assert made.journal(KIND, "a") == line(2)
        assert [line.row.action for line in made.audit(limit=1)] == ["stage"]

    @pytest.mark.parametrize("number", [1, 3])
    def test_a_head_does_not_move_without_the_journal(self, made: Store, number: int) -> None:
        """Somebody took over the rotation: neither version, nor head, nor record are left of the commit."""
        head = self.save(made)
        self.put(made, 1)
        before = self.rotations(made)

        with pytest.raises(Overtaken):
            made.commit(head.staged(2, 200), tag(), sealed(2), audited("stage"), sign, line=line(number))

        assert self.rotations(made) == before

    def test_the_journal_does_not_move_without_the_head(self, made: Store) -> None:
        """Somebody saved meanwhile: the line stays what it was."""
        head = self.save(made)
        self.save(made)
        self.put(made, 1)
        before = self.rotations(made)

        with pytest.raises(Conflict) as caught:
            made.commit(head.staged(2, 200), tag(), None, audited("stage"), sign, line=line(2))

        assert not isinstance(caught.value, Overtaken)
        assert self.rotations(made) == before

    def test_the_journal_by_the_page(self, made: Store) -> None:
        """By kind, then name, in the order of their bytes, each once."""
        names = ["b", "a/c", "a-b", "ab", "a.b", "a_b", "0"]
        for name in names:
            self.put(made, 1, name)
        found, after = [], ("", "")
        while page := made.journals(after, 3):
            found += [line.name for line in page]
            after = page[-1][:2]

        assert found == sorted(names)

    def test_lines_are_sealed_again(self, made: Store) -> None:
        """What is still as it was read; a line that moved on is left, and not counted."""
        old, other = self.put(made, 1), self.put(made, 1, "b")
        self.put(made, 2, "b", b"later")

        assert made.reseal([], [], [Relined(old, b"new"), Relined(other, b"new"), Relined(line(1, "c"), b"new")]) == 1

        assert made.journal(KIND, "a") == old._replace(sealed=b"new")
        assert made.journal(KIND, "b") == line(2, "b", b"later")

    def test_leases_are_taken_extended_and_released(self, made: Store) -> None:
        """What was taken is told to everybody, in the order of kind, name and end; taking is on record."""
        leases = [lease("1", "b", 900), lease("2", "a", 900), lease("3", "a", 800), lease("4", "a", 800)]
        for item in leases:
            made.take_lease(item, audited("lease", item.name), sign)
        other = self.beside(made)

        assert [item.id for item in other.leases()] == ["3", "4", "2", "1"]
        assert other.leases()[3] == leases[0]
        assert [line.row.action for line in made.audit_from(0, 10)] == ["lease"] * 4
        assert other.extend_lease("3", 2**62) is True
        assert [(item.id, item.until) for item in made.leases()][:3] == [("4", 800), ("2", 900), ("3", 2**62)]
        other.release_lease("4")
        other.release_lease("4")
        assert [item.id for item in made.leases()] == ["2", "3", "1"]
        assert made.extend_lease("4", 5) is False

    def test_a_lease_is_not_taken_twice(self, made: Store) -> None:
        """One of the same id stays as it is."""
        made.take_lease(lease("1", "a", 900), audited("lease"), sign)
        before = self.rotations(made)

        with pytest.raises(Conflict):
            made.take_lease(lease("1", "b", 901), audited("lease"), sign)

        assert self.rotations(made) == before

    def test_journal_and_leases_need_a_signature(self, made: Store) -> None:
        """What cannot be recorded does not happen."""
        self.put(made, 1)
        before = self.rotations(made)
        changes: list[Callable[[], object]] = [
            lambda: made.write_journal(line(2), audited(), refuse),
            lambda: made.write_journal(line(1, "b"), audited(), refuse),
            lambda: made.take_lease(lease("1", "a", 9), audited(), refuse),
        ]
        for change in changes:
            with pytest.raises(RuntimeError, match="no signature"):
                change()
            assert self.rotations(made) == before

    def test_everybody_has_the_same_clock(self, made: Store) -> None:
        """In microseconds, and it goes forward."""
        times = [store.now() for store in (made, self.beside(made), made)]

        assert times == sorted(times)
        assert all(type(time) is int and 1_700_000_000 < time / 1e6 < 5_000_000_000 for time in times)
