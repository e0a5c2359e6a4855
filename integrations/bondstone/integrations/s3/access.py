"""One task's way to its bucket: stores and clients that are kept, and what follows when the server refuses a key."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from bondstone.blocks import Handle, S3Bucket, live
from bondstone.integrations.aws import LiveKeys
from bondstone.integrations.s3 import clients
from bondstone.integrations.s3.errors import failures, refused, translated
from bondstone.integrations.s3.place import Place
from bondstone.registry import Registry, current_registry

if TYPE_CHECKING:
    from obstore.store import S3Store


class Task(Protocol):
    """What every S3 task has."""

    @property
    def bucket(self) -> str: ...
    @property
    def ttl(self) -> float | None: ...


@dataclass
class Access:
    """A bucket during one call of a task. Threads may share it."""

    handle: Handle[S3Bucket]
    block: S3Bucket  # in the version that was used last

    @classmethod
    def of(cls, task: Task) -> "Access":
        return cls.to(task.bucket, task.ttl)

    @classmethod
    def to(cls, name: str, ttl: float | None) -> "Access":
        """Raises what `Block.load` raises, and what finding the keys raises: obstore would hide why its provider fails."""
        handle = _handle(current_registry(), name, ttl)
        block = handle.get()
        if not block.anonymous:
            LiveKeys(handle).keys()
        return cls(handle, block)

    @property
    def place(self) -> Place:
        return Place.of(self.block)

    def store[T](self, work: Callable[["S3Store"], T], *, again: bool = True) -> T:
        """`work` with an obstore store. A refusal is answered once, by a new store with the keys as they are by then.

        Without `again`, for what cannot be sent a second time, it is an error at once.
        """
        with translated(self.block):
            store = _kept(self)
            try:
                return work(store)
            except failures() as error:
                if not again or not refused(error):
                    raise
            self.block = self.handle.refresh()
            return work(_renewed(self, store))

    def client[T](self, work: Callable[[Any], T]) -> T:
        """`work` with a boto3 client, which answers a refusal by itself, once for each request."""
        with translated(self.block):
            return work(_kept_client(self))

    def key(self, key: str) -> str:
        """The key in the bucket, for boto3: obstore's stores know the prefix of the block."""
        return f"{self.place.prefix}/{key}" if self.place.prefix else key


@lru_cache(maxsize=64)
def _handle(registry: Registry, name: str, ttl: float | None) -> Handle[S3Bucket]:
    """One for all calls: it loads the block again when it has changed, where a new one would load it each time."""
    return live(S3Bucket, name, ttl=ttl)


type _Key = tuple[str, str, float, Place, int]
_stores: "dict[_Key, S3Store]" = {}
_clients: dict[_Key, Any] = {}
_renewing = threading.Lock()


def _key(access: Access) -> _Key:
    return (*access.handle.source, access.handle.ttl, access.place, os.getpid())


def _kept(access: Access) -> "S3Store":
    """One store per bucket and process: it keeps connections open, and its keys are live."""
    key = _key(access)
    return _stores.get(key) or _stores.setdefault(key, clients.store(access.handle))


def _renewed(access: Access, refused: "S3Store") -> "S3Store":
    """Another store than the one that was refused: of sixteen threads that were, the first makes it."""
    key = _key(access)
    with _renewing:
        if _stores.get(key) in (None, refused):
            _stores[key] = clients.store(access.handle)
        return _stores[key]


def _patience() -> dict[str, Any]:
    """As long for all tries of boto3 as for one request of obstore: botocore's own would be five minutes."""
    return {"read_timeout": clients.ANSWER / 3, "retries": {"total_max_attempts": 3}}


def _kept_client(access: Access) -> Any:
    key = _key(access)
    return _clients.get(key) or _clients.setdefault(key, clients.client_of(access.handle, **_patience()))
