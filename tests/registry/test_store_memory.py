"""The store in memory keeps the promises of all stores."""

import pytest

from bondstone.registry import Registry
from bondstone.registry.keys import RawKey
from bondstone.registry.memory import MemoryStore
from bondstone.registry.store import Store
from bondstone.registry.testing import StoreSuite


class TestMemoryStore(StoreSuite):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()


def test_a_registry_in_memory() -> None:
    """A registry needs nothing of a store that the memory has not."""
    registry = Registry.create(MemoryStore(), RawKey("key", "a test", b"k" * 32))

    registry.save("secret", "a", b"one")
    registry.save("secret", "a", b"two", overwrite=True)

    assert registry.load("secret", "a").content == b"two"
    assert registry.load("secret", "a", 1).content == b"one"
    assert [line.state for line in registry.history("secret", "a")] == ["previous", "current"]
    assert [item.name for item in registry.list()] == ["a"]
    assert len(registry.audit()) == 4
    registry.close()
