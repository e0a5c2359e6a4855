"""Where virtual chunks lie: folders and buckets outside the repository, each let in by somebody's word."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bondstone.blocks import Handle, IcechunkRepo, InvalidBlock, S3Bucket
from bondstone.integrations.aws import LiveKeys
from bondstone.integrations.extras import need
from bondstone.integrations.s3.errors import failures, refused, translated
from bondstone.integrations.s3.place import Place

if TYPE_CHECKING:
    import icechunk

TRIES = 5


@dataclass(frozen=True)
class Source:
    """A file that virtual chunks are parts of, as it was when it was looked at."""

    url: str
    etag: str
    modified: datetime


@dataclass(frozen=True)
class Container(ABC):
    """A URL prefix that a repository may refer to: `s3://bucket/…` or `file:///folder/`."""

    prefix: str

    @property
    @abstractmethod
    def bucket(self) -> S3Bucket:
        """As if it were a block of its own; for a folder one that is never asked."""

    @property
    @abstractmethod
    def keys(self) -> Callable[[], dict[str, Any]]:
        """What signs requests, as a credential provider of obstore."""

    @abstractmethod
    def signing(self) -> Any:
        """What requests are signed with now, to be compared."""

    @abstractmethod
    def renewed(self, before: Any, /) -> bool:
        """After a refusal of `before`: whether there is something else by now."""

    @abstractmethod
    def declare(self, repository: "icechunk.Repository") -> None:
        """Let the repository's other readers know of it."""

    def translated(self) -> AbstractContextManager[None]:
        """Errors of obstore as ours."""
        return translated(self.bucket)

    @property
    def root(self) -> str:
        """What URLs have before the key."""
        return "file://" if self.prefix.startswith("file://") else "/".join(self.prefix.split("/")[:3])

    def ask[T](self, call: Callable[[Any], T]) -> T:
        """What `call` gets from the obstore store at `root`; again with the key of now, if it is refused. Raises our errors."""
        with self.translated():
            before = self.signing()
            try:
                return call(self._store())
            except failures() as error:
                if not refused(error) or not self.renewed(before):
                    raise
            return call(self._store())

    def look(self, url: str) -> Source:
        """The file as it is now. Raises `NotFound`."""
        path = url.removeprefix(self.root).lstrip("/")
        found = self.ask(lambda store: need("obstore", "virtual").head(store, path))
        return Source(url, found["e_tag"], found["last_modified"].astimezone(UTC))

    def _store(self) -> Any:
        stores = need("obstore.store", "virtual")
        if self.root == "file://":
            return stores.LocalStore()
        place = Place.of(self.bucket)
        return stores.S3Store(
            place.bucket,
            region=place.region,
            virtual_hosted_style_request=not place.path_style,
            client_options={"allow_http": (place.endpoint or "").startswith("http://")},
            skip_signature=place.anonymous,
            **({"endpoint": place.endpoint} if place.endpoint else {}),
            **({} if place.anonymous else {"credential_provider": self.keys}),
        )


@dataclass(frozen=True)
class Entry(Container):
    """One of the block's `virtual_chunk_credentials`."""

    handle: Handle[IcechunkRepo]

    @property
    def bucket(self) -> S3Bucket:
        """Signed for by what the entry leads to."""
        signer = self.handle.get().virtual_chunk_credentials.get(self.prefix)
        return S3Bucket(bucket=self.prefix.split("/")[2] or "folder", credentials=signer, anonymous=signer is None)

    @property
    def keys(self) -> LiveKeys:
        """Of that block."""
        return LiveKeys(self.handle, ("virtual_chunk_credentials", self.prefix))

    def signing(self) -> IcechunkRepo:
        """The block, with its credentials."""
        return self.handle.get()

    def renewed(self, before: IcechunkRepo, /) -> bool:
        """Whether the registry has another."""
        return self.handle.refresh() != before

    def declare(self, repository: "icechunk.Repository") -> None:
        """Tell the repository itself, which every reader asks; nothing is written if it has been told."""
        vendor, storage = need("icechunk", "virtual"), repository.storage
        for _ in range(TRIES):
            config = vendor.Repository.fetch_config(storage) or vendor.RepositoryConfig()
            if self.prefix in (config.virtual_chunk_containers or {}):
                return
            config.set_virtual_chunk_container(self._declaration())
            try:
                vendor.Repository.open(storage, config=config).save_config()
            except vendor.ConflictError:  # somebody else declares, too
                continue
            return

    def _declaration(self) -> Any:
        vendor = need("icechunk", "virtual")
        if self.root == "file://":
            return vendor.VirtualChunkContainer(
                self.prefix, vendor.local_filesystem_store(self.prefix.removeprefix("file://"))
            )
        place = Place.of(self.bucket)
        store = vendor.s3_store(
            region=place.region,
            endpoint_url=place.endpoint,
            allow_http=(place.endpoint or "").startswith("http://"),
            s3_compatible=place.endpoint is not None,
            force_path_style=place.path_style,
            anonymous=place.anonymous,
        )
        return vendor.VirtualChunkContainer(self.prefix, store)


def url_of(source: str | Path) -> str:
    """A path of this machine as a URL."""
    return str(source) if "://" in str(source) else f"file://{Path(source).absolute()}"


def longest(prefixes: Iterable[str], url: str) -> str | None:
    """The one that says most of where `url` is; only buckets of S3 and folders are known here."""
    found = [prefix for prefix in prefixes if url.startswith(prefix) and prefix.startswith(("s3://", "file://"))]
    return max(found, key=len, default=None)


def entry_of(handle: Handle[IcechunkRepo], url: str) -> Entry:
    """The block's own that `url` lies in. Raises `InvalidBlock` if it has none."""
    prefix = longest(handle.get().virtual_chunk_credentials, url)
    if prefix is None:
        raise InvalidBlock(
            f"{handle.reference} has no container for {url}: add its prefix to virtual_chunk_credentials"
        )
    return Entry(prefix, handle)
