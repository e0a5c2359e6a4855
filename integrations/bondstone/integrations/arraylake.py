"""Arraylake: the vendor's own client, with the token that is current."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Protocol

from bondstone.blocks import AccessDenied, ArraylakeRepo, ArraylakeToken, BondstoneError, ServiceUnavailable, live
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.commit import IcechunkCommit

if TYPE_CHECKING:
    import arraylake

DEADLINE = 60.0  # seconds for each call; by itself the vendor's client repeats a failing one for 91


class Token(Protocol):
    """Shows an `ArraylakeToken` as it is now; a handle does."""

    def get(self) -> ArraylakeToken: ...

    def refresh(self) -> ArraylakeToken: ...


@dataclass(frozen=True)
class ArraylakeCommit(IcechunkCommit):
    """`IcechunkCommit` on a repository that Arraylake keeps: `repo` is the name of an `ArraylakeRepo` block."""

    def __post_init__(self) -> None:
        if not self.repo.startswith(f"{ArraylakeRepo.kind}/"):
            object.__setattr__(self, "repo", f"{ArraylakeRepo.kind}/{self.repo}")


def connect(name: str, *, ttl: float | None = None) -> "arraylake.Client":
    """An `arraylake.Client` for an `ArraylakeToken` block.

    Each call looks up the token anew and, after a rotation, goes by a new inner client; a call whose token is refused is repeated once
    with the token that the registry has by then. Calls raise `AccessDenied` (the token is refused for good), `ServiceUnavailable` (no
    answer within 60 s), and for all else the vendor's own errors. It pickles to the name of the block, where the original pickles its
    token. Repositories and sessions made by it keep, and pickle, the token they were made with: `icechunk.connect("arraylake-repo/NAME")`
    gives one that does not.
    """
    return _live_client()(live(ArraylakeToken, name, ttl=ttl))  # type: ignore[no-any-return]


@lru_cache
def _live_client() -> Any:
    vendor: Any = need("arraylake", "arraylake")

    class LiveClient(vendor.Client):  # type: ignore[misc]
        """Arraylake's client, whose token is read from a block."""

        def __init__(self, handle: Token, deadline: float = DEADLINE) -> None:
            self._handle, self._deadline = handle, deadline

        @property
        def aclient(self) -> Any:
            return _Live(self._handle, _inner, self._deadline)  # pyright: ignore[reportArgumentType]  # blocks are hashable

        def __reduce__(self) -> tuple[Any, ...]:
            return _arrived, (self._handle,)

    return LiveClient


@dataclass(frozen=True)
class _Live:
    """What `of` makes of the block: its calls are made with the token of the moment, and once more after a refusal."""

    handle: Token
    of: Callable[[ArraylakeToken], Any]
    deadline: float

    def __getattr__(self, name: str) -> Any:
        if name == "_metastore_for_org":  # the vendor's client makes its listings by this
            return lambda org: _Live(self.handle, lambda block: self.of(block)._metastore_for_org(org), self.deadline)
        value = getattr(self.of(self.handle.get()), name)
        if not iscoroutinefunction(value):
            return value

        async def call(*args: Any, **options: Any) -> Any:
            return await self._called(name, args, options)

        return call

    async def _called(self, name: str, args: Any, options: Any) -> Any:
        block = self.handle.get()
        answer, fault = await self._tried(block, name, args, options)
        if isinstance(fault, AccessDenied):
            fresh = await asyncio.to_thread(self.handle.refresh)
            if fresh != block:
                answer, fault = await self._tried(fresh, name, args, options)
        if fault is not None:
            raise fault
        return answer

    async def _tried(
        self, block: ArraylakeToken, name: str, args: Any, options: Any
    ) -> tuple[Any, BondstoneError | None]:
        where, transport = f"Arraylake at {block.service_uri}", need("httpx", "arraylake").TransportError
        call = getattr(self.of(block), name)
        try:
            return await asyncio.wait_for(call(*args, **options), self.deadline), None
        except TimeoutError:
            return None, ServiceUnavailable(f"{where} did not answer within {self.deadline:.0f} s: try again")
        except transport as error:  # it holds the request, with the token in its headers
            return None, ServiceUnavailable(
                f"{where} cannot be reached ({type(error).__name__}): try again, or correct the service_uri of {block.reference}"
            )
        except (ValueError, need("icechunk", "arraylake").IcechunkError) as error:
            if not refused(error):
                raise
            return None, AccessDenied(f"{where} refused the token: save a new version of {block.reference}")


def metastore(token: Token, org: str, deadline: float = DEADLINE) -> Any:
    """The vendor's own calls to the service for one organization, which are coroutines: `arraylake.asyn.sync` waits for them.

    They raise what those of `connect` do.
    """
    return _Live(token, lambda block: _inner(block)._metastore_for_org(org), deadline)  # pyright: ignore[reportArgumentType]


def refused(error: Exception) -> bool:
    """Whether Arraylake means the token. From a repository's credentials it comes by way of icechunk, which has it only in its text."""
    status = getattr(error, "status_code", None)
    return status == 401 if status is not None else bool(re.search(r"\b401\b|Unauthorized", str(error)))


@lru_cache(maxsize=16)
def _inner(block: ArraylakeToken) -> Any:
    """One per token and process. Token and service are given, never taken from the environment or a file."""
    vendor = need("arraylake", "arraylake")
    return vendor.AsyncClient(token=block.token.get_secret_value(), service_uri=block.service_uri)


def _arrived(handle: Token) -> Any:
    return _live_client()(handle)
