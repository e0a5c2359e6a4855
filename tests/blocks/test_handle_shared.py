"""Handles on a real PostgreSQL, in real processes: heard by NOTIFY, and one load per process, not per task."""

import json
import time

import pytest

from bondstone.blocks import Secret, live
from bondstone.registry import current_registry
from tests.postgres import Server
from tests.registry.conftest import database, postgres
from tests.registry.processes import run

__all__ = ["database", "postgres"]


@pytest.fixture
def shared(postgres: Server, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BONDSTONE_REGISTRY", postgres.url(database))
    monkeypatch.setenv("BONDSTONE_KEY", "A" * 43)


def loads() -> int:
    return sum(row.action == "load" for row in current_registry().audit())


def until(what: object, seconds: float = 10) -> float:
    """How long it took until `what()` was true."""
    began = time.monotonic()
    while not what():  # type: ignore[operator]
        assert time.monotonic() - began < seconds
        time.sleep(0.01)
    return time.monotonic() - began


def test_a_change_is_heard(shared: None) -> None:
    """Long before `ttl`; and as long as nothing is heard, nothing is asked."""
    Secret(value="first").save("a")
    secret = live(Secret, "a", ttl=300)
    secret.get()
    before = loads()
    assert [secret.get().get() for _ in range(100)] == ["first"] * 100
    assert loads() == before

    run('from bondstone.blocks import Secret; Secret(value="second").save("a", overwrite=True)')

    assert until(lambda: secret.get().get() == "second") < 5


def test_whoever_only_reads_is_no_news(shared: None) -> None:
    """The audit log is written each second; that wakes nobody."""
    Secret(value="first").save("a")
    heard = current_registry().hint()

    run('from bondstone.blocks import Secret; Secret.load("a")')
    time.sleep(0.3)

    assert current_registry().hint() is heard


DASK = """
from functools import partial
from distributed import Client, LocalCluster
from bondstone.blocks import Secret, live

def length(handle, number):
    return len(handle.get().get())

if __name__ == "__main__":
    handle = live(Secret, "a", ttl=300)
    options = {"n_workers": 2, "threads_per_worker": 4, "processes": True, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        print(sum(client.gather([client.submit(length, handle, number, pure=False) for number in range(16)])))
"""


def test_sixteen_dask_tasks_cost_a_load_per_worker(shared: None) -> None:
    """They carry the name; each worker process has one handle for all of them."""
    Secret(value="secret").save("a")

    assert int(run(DASK)) == 16 * 6

    rows = [row for row in current_registry().audit() if row.action == "load"]
    assert 1 <= len(rows) <= 2, json.dumps([row.actor for row in rows])
