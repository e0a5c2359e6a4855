"""Root keys are replaced while the registry is used; nothing is lost by a kill, by a race, or by a key that is not there."""

import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bondstone.registry import (
    Conflict,
    KeyMissing,
    NotFound,
    Registry,
    Settings,
    Unreadable,
    WrongKey,
    rekey,
)
from bondstone.registry.keyring import Keyring, StaleKeyring
from bondstone.registry.keys import KeyProvider, Passphrase, RawKey, make_key_file
from bondstone.registry.store import START, Store
from tests.registry.processes import at_once, start

KIND = "secret"
ONE, TWO, THREE = (RawKey("key", "a test", letter * 32) for letter in (b"1", b"2", b"3"))
Open = Callable[..., Registry]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/registry.db"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Settings(url).store()
    yield store
    store.close()


@pytest.fixture
def another(url: str) -> Iterator[Open]:
    """Opens the registry once more, as another process would."""
    opened: list[Registry] = []

    def open_(provider: KeyProvider = ONE) -> Registry:
        opened.append(Registry.open(Settings(url).store(), provider))
        return opened[-1]

    yield open_
    for registry in opened:
        registry.close()


@pytest.fixture
def filled(store: Store, another: Open) -> Registry:
    """Versions, a deleted name, a pending version, and more names than a page holds."""
    Registry.create(Settings(store.url).store(), ONE, max_ttl=77).close()
    registry = another()
    for number in range(5):
        registry.save(KIND, "many", content(number), overwrite=True)
        registry.save(KIND, f"name-{number}", content(number))
    registry.delete(KIND, "name-4")
    registry.stage(KIND, "many", b"pending")
    return registry


def content(number: int) -> bytes:
    return f"content {number}".encode()


def assert_whole(registry: Registry) -> None:
    """All of `filled`, as it was."""
    assert [registry.load(KIND, "many", n + 1).content for n in range(5)] == [content(n) for n in range(5)]
    assert [registry.load(KIND, f"name-{n}").content for n in range(4)] == [content(n) for n in range(4)]
    assert registry.load(KIND, "many", 6).content == b"pending"
    assert registry.max_ttl == 77
    assert all(line.state != "unreadable" for line in registry.history(KIND, "many"))
    with pytest.raises(NotFound):
        registry.load(KIND, "name-4")


def keyring(store: Store, provider: KeyProvider = ONE) -> Keyring:
    return Keyring.unwrap(store.settings().registry_id, store.keyrings(), provider)


def root_keys(store: Store, provider: KeyProvider = ONE) -> list[int]:
    return [number for number, _ in keyring(store, provider).root_keys]


def under_others(store: Store, newest: int) -> int:
    """How many versions and heads another root key sealed."""
    versions = store.versions_of_other_keys(newest, START, 10_000)
    return len(versions) + len(store.heads_of_other_keys(newest, START[:2], 10_000))


def test_everything_is_sealed_again(filled: Registry, store: Store, another: Open) -> None:
    """Versions, deleted ones too, heads and settings are under the new key alone; the old one is gone; versions and times are the same."""
    before = filled.history(KIND, "many")
    seen: list[tuple[int, int]] = []

    done = rekey.rotate(store, [ONE], progress=lambda versions, heads: seen.append((versions, heads)))

    assert (done.newest, done.versions, done.heads, done.unreadable, done.removed) == (2, 11, 6, [], [1])
    assert seen[-1] == (11, 6)
    assert root_keys(store) == [2]
    assert under_others(store, 2) == 0
    assert store.settings().envelope[3:7] == (2).to_bytes(4)
    assert_whole(another())
    assert another().history(KIND, "many") == before


