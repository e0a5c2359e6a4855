"""Zarr's own store on obstore, with keys that may change underneath, and which never takes a removed chunk for an empty one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Self

from bondstone.blocks import Handle, NotFound, S3Bucket
from bondstone.integrations.extras import need
from bondstone.integrations.s3 import clients
from bondstone.integrations.s3.errors import failures, refused, translated
from bondstone.integrations.zarr.objects import METADATA

_object_store: Any = need("zarr.storage", "icechunk").ObjectStore


class LiveStore(_object_store):  # type: ignore[misc]
    """The objects below `path`. It pickles to the name of the block."""

    def __init__(self, handle: Handle[S3Bucket], path: str, *, read_only: bool = False) -> None:
        super().__init__(clients.store(handle, path), read_only=read_only)
        self.handle, self.path = handle, path

    def with_read_only(self, read_only: bool = False) -> Self:
        return type(self)(self.handle, self.path, read_only=read_only)

    def __repr__(self) -> str:
        return f"LiveStore({self.handle!r}, {self.path!r})"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.handle, self.path, self.read_only)

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """Raises `NotFound` if the snapshot was removed: Zarr would fill the hole with what stands for missing values."""
        found = await self._twice(super().get, key, prototype, byte_range)
        if found is None and self.read_only and not await self.exists(METADATA):
            raise NotFound(f"there is no snapshot {self.path} any more: open the newest, or keep them longer")
        return found

    async def set(self, key: str, value: Any) -> None:
        await self._twice(super().set, key, value)

    async def set_if_not_exists(self, key: str, value: Any) -> None:
        """Not at once, since not every server can; nobody else knows a prefix that is being written."""
        if not await self.exists(key):
            await self.set(key, value)

    async def exists(self, key: str) -> bool:
        return bool(await self._twice(super().exists, key))

    async def delete(self, key: str) -> None:
        await self._twice(super().delete, key)

    async def _twice(self, call: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """A refused request is repeated once, with the keys that the block has by then."""
        with translated(self.handle.get()):
            try:
                return await call(*arguments)
            except failures() as error:
                if not refused(error):
                    raise
                await asyncio.to_thread(self.handle.refresh)
            self.store = clients.store(self.handle, self.path)
            return await call(*arguments)


def _unpickled(handle: Handle[S3Bucket], path: str, read_only: bool) -> LiveStore:
    return LiveStore(handle, path, read_only=read_only)
