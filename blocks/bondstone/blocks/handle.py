"""A live view of a block: what is current, not what was current when the flow began."""

import threading
import time
from collections.abc import Callable
from typing import Any, cast

from bondstone.blocks.block import Block, _load
from bondstone.registry import InvalidSettings, Reference, Registry, RegistryUnavailable, current_registry, registry_at

DEFAULT_TTL = 60.0
_MOST_THREADS = 64


class Handle[B: Block]:
    """The current version of a block, at most `ttl` seconds stale.

    An embedded registry tells at once whether anything changed, so there it is never stale. While the registry does not answer, the last
    value is served up to the registry's `max_ttl`, then `RegistryUnavailable` is raised. It pickles to the registry's
    URL (without a password) and id and the block's name; the key comes from the process that unpickles it.
    """

    def __init__(
        self,
        block: type[B],
        name: str,
        registry: Registry,
        *,
        ttl: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._block, self._registry, self._clock = block, registry, clock
        self.reference = Reference(block.kind, name)
        self.max_ttl = registry.max_ttl
        self.ttl = min(DEFAULT_TTL, self.max_ttl) if ttl is None else ttl
        if not 0 <= self.ttl <= self.max_ttl:
            raise InvalidSettings(
                f"ttl is {ttl} s and this registry allows 0 to {self.max_ttl}: see 'bondstone init --max-ttl'"
            )
        self._last: tuple[float, B] | None = None
        self._seen: dict[int, tuple[object, B]] = {}  # per thread, as a registry's state is

    def __repr__(self) -> str:
        return f"live({self._block.__name__}, {self.reference.name!r}, ttl={self.ttl:g})"

    @property
    def source(self) -> tuple[str, str]:
        """The registry's id and the reference: what this handle looks at."""
        return self._registry.id, self.reference

    def get(self) -> B:
        """The block as it is now. Raises what `Block.load` raises."""
        asked = self._clock()
        try:
            return self._asked(asked)
        except RegistryUnavailable:
            if self._last is None or asked - self._last[0] > self.max_ttl:
                raise
            return self._last[1]

    def _asked(self, asked: float) -> B:
        """What the registry says now; nothing is loaded again while it is unchanged (3 µs instead of a load per child)."""
        state = self._registry.state()
        seen = self._seen.get(threading.get_ident())
        if seen is None or seen[0] is not state:
            if len(self._seen) >= _MOST_THREADS:
                self._seen.clear()
            block = cast("B", _load(self._block, self.reference, self._registry))
            self._seen[threading.get_ident()] = seen = (state, block)
        self._last = (asked, seen[1])
        return seen[1]

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (self._block, self.reference.name, self._registry.url, self._registry.id, self.ttl)


def live[B: Block](block: type[B], name: str, *, ttl: float | None = None) -> Handle[B]:
    """A handle on the current version of `name`.

    `ttl` is in seconds: 60, or the registry's `max_ttl` if that is less. A larger one is refused.
    """
    return Handle(block, name, current_registry(), ttl=ttl)


def _arrived[B: Block](block: type[B], name: str, url: str, registry_id: str, ttl: float) -> Handle[B]:
    """One handle per process: a hundred tasks that carry it ask once."""
    key = (block, name, url, registry_id, ttl)
    if key not in _handles:
        _handles[key] = Handle(block, name, registry_at(url, registry_id), ttl=ttl)
    return cast("Handle[B]", _handles[key])


_handles: dict[tuple[type[Block], str, str, str, float], Handle[Any]] = {}
