"""What proves, inside the very commit, that a key was committed: a group that no second commit can make, and that outlives the history.

Commit metadata go when their snapshot expires; a group stays. Two sessions that make the same group conflict under every solver.
"""

import hashlib
import json
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from bondstone.integrations.extras import need

if TYPE_CHECKING:
    import icechunk

FOLDER = ".bondstone"
_ATTRIBUTE = "bondstone"
_LOOK_EVERY = 32  # commits, about: counting the markers costs a millisecond in a thousand


def marker(key: str) -> str:
    """The path of the group for a key, which may be any text."""
    return f"{FOLDER}/{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def read(session: "icechunk.Session", path: str) -> dict[str, Any] | None:
    """What was marked; None if nothing was."""
    found = _wait(session.store.get(f"{path}/zarr.json", _buffers()))
    return None if found is None else json.loads(found.to_bytes())["attributes"].get(_ATTRIBUTE, {})


def write(session: "icechunk.Session", path: str, facts: dict[str, Any]) -> None:
    """Mark a key, with what a later call with the same key is to be compared with. Values are JSON; none is secret."""
    _group(session, FOLDER, {})
    _group(session, path, {_ATTRIBUTE: facts})


def prune(session: "icechunk.Session", path: str, keep: int) -> None:
    """Forget the oldest keys but `keep`, now and then: up to a quarter more may be there."""
    if int(path[-8:], 16) % min(_LOOK_EVERY, keep // 4 + 1):
        return
    paths = [f"{FOLDER}/{name}" for name in _names(session)]
    if len(paths) <= keep + keep // 4:
        return
    oldest = sorted(paths, key=lambda path: (read(session, path) or {}).get("at", ""))
    for path in oldest[: len(paths) - keep]:
        _wait(session.store.delete_dir(path))


def _names(session: "icechunk.Session") -> list[str]:
    async def names() -> list[str]:
        return [name async for name in session.store.list_dir(FOLDER) if name != "zarr.json"]

    return _wait(names())


def _group(session: "icechunk.Session", path: str, attributes: dict[str, Any]) -> None:
    """By the store itself: zarr takes 2 ms to open the root and make a group."""
    node = json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes})
    buffer = _buffers().buffer.from_bytes(node.encode())
    _wait(session.store.set_if_not_exists(f"{path}/zarr.json", buffer))


def _buffers() -> Any:
    return need("zarr.core.buffer", "icechunk").default_buffer_prototype()


def _wait[T](call: Coroutine[Any, Any, T]) -> T:
    result: T = need("zarr.core.sync", "icechunk").sync(call)
    return result
