"""Airflow: a secrets backend, whose connections and variables are blocks. Source: Airflow documentation, "Secrets Backend"."""

import json
import logging
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any

from pydantic import BaseModel

from bondstone.blocks import Block, BondstoneError, InvalidBlock, InvalidName, NotFound, SecretData, SecretStr, find
from bondstone.blocks.errors import guarded, strings
from bondstone.integrations.airflow_connections import KINDS, connection
from bondstone.registry import NoRegistry
from bondstone.registry.names import slug

_log = logging.getLogger(__name__)


class Lookup:
    """What Airflow asks of a backend. The arguments are the `backend_kwargs` of its configuration.

    A connection or variable `my_db` is the block of that name below the prefix, such as ``airflow/my_db``; with a prefix of None none is
    served. What is not there is None, so that Airflow asks the next backend. It does so after an error too, and keeps quiet about it: so it
    is logged here.
    """

    def __init__(self, connections_prefix: str | None = "", variables_prefix: str | None = "") -> None:
        self.connections_prefix, self.variables_prefix = connections_prefix, variables_prefix

    @guarded
    def get_conn_value(self, conn_id: str) -> str | None:
        """A connection as a URI or JSON: of the first of `KINDS` that has the name, and is a connection."""
        for kind in KINDS:
            block = self._found(kind, self.connections_prefix, conn_id)
            if block is not None and (value := connection(block)) is not None:
                return value
        return None

    @guarded
    def get_variable(self, key: str) -> str | None:
        """The value of a `Secret`; what is no text as JSON, for ``deserialize_json=True``."""
        block: Any = self._found("secret", self.variables_prefix, key)
        if block is None:
            return None
        value = block.get()
        if isinstance(value, bytes):
            raise InvalidBlock(f"{block.reference} holds bytes, which no variable of Airflow can: save it as text")
        return value if isinstance(value, str) else json.dumps(value)

    def mask(self, secret: str) -> None:
        """Keep it out of the logs of tasks; Airflow knows how."""

    def _found(self, kind: str, prefix: str | None, name: str) -> Block | None:
        if prefix is None:
            return None
        try:
            block = find(kind).load(slug(f"{prefix}/{name}"))
        except BondstoneError as error:
            if isinstance(error, NotFound | InvalidName) and not isinstance(error, NoRegistry):
                return None
            _log.error("bondstone: %s", error)
            raise
        for secret in secrets_of(block):
            self.mask(secret)
        return block


def secrets_of(value: object) -> Iterator[str]:
    """The texts of the secret fields of a block, and of those in it."""
    if isinstance(value, SecretStr | SecretData):
        yield from strings(value)
    elif isinstance(value, BaseModel | Mapping):
        items = value.__dict__ if isinstance(value, BaseModel) else value
        for item in items.values():
            yield from secrets_of(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from secrets_of(item)


@lru_cache
def _backend() -> Any:
    base: Any = import_module("airflow.secrets").BaseSecretsBackend

    class BondstoneSecretsBackend(Lookup, base):  # type: ignore[misc]
        """Connections and variables from blocks, masked in logs whatever they are called."""

        mask = staticmethod(import_module("airflow.sdk.log").mask_secret)

    return BondstoneSecretsBackend


def __getattr__(name: str) -> Any:
    """The class, made when Airflow asks for it: this module is imported without Airflow too."""
    if name == "BondstoneSecretsBackend":
        return _backend()
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
