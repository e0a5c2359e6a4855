"""Which files a group of virtual data was made from: URL and etag of each, in one attribute of that very group.

What replaces the group takes the attribute along. It is text, so that whoever reads the dataset can store it anywhere.
"""

import json
from typing import TYPE_CHECKING, Any

from bondstone.integrations.extras import need

if TYPE_CHECKING:
    import icechunk

_ATTRIBUTE = "bondstone_sources"


def read(node: Any) -> dict[str, str]:
    """Etags by URL, of a zarr group; None is a group that is not there."""
    return json.loads(node.attrs.get(_ATTRIBUTE, "{}")) if node is not None else {}


def write(node: Any, sources: dict[str, str]) -> None:
    """In place of what was recorded."""
    node.attrs[_ATTRIBUTE] = json.dumps(sources, ensure_ascii=False)


def group(session: "icechunk.Session", path: str | None) -> Any:
    """The zarr group; None if it is not there."""
    zarr = need("zarr", "icechunk")
    try:
        return zarr.open_group(session.store, path=path or "", mode="r" if session.read_only else "r+")
    except zarr.errors.GroupNotFoundError:
        return None
