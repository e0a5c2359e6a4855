"""A PostgreSQL server that is restarted, killed, or stays away."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from bondstone.registry import NotFound, Registry, RegistryUnavailable
from bondstone.registry import postgresql as postgresql_module
from tests.postgres import Server
from tests.registry.postgresql.registries import KIND, opened

pytestmark = pytest.mark.xdist_group("postgres")


def test_a_restart_is_ridden_out(registry: Registry, postgres: Server) -> None:
    """What was open is not: the next load and the next save make a new connection, and nobody notices."""
    registry.save(KIND, "a", b"one")
    for how in (signal.SIGINT, signal.SIGQUIT):
        postgres.end(how)
        postgres.start()
        assert registry.load(KIND, "a").content == b"one"

        postgres.end(how)
        postgres.start()
        registry.save(KIND, "a", b"one", overwrite=True)

    assert registry.load(KIND, "a").version == 3


def test_a_load_waits_for_a_server_that_is_starting(registry: Registry, postgres: Server) -> None:
    """Asked while it is away, a load comes back as soon as it is back."""
    registry.save(KIND, "a", b"one")
    postgres.end()

    def load() -> bytes:
        with closing(registry._store):
            return registry.load(KIND, "a").content

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(load)
        time.sleep(0.5)
        assert not asked.done()
        postgres.start()

        assert asked.result(15) == b"one"


def test_a_server_that_stays_away(registry: Registry, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for a bounded time, then told; once it is back all goes on."""
    monkeypatch.setattr(postgresql_module, "RIDE_OUT_SECONDS", 0.5)
    registry.save(KIND, "a", b"one")
    postgres.end()
    try:
        with pytest.raises(RegistryUnavailable, match="does not answer"):
            registry.load(KIND, "a")
        with pytest.raises(RegistryUnavailable, match="does not answer"):
            registry.save(KIND, "a", b"two", overwrite=True)
    finally:
        postgres.start()

    assert registry.load(KIND, "a").content == b"one"
    assert registry.save(KIND, "a", b"two", overwrite=True).version == 2


def test_killed_under_load() -> None:
    """Three crashes while four threads save and two load: every acknowledged save is there, no number is used twice, none fails."""
    server = Server(fsync="on", full_page_writes="on")
    try:
        server.start()
        registry = opened(server.url(server.database()))
        acknowledged, errors = _under_load(registry, server)

        assert errors == []
        assert len(acknowledged) > 10
        assert len({(name, version) for name, version, _ in acknowledged}) == len(acknowledged)
        for name, version, content in acknowledged:
            assert registry.load(KIND, name, version).content == content
        for name in ("0", "1", "shared"):
            versions = [line.version for line in registry.history(KIND, name)]
            assert versions == sorted(version for saved, version, _ in acknowledged if saved == name)
        saves = [(row.name, row.version) for row in registry.audit() if row.action == "save"]
        assert sorted(saves) == sorted((name, version) for name, version, _ in acknowledged)
        registry.close()
    finally:
        server.close()


def _under_load(registry: Registry, server: Server) -> tuple[list[tuple[str, int, bytes]], list[Exception]]:
    acknowledged: list[tuple[str, int, bytes]] = []
    errors: list[Exception] = []
    over = threading.Event()

    def work(act: str, number: int) -> None:
        name = "shared" if number > 1 else str(number)
        while not over.is_set():
            content = os.urandom(8).hex().encode()
            try:
                if act == "save":
                    acknowledged.append((name, registry.save(KIND, name, content, overwrite=True).version, content))
                else:
                    registry.load(KIND, "shared")
            except NotFound:
                pass
            except Exception as error:  # noqa: BLE001 -- all of them are told by the test
                errors.append(error)
        registry._store.close()

    with ThreadPoolExecutor(6) as pool:
        working = [
            pool.submit(work, act, number) for act, number in [*(("save", n) for n in range(4)), *[("load", 9)] * 2]
        ]
        for _ in range(3):
            time.sleep(0.5)
            server.end(signal.SIGQUIT)
            server.start()
        time.sleep(0.5)
        over.set()
        for one in working:
            one.result(60)
    return acknowledged, errors
