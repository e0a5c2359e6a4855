"""Registries on the tests' own server."""

from collections.abc import Iterator

import pytest

from bondstone.registry import Registry
from tests.postgres import Server
from tests.registry.postgresql.registries import KEY, opened
from tests.registry.postgresql.wire import Wire


@pytest.fixture
def url(postgres: Server, database: str) -> str:
    return postgres.url(database)


@pytest.fixture
def registry(url: str) -> Iterator[Registry]:
    """An empty registry on the server."""
    made = opened(url)
    yield made
    made.close()


@pytest.fixture
def configured(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment names the server and a key."""
    monkeypatch.setenv("BONDSTONE_REGISTRY", url)
    monkeypatch.setenv("BONDSTONE_KEY", KEY)
    return url


@pytest.fixture
def wire(postgres: Server) -> Iterator[Wire]:
    """A proxy in front of the server."""
    wire = Wire(postgres.port)
    yield wire
    wire.close()
