"""A PostgreSQL server that is there and says nothing: stopped in its tracks, with every socket open."""

import sys
import time
from collections.abc import Callable

import pytest

from bondstone.registry import Registry, RegistryUnavailable
from bondstone.registry import postgresql as postgresql_module
from tests.postgres import Server
from tests.registry.postgresql.registries import KIND, opened
from tests.registry.postgresql.wire import Wire, over_the

pytestmark = [
    pytest.mark.xdist_group("postgres"),
    pytest.mark.skipif(sys.platform != "linux", reason="finds the server's processes in /proc"),
]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds in place of half a minute: what is waited for is the same."""
    monkeypatch.setattr(postgresql_module, "SILENCE_SECONDS", 1.0)
    monkeypatch.setattr(postgresql_module, "TURN_SECONDS", 1.5)
    monkeypatch.setattr(postgresql_module, "RIDE_OUT_SECONDS", 1.0)
    monkeypatch.setitem(postgresql_module._DEFAULTS, "connect_timeout", "2")


def seconds(ask: Callable[[], object], expected: str) -> float:
    """How long it took to refuse."""
    started = time.monotonic()
    with pytest.raises(RegistryUnavailable, match=expected):
        ask()
    return time.monotonic() - started


def test_nothing_hangs(url: str, postgres: Server) -> None:
    """A load, a save, a listing and a new client end in bounded time; when the server goes on, so do they."""
    registry = opened(url)
    registry.save(KIND, "a", b"one")
    asks: list[Callable[[], object]] = [
        lambda: registry.load(KIND, "a"),
        lambda: registry.save(KIND, "a", b"two", overwrite=True),
        lambda: registry.list(),
        lambda: opened(url),
    ]

    with postgres.frozen():
        took = [seconds(ask, "does not answer") for ask in asks]

    assert max(took) < 12
    assert registry.load(KIND, "a").content == b"one"
    assert registry.save(KIND, "a", b"two", overwrite=True).version == 2
    registry.close()


def test_one_backend_that_is_frozen(url: str, postgres: Server) -> None:
    """Where only this client's own backend says nothing, another one answers: the load succeeds."""
    registry = opened(url)
    registry.save(KIND, "a", b"one")
    mine = registry._store.session()._raw.info.backend_pid

    with postgres.frozen([mine]):
        assert registry.load(KIND, "a").content == b"one"
        assert registry._store.session()._raw.info.backend_pid != mine

    registry.close()


def test_frozen_in_the_moment_of_a_commit(wire: Wire, url: str, postgres: Server) -> None:
    """The error says that nobody knows; the save that the server then makes is whole, is on record, and is there once."""
    with over_the(wire, url) as registry:
        registry.save(KIND, "a", b"one")
        frozen = postgres.frozen()

        wire.at_commit = frozen.__enter__
        try:
            took = seconds(lambda: registry.save(KIND, "a", b"two", overwrite=True), "unknown whether")
        finally:
            frozen.__exit__(None, None, None)

        assert took < 12
        assert registry.load(KIND, "a").version in (1, 2)
        saved = registry.save(KIND, "a", b"three", overwrite=True).version
        numbers = [row.version for row in registry.audit() if row.action == "save"]
        assert [line.version for line in registry.history(KIND, "a")] == sorted(numbers) == list(range(1, saved + 1))


def test_a_slow_answer_is_waited_for(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the length of an answer is bounded but the silence in it: one that keeps coming is heard to its end."""
    raw = registry._store.session()._raw
    chatty = b"SELECT repeat('x', 500000), pg_sleep(0.2) FROM generate_series(1, 10)"

    assert len(raw.execute(chatty).fetchall()) == 10


def test_who_waits_for_a_turn_is_not_silent_for_too_long(url: str, postgres: Server, database: str) -> None:
    """A writer that waits for others may wait for as long as the server lets it; then it is told so, by the server."""
    registry = opened(url)
    with postgres.connect(database) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (postgresql_module._LOCK,))
        mine = registry._store.session()._raw
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(postgresql_module, "_BEGIN", postgresql_module._BEGIN.replace(b"'15s'", b"'1200ms'"))
            assert seconds(lambda: registry.save(KIND, "a", b"x"), "another process writes it") >= 1.2
        assert not mine.closed
    assert registry.save(KIND, "a", b"x").version == 1
    registry.close()
