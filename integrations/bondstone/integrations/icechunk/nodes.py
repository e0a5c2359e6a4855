"""Groups and arrays by the store itself: zarr takes 2 ms to open the root, and as long to look into it."""

import json
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from bondstone.integrations.extras import need

if TYPE_CHECKING:
    import icechunk

GROUP = {"zarr_format": 3, "node_type": "group"}


async def node(store: "icechunk.IcechunkStore", path: str) -> dict[str, Any] | None:
    """The metadata of a group or array; None if there is none. Source: Zarr v3 core specification, "Metadata"."""
    found = await store.get(_metadata(path), _buffers())
    return None if found is None else json.loads(found.to_bytes())


async def put(store: "icechunk.IcechunkStore", path: str, attributes: dict[str, Any]) -> None:
    """Make a group, or give it these attributes instead of those that it has."""
    text = json.dumps({**GROUP, "attributes": attributes})
    await store.set(_metadata(path), _buffers().buffer.from_bytes(text.encode()))


async def children(store: "icechunk.IcechunkStore", path: str) -> list[str]:
    """The names of what is inside a group."""
    return [name async for name in store.list_dir(path) if name != "zarr.json"]


def wait[T](call: Coroutine[Any, Any, T]) -> T:
    """What an asynchronous call gives, as zarr waits for it. Each wait costs 0.2 ms."""
    result: T = need("zarr.core.sync", "icechunk").sync(call)
    return result


def _metadata(path: str) -> str:
    return f"{path}/zarr.json" if path else "zarr.json"


def _buffers() -> Any:
    return need("zarr.core.buffer", "icechunk").default_buffer_prototype()
