"""Arraylake: the vendor's own client, with the token that is current."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bondstone.blocks import ArraylakeToken, Handle, live
from bondstone.integrations.extras import need

if TYPE_CHECKING:
    import arraylake


def connect(name: str, *, ttl: float | None = None) -> "arraylake.Client":
    """An `arraylake.Client` for an `ArraylakeToken` block.

    Each call looks up the token anew and, after a rotation, goes by a new inner client. It pickles to the name of the block, where the
    original pickles its token. Repositories and sessions made by it keep the token they were made with: make them anew.
    """
    return _live_client()(live(ArraylakeToken, name, ttl=ttl))  # type: ignore[no-any-return]


@lru_cache
def _live_client() -> Any:
    vendor: Any = need("arraylake", "arraylake")

    class LiveClient(vendor.Client):  # type: ignore[misc]
        """Arraylake's client, whose token is read from a block."""

        def __init__(self, handle: Handle[ArraylakeToken]) -> None:
            self._handle = handle

        @property
        def aclient(self) -> Any:
            return _inner(self._handle.get())  # pyright: ignore[reportArgumentType]  # blocks are hashable

        def __reduce__(self) -> tuple[Any, ...]:
            return _arrived, (self._handle,)

    return LiveClient


@lru_cache(maxsize=16)
def _inner(block: ArraylakeToken) -> Any:
    """One per token and process. Token and service are given, never taken from the environment or a file."""
    vendor = need("arraylake", "arraylake")
    return vendor.AsyncClient(token=block.token.get_secret_value(), service_uri=block.service_uri)


def _arrived(handle: Handle[ArraylakeToken]) -> Any:
    return _live_client()(handle)
