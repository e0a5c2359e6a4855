"""Dask: a check of every worker before work is sent to it.

Tasks need nothing from here: `client.submit(partial(S3Upload("reports"), key="…"), path)` runs as it is.
"""

import os
from typing import Any

from bondstone.blocks import Block, BondstoneError, RegistryUnavailable
from bondstone.blocks.block import in_thread
from bondstone.blocks.errors import bare
from bondstone.integrations.extras import need
from bondstone.registry import current_registry

_WorkerPlugin: Any = need("distributed", "dask").WorkerPlugin


class BondstonePlugin(_WorkerPlugin):  # type: ignore[misc]
    """Every worker opens the registry that this process has, with a key of its own, and loads `references` once.

    ``client.register_plugin(BondstonePlugin("s3-bucket/reports"))`` raises the error of the first worker that cannot: `KeyMissing`,
    `WrongKey`, `NotFound`, `RegistryUnavailable` …, which names the worker. One that joins later writes it to its log. What is sent
    to the workers is the registry's id and the names.
    """

    name = "bondstone"

    def __init__(self, *references: str) -> None:
        self.registry_id, self.references = current_registry().id, references

    async def setup(self, worker: Any) -> None:
        """Called by Dask, on the worker."""
        await in_thread(lambda: self._check(f"{worker.address} (process {os.getpid()})"))

    def _check(self, worker: str) -> None:
        try:
            if current_registry().id != self.registry_id:
                raise RegistryUnavailable("this is not the registry of the client: set BONDSTONE_REGISTRY to that one")
            for reference in self.references:
                Block.load(reference)
            return
        except BondstoneError as error:
            fault = bare(type(error)(f"Dask worker {worker}: {error}"))
        raise fault
