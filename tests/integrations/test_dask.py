"""Dask workers are checked before work is sent to them: which one lacks what is told."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import distributed
import pytest

from bondstone.blocks import BondstoneError, KeyMissing, NotFound, RegistryUnavailable, Secret, WrongKey
from bondstone.cli.demo.hunt import hunt_bytes
from bondstone.integrations.dask import BondstonePlugin

TOKEN = "s3ntinel-Value-8-of-a-worker"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    """Of two worker processes, which have our environment."""
    vendor: Any = distributed  # partly typed
    options = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with (
        vendor.LocalCluster(processes=True, local_directory=str(tmp_path / "dask"), **options) as cluster,
        vendor.Client(cluster) as client,
    ):
        yield client


def test_the_worker_that_lacks_the_key_is_named(client: Any, tmp_path: Path) -> None:
    """When it has it, work goes on; nothing but names and an id was sent to either."""
    Secret(value=TOKEN).save("token")
    plugin = BondstonePlugin("secret/token")
    _, lacking = sorted(client.scheduler_info()["workers"])
    none = str(tmp_path / "none/key")
    client.run(lambda: os.environ.update(BONDSTONE_KEY_FILE=none), workers=[lacking])

    with pytest.raises(KeyMissing, match=f"^Dask worker {lacking} \\(process [0-9]+\\): .*none/key"):
        client.register_plugin(plugin)
    client.run(lambda: os.environ.pop("BONDSTONE_KEY_FILE"), workers=[lacking])
    client.register_plugin(plugin)
    loaded = client.run(lambda: Secret.load("token").get()[-1])

    assert list(loaded.values()) == ["r", "r"]
    assert not hunt_bytes({"token": TOKEN}, cloudpickle.dumps(plugin), "plugin")


@dataclass
class Worker:
    """What the plugin is given by Dask."""

    address: str = "tcp://10.0.0.7:40001"


def refused(plugin: BondstonePlugin, kind: type[BondstoneError]) -> str:
    """What it says on a worker that has our environment; the text names the worker, no frame holds a value."""
    with pytest.raises(kind) as caught:
        asyncio.run(plugin.setup(Worker()))
    assert str(caught.value).startswith(f"Dask worker tcp://10.0.0.7:40001 (process {os.getpid()}): ")
    assert caught.value.__cause__ is caught.value.__context__ is None
    return str(caught.value)


def test_a_block_that_is_not_there() -> None:
    """Told before a task asks for it."""
    Secret(value=TOKEN).save("token")

    assert "no secret named 'none'" in refused(BondstonePlugin("secret/token", "secret/none"), NotFound)


def test_another_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its blocks of the same names are not the ones that were meant."""
    Secret(value="ours").save("token")
    plugin = BondstonePlugin("secret/token")
    monkeypatch.setenv("BONDSTONE_REGISTRY", f"sqlite:///{tmp_path}/theirs.db")
    Secret(value="theirs").save("token")

    assert "not the registry of the client" in refused(plugin, RegistryUnavailable)


def test_a_wrong_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the error that opening a registry with it gives."""
    Secret(value=TOKEN).save("token")
    plugin = BondstonePlugin()
    monkeypatch.setenv("BONDSTONE_KEY", "A" * 43)

    assert "wrong key" in refused(plugin, WrongKey)
