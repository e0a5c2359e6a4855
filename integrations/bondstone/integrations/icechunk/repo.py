"""A repository as tasks need it, whichever kind of block leads to it."""

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from bondstone.blocks import ArraylakeRepo, Block, Handle, IcechunkRepo, live
from bondstone.integrations.icechunk.containers import Container, entry_of
from bondstone.integrations.icechunk.errors import translated
from bondstone.integrations.icechunk.repository import commit_lock, exists, opened, shared
from bondstone.integrations.icechunk.storage import uri

if TYPE_CHECKING:
    import icechunk


class Repo(Protocol):
    """Leads from the name of a block to the vendor's repository. It pickles to that name."""

    @property
    def handle(self) -> Handle[Any]:
        """The block, which has a `reference`, a `version` and a `branch`. What refreshes it refreshes the repositories that are open."""
        ...

    def open(self) -> "icechunk.Repository":
        """The vendor's repository, with the credentials that are current. Raises our errors."""
        ...

    def exists(self) -> bool:
        """Whether there is one yet, for those who only read: opening may make it."""
        ...

    def uri(self) -> str:
        """Where it is, for receipts."""
        ...

    def signer(self) -> Block | None:
        """The block whose credentials are used, for receipts and errors."""
        ...

    def signing(self) -> Any:
        """What requests are signed with now, to be compared."""
        ...

    def renewed(self, before: Any, /) -> bool:
        """After a refusal of `before`: whether there is something else by now, whatever was known of it."""
        ...

    def container(self, url: str, /) -> Container:
        """Where a file lies that virtual chunks are to be parts of. Raises `InvalidBlock` if nobody has let the repository refer to it."""
        ...

    def lock(self) -> AbstractContextManager[Any]:
        """What a commit must hold, where the storage cannot compare and swap."""
        ...

    def translated(self) -> AbstractContextManager[None]:
        """Errors of the vendor as ours."""
        ...


def repo(name: str, *, ttl: float | None = None) -> Repo:
    """The repository of an `IcechunkRepo` block by its name, or of any block that leads to one as `kind/name`: `arraylake-repo/ocean`.

    Raises what `Block.load` raises.
    """
    kind, _, rest = name.partition("/")
    if kind == ArraylakeRepo.kind:
        kept: Callable[..., Repo] = importlib.import_module("bondstone.integrations.arraylake_repo").Kept
        return kept(live(ArraylakeRepo, rest, ttl=ttl))
    return Own(shared(live(IcechunkRepo, rest if kind == IcechunkRepo.kind else name, ttl=ttl)))


def connect(name: str, *, ttl: float | None = None) -> "icechunk.Repository":
    """The repository of an `IcechunkRepo` block, made if there is none yet, or of `arraylake-repo/name`, which is not.

    Its credentials are asked for again after at most `ttl` seconds; it, its sessions and forks pickle to the name of the block. Raises
    `AccessDenied`, `NotFound` (no such bucket; Arraylake has no such repository), `ServiceUnavailable`.
    """
    return repo(name, ttl=ttl).open()


class Own:
    """A repository in a bucket or folder of one's own."""

    def __init__(self, handle: Handle[IcechunkRepo]) -> None:
        self.handle = handle

    def open(self) -> "icechunk.Repository":
        """By the block as it is now; made if there is none yet."""
        return opened(self.handle)

    def exists(self) -> bool:
        """By a look at the storage."""
        return exists(self.handle)

    def uri(self) -> str:
        """Of the bucket and prefix, or of the folder."""
        return uri(self.handle.get())

    def signer(self) -> Block | None:
        """The credentials of the bucket."""
        block = self.handle.get()
        return block.bucket.credentials if block.bucket else None

    def signing(self) -> IcechunkRepo:
        """The block, with its credentials."""
        return self.handle.get()

    def renewed(self, before: IcechunkRepo, /) -> bool:
        """Whether the registry has another."""
        return self.handle.refresh() != before

    def container(self, url: str, /) -> Container:
        """By an entry of the block."""
        return entry_of(self.handle, url)

    def lock(self) -> AbstractContextManager[Any]:
        """A lock file beside a local folder."""
        return commit_lock(self.handle.get())

    def translated(self) -> AbstractContextManager[None]:
        """By the words of icechunk's storage errors."""
        return translated(self.handle.get())
