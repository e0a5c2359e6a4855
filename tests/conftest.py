"""No test meets the real home, the real environment, or another test's registry."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bondstone.blocks import redact
from bondstone.registry import Registry
from bondstone.registry import settings as settings_module
from bondstone.registry.keys import RawKey
from bondstone.registry.sql import SqlStore
from bondstone.registry.sqlite import SqliteDatabase

pytest_plugins = ["pytester", "tests.leaks.watch"]

Make = Callable[[str], Registry]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own, without any setting; what was opened under it is closed again."""
    for name in [n for n in os.environ if n.startswith(("BONDSTONE_", "XDG_"))]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    yield folder
    for registry in settings_module._opened.values():
        registry.close()
    settings_module._opened.clear()
    redact.uninstall()  # a load under Prefect installs it for the rest of the process


@pytest.fixture
def data(home: Path) -> Path:
    """Where the default registry lies, once there is one."""
    return home / ".local/share/bondstone/registry.db"


@pytest.fixture
def key_path(home: Path) -> Path:
    """Where the default key lies, once there is one."""
    return home / ".config/bondstone/key"


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Opens the registry in `tmp_path/<name>.db` (made if there is none), whose key is the letter `k` 32 times."""
    made: list[Registry] = []

    def at(name: str) -> Registry:
        store = SqlStore(SqliteDatabase(tmp_path / f"{name}.db"))
        provider = RawKey("key", "a test", b"k" * 32)
        made.append(Registry.open(store, provider) if store.exists() else Registry.create(store, provider))
        return made[-1]

    yield at
    for registry in made:
        registry.close()


@pytest.fixture
def registry(make: Make) -> Registry:
    """An empty registry in `tmp_path/registry.db`."""
    return make("registry")


@pytest.fixture
def path(registry: Registry, tmp_path: Path) -> Path:
    """The file of `registry`."""
    return tmp_path / "registry.db"
