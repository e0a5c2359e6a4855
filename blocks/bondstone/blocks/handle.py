"""A live view of a block: what is current, not what was current when the flow began."""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

from bondstone.blocks.block import Block
from bondstone.blocks.lease import leased
from bondstone.blocks.loading import load
from bondstone.registry import InvalidSettings, Reference, Registry, RegistryUnavailable, current_registry, registry_at

DEFAULT_TTL = 60.0
_MOST_THREADS = 64
_RETRY_SECONDS = 1.0  # after the registry did not answer


def seconds() -> float:
    """Seconds that also pass while the machine sleeps, where the system counts those."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class _Last[B](NamedTuple):
    """What the registry said last."""

    asked: float  # when it was asked
    due: float  # when to ask again
    hint: object  # what the registry's hint was before that
    block: B


class Handle[B: Block]:
    """The current version of a block, at most `ttl` seconds stale.

    An embedded registry tells at once whether anything changed, so there it is never stale. A server is asked again at about two thirds
    of `ttl`, or when it hints at a change. While the registry does not answer, the last value is served up to the registry's `max_ttl`,
    then `RegistryUnavailable` is raised. It pickles to the registry's URL (without a password) and id and the block's name; the key comes
    from the process that unpickles it. Threads and forked processes may share one.
    """

    def __init__(
        self,
        block: type[B],
        name: str,
        registry: Registry,
        *,
        ttl: float | None = None,
        clock: Callable[[], float] = seconds,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._block, self._registry, self._clock, self._jitter = block, registry, clock, jitter
        self.reference = Reference(block.kind, name)
        self.max_ttl = registry.max_ttl
        self.ttl = min(DEFAULT_TTL, self.max_ttl) if ttl is None else ttl
        if not 0 <= self.ttl <= self.max_ttl:
            raise InvalidSettings(
                f"ttl is {ttl} s and this registry allows 0 to {self.max_ttl}: see 'bondstone init --max-ttl'"
            )
        self._last: _Last[B] | None = None
        self._seen: dict[int, tuple[object, B]] = {}  # per thread, as a registry's state is
        self._asking, self._pid = threading.Lock(), os.getpid()

    def __repr__(self) -> str:
        return f"live({self._block.__name__}, {self.reference.name!r}, ttl={self.ttl:g})"

    @property
    def source(self) -> tuple[str, str]:
        """The registry's id and the reference: what this handle looks at."""
        return self._registry.id, self.reference

    @property
    def registry(self) -> Registry:
        """Where it looks."""
        return self._registry

    def get(self) -> B:
        """The block as it is now. Raises what `Block.load` raises."""
        if self._registry.tells_changes:
            return self._ask()
        now, last = self._clock(), self._last
        if last is not None and now < last.due and last.hint is self._registry.hint():
            return last.block
        if self._pid != os.getpid():
            self._asking, self._pid = threading.Lock(), os.getpid()
        # One thread asks. The others need not wait for it while what they have is good.
        if not self._asking.acquire(blocking=last is None or now - last.asked >= self.ttl):
            return cast("_Last[B]", last).block
        try:
            return self._ask() if self._last is last else cast("_Last[B]", self._last).block
        finally:
            self._asking.release()

    def refresh(self) -> B:
        """The block as the registry has it now, whatever was known: for a client whose credential was just refused."""
        self._seen.pop(threading.get_ident(), None)
        return self._ask()

    @contextmanager
    def lease(self, seconds: float) -> Iterator[B]:
        """The block, and the promise that its credentials are not retired within `seconds`, for work that cannot change them midway.

        Raises `Conflict` if that cannot be promised any more.
        """
        with leased(self.refresh, self._registry, seconds) as block:
            yield cast("B", block)

    def _ask(self) -> B:
        now, last = self._clock(), self._last
        try:
            hint, block = self._registry.hint(), self._changed()
        except RegistryUnavailable:
            if last is None or now - last.asked > self.max_ttl:
                raise
            self._last = last._replace(due=now + min(_RETRY_SECONDS, self.ttl))
            return last.block
        self._last = _Last(now, now + self.ttl * (0.6 + 0.07 * self._jitter()), hint, block)
        return block

    def _changed(self) -> B:
        """What the registry says now; nothing is loaded again while it is unchanged (3 µs instead of a load per child)."""
        state = self._registry.state()
        seen = self._seen.get(threading.get_ident())
        if seen is None or seen[0] is not state:
            if len(self._seen) >= _MOST_THREADS:
                self._seen.clear()
            block = cast("B", load(self._block, self.reference, self._registry))
            # A rotation counts on it that nobody serves a value longer than this.
            self.max_ttl = self._registry.max_ttl
            self.ttl = min(self.ttl, self.max_ttl)
            self._seen[threading.get_ident()] = seen = (state, block)
        return seen[1]

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (self._block, self.reference.name, self._registry.url, self._registry.id, self.ttl)


def live[B: Block](block: type[B], name: str, *, ttl: float | None = None) -> Handle[B]:
    """A handle on the current version of `name`.

    `ttl` is in seconds: 60, or the registry's `max_ttl` if that is less. A larger one is refused. On a registry that is shared, a process
    has one handle for all who ask for the same, so that a task that is called often asks the server seldom.
    """
    registry = current_registry()
    if registry.tells_changes:
        return Handle(block, name, registry, ttl=ttl)
    key = (block, name, *registry.address, ttl)
    if key not in _handles:
        _handles.setdefault(key, Handle(block, name, registry, ttl=ttl))
    return cast("Handle[B]", _handles[key])


def _arrived[B: Block](block: type[B], name: str, url: str, registry_id: str, ttl: float) -> Handle[B]:
    """One handle per process: a hundred tasks that carry it ask once."""
    key = (block, name, url, registry_id, ttl)
    if key not in _handles:
        _handles.setdefault(key, Handle(block, name, registry_at(url, registry_id), ttl=ttl))
    return cast("Handle[B]", _handles[key])


_handles: dict[tuple[type[Block], str, str, str, float | None], Handle[Any]] = {}
