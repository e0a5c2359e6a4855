"""What proves, inside the very commit, that a key was committed: a group that no second commit can make, and that outlives the history.

Commit metadata go when their snapshot expires; a group stays. Two sessions that make the same group conflict under every solver.
"""

import hashlib
from typing import TYPE_CHECKING, Any

from bondstone.integrations.icechunk import nodes

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
    found = nodes.wait(nodes.node(session.store, path))
    return None if found is None else found["attributes"].get(_ATTRIBUTE, {})


def write(session: "icechunk.Session", path: str, facts: dict[str, Any]) -> None:
    """Mark a key, with what a later call with the same key is to be compared with. Values are JSON; none is secret."""

    async def written() -> None:
        if await nodes.node(session.store, FOLDER) is None:
            await nodes.put(session.store, FOLDER, {})
        await nodes.put(session.store, path, {_ATTRIBUTE: facts})

    nodes.wait(written())


def prune(session: "icechunk.Session", path: str, keep: int) -> None:
    """Forget the oldest keys but `keep`, now and then: up to a quarter more may be there."""
    if int(path[-8:], 16) % min(_LOOK_EVERY, keep // 4 + 1):
        return
    paths = [f"{FOLDER}/{name}" for name in nodes.wait(nodes.children(session.store, FOLDER))]
    if len(paths) <= keep + keep // 4:
        return
    oldest = sorted(paths, key=lambda path: (read(session, path) or {}).get("at", ""))
    for path in oldest[: len(paths) - keep]:
        nodes.wait(session.store.delete_dir(path))
