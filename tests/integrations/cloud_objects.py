"""Objects as a cloud keeps them: whole, each with a tag and a generation, and replaced only on the condition that was given."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import count
from threading import Lock
from typing import NamedTuple

from tests.integrations.stand_in import Said


class Kept(NamedTuple):
    """One object."""

    data: bytes
    generation: int
    modified: datetime

    @property
    def tag(self) -> str:
        return f'"{self.generation:x}"'


Condition = Callable[[Kept | None], bool]  # of what is there now


class Objects:
    """The objects of one bucket or container, by key."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}
        self._generations, self._changing = count(1), Lock()

    def get(self, key: str) -> Kept | None:
        return self._kept.get(key)

    def put(self, key: str, data: bytes, condition: Condition) -> Kept | None:
        """None, and nothing changed, if the condition does not hold."""
        with self._changing:
            if not condition(self._kept.get(key)):
                return None
            new = self._kept[key] = Kept(data, next(self._generations), datetime.now(UTC))
            return new

    def delete(self, key: str) -> bool:
        with self._changing:
            return self._kept.pop(key, None) is not None

    def listed(self, prefix: str, delimiter: str) -> tuple[dict[str, Kept], list[str]]:
        """What begins with `prefix`, in order; with a delimiter what has another one behind it is one entry."""
        inside = {key: self._kept[key] for key in sorted(self._kept) if key.startswith(prefix)}
        if not delimiter:
            return inside, []
        groups = {key: key[len(prefix) :].partition(delimiter) for key in inside}
        folders = sorted({prefix + first + found for first, found, _ in groups.values() if found})
        return {key: kept for key, kept in inside.items() if not groups[key][1]}, folders


def sent(kept: Kept, wanted: str | None, headers: dict[str, str]) -> Said:
    """An object, or the part of it that a Range header wants. Source: RFC 9110, section 14."""
    headers = headers | {"ETag": kept.tag, "Last-Modified": http_time(kept.modified)}
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted or "")
    if found is None:
        return Said(200, kept.data, headers)
    first, last = found.groups()
    size = len(kept.data)
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last), size - 1) if first and last else size - 1
    if start > end:
        return Said(416, headers={"Content-Range": f"bytes */{size}"})
    return Said(206, kept.data[start : end + 1], headers | {"Content-Range": f"bytes {start}-{end}/{size}"})


def http_time(time: datetime) -> str:
    return format_datetime(time, usegmt=True)
