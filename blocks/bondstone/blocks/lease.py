"""A lease on a block, and on every saved block inside it: their credentials live until it ends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from bondstone.blocks.block import Block
from bondstone.blocks.storing import children
from bondstone.registry import BondstoneError, Conflict, Registry
from bondstone.registry.store import Lease

_ATTEMPTS = 3


@contextmanager
def leased(load: Callable[[], Block], registry: Registry, seconds: float) -> Iterator[Block]:
    """What `load` gives, with a lease on each version that it consists of. Raises `Conflict` if one of them is to be retired sooner."""
    block, leases = _taken(load, registry, seconds)
    try:
        yield block
    finally:
        _release(registry, leases)


def _taken(load: Callable[[], Block], registry: Registry, seconds: float) -> tuple[Block, list[Lease]]:
    for attempt in range(_ATTEMPTS):
        block = load()
        try:
            return block, _take(block, registry, seconds)
        except Conflict:  # it was rotated just now: the next load gives the new one
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _take(block: Block, registry: Registry, seconds: float) -> list[Lease]:
    leases: list[Lease] = []
    try:
        for part in {_version(part) for part in (block, *children(block)) if part.is_saved}:
            leases.append(registry.leases.take(*part, seconds))
    except BondstoneError:
        _release(registry, leases)
        raise
    return leases


def _version(block: Block) -> tuple[str, str, int]:
    origin = block._origin
    assert origin is not None  # noqa: S101 -- it is saved
    return origin.reference.kind, origin.reference.name, origin.version


def _release(registry: Registry, leases: list[Lease]) -> None:
    for lease in leases:
        with suppress(BondstoneError):  # it ends by itself
            registry.leases.release(lease)
