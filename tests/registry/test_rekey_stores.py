"""Root keys are replaced under writers on every store: what holds a late writer back is in each of them."""

import threading
from collections.abc import Callable, Iterator

import pytest

from bondstone.registry import Registry, Settings, rekey
from bondstone.registry.keys import RawKey
from bondstone.registry.memory import MemoryStore
from bondstone.registry.store import START, Store
from tests.postgres import Server

KIND, PROVIDER = "secret", RawKey("key", "a test", b"k" * 32)
Beside = Callable[[], Store]


@pytest.fixture(params=["memory", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgres"))])
def beside(request: pytest.FixtureRequest) -> Iterator[Beside]:
    """Gives the store, as each process has it."""
    if request.param == "memory":
        one = MemoryStore()
        yield lambda: one
        return
    server: Server = request.getfixturevalue("postgres")
    stores: list[Store] = []

    def another() -> Store:
        stores.append(Settings(registry=server.url(request.getfixturevalue("database"))).store())
        return stores[-1]

    yield another
    for store in stores:
        store.close()


def test_writers_at_work(beside: Beside) -> None:
    """Two writers with keyrings of their own, five rotations: every acknowledged version opens, and is under the newest key."""
    Registry.create(beside(), PROVIDER)
    saved: list[tuple[str, int, bytes]] = []
    faults: list[BaseException] = []
    ended = threading.Event()

    def write(name: str) -> None:
        try:
            mine = Registry.open(beside(), PROVIDER)
            for number in range(10_000):
                if ended.is_set():
                    break
                text = f"{name} {number}".encode()
                saved.append((name, mine.save(KIND, name, text, overwrite=True).version, text))
                assert mine.load(KIND, name).content == text
            mine.close()
        except BaseException as error:  # noqa: BLE001 -- told by the test
            faults.append(error)

    threads = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(2)]
    for thread in threads:
        thread.start()
    store = beside()
    try:
        while len(saved) < 20 and not faults:
            ended.wait(0.01)
        done = [rekey.rotate(store, [PROVIDER]) for _ in range(5)]
    finally:
        ended.set()
        for thread in threads:
            thread.join()

    assert not faults
    assert [rotated.newest for rotated in done] == [2, 3, 4, 5, 6]
    after = Registry.open(store, PROVIDER)
    assert all(after.load(KIND, name, version).content == text for name, version, text in saved)
    assert store.versions_of_other_keys(6, START, 9) == []
    assert store.heads_of_other_keys(6, START[:2], 9) == []
    after.close()