def test_more_than_a_page(filled: Registry, store: Store, another: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages meet without a gap, whatever their size."""
    for size in (1, 2, 3):
        monkeypatch.setattr(rekey, "PAGE", size)
        done = rekey.rotate(store, [ONE])
        assert (done.versions, done.heads, under_others(store, done.newest)) == (11, 6, 0)

    assert_whole(another())


def test_who_has_it_open_goes_on(filled: Registry, store: Store, another: Open) -> None:
    """Readers and writers from before the rotation look at the keyring once more, and then know the new key."""
    names = ["load", "save", "delete", "promote", "max_ttl", "history", "list"]
    old = {name: another() for name in names}
    old["load"].load(KIND, "name-1")
    rekey.rotate(store, [ONE])
    rekey.rotate(store, [ONE])

    assert old["load"].load(KIND, "name-1").content == content(1)
    assert old["max_ttl"].max_ttl == 77
    assert all(line.state != "unreadable" for line in old["history"].history(KIND, "many"))
    assert all(item.readable for item in old["list"].list())
    assert old["save"].save(KIND, "new", b"new").version == 1
    old["promote"].promote(KIND, "many")
    old["delete"].delete(KIND, "name-3")
    filled.set_max_ttl(78)

    assert under_others(store, 3) == 0
    assert another().max_ttl == 78


def test_a_late_writer_does_not_seal_under_the_old_key(filled: Registry, store: Store, another: Open) -> None:
    """One that sealed before the rotation, and commits after it, commits nothing: what it wrote could never be opened."""
    late = another()
    late.load(KIND, "name-0")  # it knows the old key only
    versions = len(store.history(KIND, "name-0"))
    sign = late._keyring.signer()
    envelope = late._records.seal(KIND, "fresh", 1, 5, b"x").envelope

    rekey.rotate(store, [ONE])

    from bondstone.registry.head import Head
    from bondstone.registry.store import Sealed

    head = Head(KIND, "fresh").saved(1, 5)
    with pytest.raises(StaleKeyring):
        late._commit(head, Sealed(1, 5, envelope), "save", 1, sign)
    assert store.head(KIND, "fresh") is None
    assert late.save(KIND, "name-0", b"again", overwrite=True).version == 2
    assert len(store.history(KIND, "name-0")) == versions + 1
    assert under_others(store, 2) == 0


def test_the_audit_log_outlives_the_old_key(filled: Registry, store: Store) -> None:
    """What proves its rows stays, sealed, in the keyring; the root key itself does not."""
    number = filled._keyring.newest
    old, proof = filled._keyring._keys[number].key, filled._keyring.audit_key(number)

    rekey.rotate(store, [ONE])

    after = keyring(store)
    assert after.audit_key(number) == proof
    assert old not in [key.key for key in (*after._keys.values(), *after.retired)]
    actions = [row.row.action for row in store.audit(limit=4)]
    assert actions[:3] == ["key remove", "key settings", "key rotate"]


ROTATE = """
import os, sys
from bondstone.registry import Settings, rekey
from bondstone.registry.keys import RawKey

rekey.PAGE = 3
store = Settings(sys.argv[1]).store()
os.write(1, b"ready\\n")
sys.argv[2:] and sys.stdin.readline()
while True:
    done = rekey.rotate(store, [RawKey("key", "a test", b"1" * 32)])
    os.write(1, f"{done.newest}\\n".encode())
    if sys.argv[2:]:
        break
"""


def kill(url: str, seconds: float) -> None:
    """Start to rotate again and again, and kill it."""
    child = start(ROTATE, url)
    assert child.stdout is not None
    ready = child.stdout.readline()
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    _, errors = child.communicate()
    assert ready, errors


def kills(count: int, url: str, store: Store, another: Open) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"{seed=}")  # noqa: T201 -- shown when the test fails
    moments = random.Random(seed)
    halfway = 0
    for _ in range(count):
        kill(url, moments.uniform(0, 0.04))
        halfway += under_others(store, root_keys(store)[-1]) > 0
        assert_whole(another())
        assert len(root_keys(store)) <= 2, "an interrupted rotation is ended, not piled up"

    rekey.rotate(store, [ONE])  # ends what was interrupted, or makes one more
    assert len(root_keys(store)) == 1
    assert under_others(store, root_keys(store)[0]) == 0
    assert_whole(another())
    assert halfway, "no kill came in the middle"


def test_a_kill_loses_nothing(filled: Registry, url: str, store: Store, another: Open) -> None:
    """Twenty kills at random moments: after each everything opens; in the end one root key is left, and nothing is under another."""
    kills(20, url, store, another)


@pytest.mark.slow
def test_two_hundred_kills(filled: Registry, url: str, store: Store, another: Open) -> None:
    """As above."""
    kills(200, url, store, another)


@pytest.mark.parametrize("pages", range(1, 10, 2))
def test_an_interruption_at_each_page(
    filled: Registry, store: Store, another: Open, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    """Everything opens in between, also by who has the old keyring; the next rotation ends this one, with the same key."""
    monkeypatch.setattr(rekey, "PAGE", 2)
    left = [pages]

    def interrupt(versions: int, heads: int) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rekey.rotate(store, [ONE], progress=interrupt)

    assert root_keys(store) == [1, 2]
    assert_whole(filled)
    assert_whole(another())
    assert rekey.rotate(store, [ONE]).newest == 2
    assert root_keys(store) == [2]
    assert_whole(filled)


def test_two_rotators_at_once(filled: Registry, url: str, store: Store, another: Open) -> None:
    """Four processes rotate at the same moment: each ends well, nothing is lost, one root key is left."""
    for _ in range(3):
        ended = at_once(ROTATE.replace("sys.argv[2:]", "True"), [url] * 4)
        assert [code for _, _, code in ended] == [0] * 4, [err for _, err, _ in ended]
        assert len(root_keys(store)) == 1
        assert under_others(store, root_keys(store)[0]) == 0

    assert_whole(another())


def test_writers_at_work(filled: Registry, store: Store, another: Open) -> None:
    """Three threads save, promote and delete while the key is replaced ten times or more: every acknowledged version opens."""
    saved: list[tuple[str, int, bytes]] = []
    faults: list[BaseException] = []
    ended = threading.Event()

    def write(name: str) -> None:
        mine = another()
        try:
            for number in range(10_000):
                if ended.is_set():
                    break
                text = f"{name} {number}".encode()
                saved.append((name, mine.save(KIND, name, text, overwrite=True).version, text))
                if number % 5 == 0:
                    mine.stage(KIND, name, text)
                    mine.promote(KIND, name)
        except BaseException as error:  # noqa: BLE001 -- told by the test
            faults.append(error)
        finally:
            mine.close()

    threads = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        for done in range(300):
            if done >= 10 and len(saved) > 10:  # not before the writers have had their turns
                break
            rekey.rotate(store, [ONE])
            time.sleep(0.02)
    finally:
        ended.set()
        for thread in threads:
            thread.join()

    assert not faults
    after = another()
    assert len(saved) > 10
    assert all(after.load(KIND, name, version).content == text for name, version, text in saved)
    assert rekey.rotate(store, [ONE]).unreadable == []


def test_a_slot_that_cannot_be_wrapped_again(filled: Registry, store: Store, another: Open) -> None:
    """It is named, with both ways out, and nothing is changed; with its key both slots open; without it the slot can be dropped."""
    rekey.add_slot(store, [ONE], "recovery", Passphrase("correct horse battery"))
    before = store.keyrings()

    wrong_ones: list[list[KeyProvider]] = [[ONE], [ONE, Passphrase("another passphrase")]]
    for wrong in wrong_ones:
        with pytest.raises(KeyMissing, match=r"'recovery'.*passphrase.*--with.*--drop-slot recovery"):
            rekey.rotate(store, wrong)
    assert store.keyrings() == before

    rekey.rotate(store, [ONE, Passphrase("correct horse battery")])
    assert root_keys(store) == root_keys(store, Passphrase("correct horse battery")) == [2]
    rekey.rotate(store, [ONE], drop=["recovery"])
    assert [row.slot for row in store.keyrings()] == ["primary"]
    with pytest.raises(WrongKey):
        another(Passphrase("correct horse battery"))


def test_nothing_is_wrapped_for_a_key_that_the_registry_names(filled: Registry, store: Store, tmp_path: Path) -> None:
    """A planted row, of any provider, does not get the root keys: rotation stops and names it."""
    asked: list[str] = []

    class Spy(RawKey):
        def wrap(self, *_: object) -> bytes:
            asked.append(self.key_id)
            return b""

    mine = store.keyrings()[0]
    spy = Spy("key", "an attacker", b"a" * 32)
    for provider, key_id in (
        ("aws-kms", "arn:aws:kms:eu-west-1:666666666666:key/x"),
        ("vault", "transit/theirs"),
        ("key", spy.key_id),
    ):
        with closing(sqlite3.connect(tmp_path / "registry.db", isolation_level=None)) as raw:
            row = (f"x-{provider}", provider, key_id, mine.generation, mine.changed_at, mine.wrapped)
            raw.execute("INSERT INTO keyrings VALUES (?, ?, ?, ?, ?, ?)", row)
        planted = store.keyrings()

        with pytest.raises(KeyMissing, match=key_id):
            rekey.rotate(store, [ONE, spy])  # even where its key is at hand: it does not open what lies there

        assert store.keyrings() == planted
        assert not asked
        with closing(sqlite3.connect(tmp_path / "registry.db", isolation_level=None)) as raw:
            raw.execute("DELETE FROM keyrings WHERE slot LIKE 'x-%'")


TAMPERINGS = {
    "another generation": "UPDATE keyrings SET generation = generation + 1 WHERE slot = 'recovery'",
    "another time": "UPDATE keyrings SET changed_at = 0 WHERE slot = 'recovery'",
    "cut": "UPDATE keyrings SET wrapped = substr(wrapped, 1, 100) WHERE slot = 'recovery'",
    "the other slot's": "UPDATE keyrings SET wrapped = (SELECT wrapped FROM keyrings WHERE slot = 'primary') WHERE slot = 'recovery'",
    "renamed": "UPDATE keyrings SET slot = 'spare' WHERE slot = 'recovery'",
    "numbers for texts": "UPDATE keyrings SET key_id = x'00ff', changed_at = 'noon' WHERE slot = 'recovery'",
    "no bytes": "UPDATE keyrings SET wrapped = 7 WHERE slot = 'recovery'",
}


@pytest.mark.parametrize("attack", TAMPERINGS.values(), ids=TAMPERINGS)
def test_a_tampered_slot(filled: Registry, store: Store, another: Open, tmp_path: Path, attack: str) -> None:
    """It does not open, `slots` says so, and the other slot is not concerned; rotation wraps nothing for it."""
    rekey.add_slot(store, [ONE], "recovery", TWO)
    with closing(sqlite3.connect(tmp_path / "registry.db", isolation_level=None)) as raw:
        raw.execute(attack)

    states = {slot.slot: slot.state for slot in rekey.slots(store, [ONE, TWO])}

    assert states.pop("primary") == "opens"
    assert list(states.values()) in (["unreadable"], ["shut"])
    with pytest.raises((Unreadable, WrongKey)):
        another(TWO)
    assert_whole(another(ONE))
    with pytest.raises(KeyMissing):
        rekey.rotate(store, [ONE, TWO])


def test_an_older_slot_brought_back(filled: Registry, store: Store, another: Open, tmp_path: Path) -> None:
    """It opens the older root keys only: told as stale; what is saved now is not readable by it."""
    rekey.add_slot(store, [ONE], "recovery", TWO)
    old = next(row for row in store.keyrings() if row.slot == "recovery")
    rekey.rotate(store, [ONE, TWO])
    with closing(sqlite3.connect(tmp_path / "registry.db", isolation_level=None)) as raw:
        raw.execute("DELETE FROM keyrings WHERE slot = 'recovery'")
        raw.execute("INSERT INTO keyrings VALUES (?, ?, ?, ?, ?, ?)", tuple(old))

    states = {slot.slot: slot.state for slot in rekey.slots(store, [ONE, TWO])}

    assert states == {"primary": "opens", "recovery": "stale"}
    with pytest.raises(WrongKey, match="root key 2"):
        another(TWO).load(KIND, "name-0")


def test_recovery_opens_when_the_primary_is_lost(filled: Registry, store: Store, another: Open) -> None:
    """Then a new primary is added, and the lost one removed."""
    rekey.add_slot(store, [ONE], "recovery", TWO)

    assert_whole(another(TWO))
    rekey.add_slot(store, [TWO], "new", THREE)
    rekey.remove_slot(store, [TWO], "primary")

    assert_whole(another(THREE))
    with pytest.raises(WrongKey):
        another(ONE)
    rekey.rotate(store, [TWO, THREE])
    assert_whole(another(THREE))


def test_the_last_slot_that_opens_stays(filled: Registry, store: Store) -> None:
    """A slot is removed only by who opens another one just now; a slot that is not there is told."""
    rekey.add_slot(store, [ONE], "recovery", TWO)
    before = store.keyrings()

    with pytest.raises(KeyMissing, match="only one that opens here"):
        rekey.remove_slot(store, [ONE], "primary")
    with pytest.raises(KeyMissing):
        rekey.rotate(store, [ONE], drop=["primary", "recovery"])
    with pytest.raises(NotFound):
        rekey.remove_slot(store, [ONE], "none")
    for slot, provider in (("primary", THREE), ("another", ONE)):
        with pytest.raises(Conflict):
            rekey.add_slot(store, [ONE], slot, provider)

    assert store.keyrings() == before


def test_a_lost_key_changes_nothing(filled: Registry, store: Store) -> None:
    """Who has no key, or another one, rotates nothing and adds nothing."""
    before = store.keyrings()

    acts: list[Callable[[], object]] = [
        lambda: rekey.rotate(store, [TWO]),
        lambda: rekey.add_slot(store, [TWO], "mine", TWO),
        lambda: rekey.rotate(store, [TWO], drop=["primary"]),
    ]
    for act in acts:
        with pytest.raises(WrongKey, match="expected"):
            act()
    with pytest.raises(KeyMissing):
        rekey.remove_slot(store, [TWO], "primary")

    assert store.keyrings() == before


def test_a_key_removed_while_running(url: str, tmp_path: Path, store: Store) -> None:
    """Who has the registry open goes on; who opens it anew is told; after a rotation by others the running one is told too."""
    path = tmp_path / "keys" / "key"
    provider = make_key_file(path, lambda line: None)
    Registry.create(Settings(url).store(), provider).close()
    running = Settings(url, key_file=str(path)).open()
    running.save(KIND, "a", b"first")
    path.unlink()

    assert running.save(KIND, "a", b"second", overwrite=True).version == 2
    assert running.load(KIND, "a").content == b"second"
    with pytest.raises(KeyMissing, match=str(path)):
        Settings(url, key_file=str(path)).open()
    rekey.add_slot(store, [provider], "recovery", TWO)
    rekey.remove_slot(store, [TWO], "primary")
    assert running.load(KIND, "a").content == b"second"
    rekey.rotate(store, [TWO])
    with pytest.raises(WrongKey, match="wrong key: expected"):
        running.load(KIND, "a")
    with pytest.raises(WrongKey):
        running.save(KIND, "a", b"third", overwrite=True)
    running.close()


def test_an_unreadable_record_keeps_the_old_key(filled: Registry, store: Store, another: Open, tmp_path: Path) -> None:
    """Everything else is sealed again; the record opens when it is brought back; giving it up removes the old key."""
    damage = "UPDATE versions SET sealed = CAST(sealed || x'00' AS BLOB) WHERE name = 'name-1'"
    repair = "UPDATE versions SET sealed = substr(sealed, 1, length(sealed) - 1) WHERE name = 'name-1'"
    with closing(sqlite3.connect(tmp_path / "registry.db", isolation_level=None)) as raw:
        raw.execute(damage)
        done = rekey.rotate(store, [ONE])
        assert (done.unreadable, done.removed) == (["secret/name-1@1"], [])
        assert another().load(KIND, "name-2").content == content(2)
        raw.execute(repair)
        assert another().load(KIND, "name-1").content == content(1)
        raw.execute(damage)

    assert rekey.rotate(store, [ONE], give_up=True).removed == [1]
    assert root_keys(store) == [2]
    assert another().load(KIND, "name-2").content == content(2)


@pytest.mark.parametrize(
    ("attack", "refused"),
    [
        ("UPDATE heads SET current = 1 WHERE name = 'many'", "secret/many"),
        ("UPDATE versions SET sealed = (SELECT sealed FROM versions WHERE name = 'name-2') WHERE name = 'name-1'", "secret/name-1@1"),
    ],
    ids=["head", "version"],
)  # fmt: skip
def test_a_rotation_does_not_seal_what_it_cannot_prove(
    filled: Registry, store: Store, another: Open, tmp_path: Path, attack: str, refused: str
) -> None:
    """What was changed in the database does not become genuine under the new key."""
    with closing(sqlite3.connect(tmp_path / "registry.db", isolation_level=None)) as raw:
        raw.execute(attack)

    done = rekey.rotate(store, [ONE])

    assert (done.unreadable, done.removed) == ([refused], [])
    with pytest.raises(Unreadable):
        another().load(KIND, refused.removeprefix("secret/").removesuffix("@1"))


def test_another_key_in_the_midst_of_a_rotation(filled: Registry, store: Store, another: Open) -> None:
    """A compromise is told while a rotation is under way: the key of that one is replaced too."""
    with pytest.raises(KeyboardInterrupt):
        rekey.rotate(store, [ONE], progress=lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))

    done = rekey.rotate(store, [ONE], another=True)

    assert (done.newest, done.removed, root_keys(store)) == (3, [1, 2], [3])
    assert_whole(another())


def test_a_newer_key_in_the_midst_of_a_rotation(filled: Registry, store: Store, another: Open) -> None:
    """The rotation that came later removes the keys; the earlier one removes none that still seals something."""
    left = [1]

    def add(versions: int, heads: int) -> None:
        if left.pop() if left else 0:
            rekey.change_keyring(store, [ONE], lambda found: found.added(9), "rotate")

    done = rekey.rotate(store, [ONE], progress=add)

    assert (done.newest, done.removed, root_keys(store)) == (2, [], [1, 2, 3])
    assert_whole(another())
    assert rekey.rotate(store, [ONE]).removed == [1, 2]
    assert_whole(another())


def test_a_planted_key_id_does_not_ask_the_provider_again(filled: Registry, store: Store, tmp_path: Path) -> None:
    """A remote key service is asked once more only if the keyring was changed."""
    calls: list[int] = []

    class Counting(RawKey):
        def unwrap(self, *words: object) -> bytes:
            calls.append(1)
            return super().unwrap(*words)  # type: ignore[arg-type]

    registry = Registry.open(Settings(store.url).store(), Counting("key", "a test", b"1" * 32))
    with closing(sqlite3.connect(tmp_path / "registry.db", isolation_level=None)) as raw:
        raw.execute(
            "UPDATE versions SET sealed = CAST(substr(sealed, 1, 3) || x'00000063' || substr(sealed, 8) AS BLOB) WHERE name = 'name-1'"
        )

    for _ in range(5):
        with pytest.raises(WrongKey, match="root key 99"):
            registry.load(KIND, "name-1")

    assert len(calls) == 1
    registry.close()
