"""Where virtual chunks lie: folders and buckets outside the repository, each let in by its own entry of the block."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bondstone.blocks import Handle, IcechunkRepo, InvalidBlock, S3Bucket
from bondstone.integrations.aws import LiveKeys
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.repo import Repo
from bondstone.integrations.s3.errors import failures, refused, translated
from bondstone.integrations.s3.place import Place

TRIES = 5


@dataclass(frozen=True)
class Source:
    """A file that virtual chunks are parts of, as it was when it was looked at."""

    url: str
    etag: str
    modified: datetime


@dataclass(frozen=True)
class Container:
    """A URL prefix of the block's `virtual_chunk_credentials`: `s3://bucket/…` or `file:///folder/`."""

    handle: Handle[IcechunkRepo]
    prefix: str

    @property
    def bucket(self) -> S3Bucket:
        """As if it were a block of its own; for a folder one that is never asked."""
        signer = self.handle.get().virtual_chunk_credentials.get(self.prefix)
        return S3Bucket(bucket=self.prefix.split("/")[2] or "folder", credentials=signer, anonymous=signer is None)

    @property
    def root(self) -> str:
        """What URLs have before the key."""
        return "file://" if self.prefix.startswith("file://") else "/".join(self.prefix.split("/")[:3])

    def ask[T](self, call: Callable[[Any], T]) -> T:
        """What `call` gets from the obstore store at `root`; again with the key of now, if it is refused. Raises our errors."""
        with translated(self.bucket):
            try:
                return call(self._store())
            except failures() as error:
                if not refused(error):
                    raise
                self.handle.refresh()
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
        keys = LiveKeys(self.handle, ("virtual_chunk_credentials", self.prefix))
        return stores.S3Store(
            place.bucket,
            region=place.region,
            virtual_hosted_style_request=not place.path_style,
            client_options={"allow_http": (place.endpoint or "").startswith("http://")},
            skip_signature=place.anonymous,
            **({"endpoint": place.endpoint} if place.endpoint else {}),
            **({} if place.anonymous else {"credential_provider": keys}),
        )

    def declaration(self) -> Any:
        """In icechunk's words."""
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


def container_of(handle: Handle[Any], url: str) -> Container:
    """The one with the longest prefix of `url`. Raises `InvalidBlock` if the block has none."""
    block = handle.get()
    prefixes = block.virtual_chunk_credentials if isinstance(block, IcechunkRepo) else ()
    found = [prefix for prefix in prefixes if url.startswith(prefix) and prefix.startswith(("s3://", "file://"))]
    if not found:
        raise InvalidBlock(
            f"{handle.reference} has no container for {url}: add its prefix to virtual_chunk_credentials"
        )
    return Container(handle, max(found, key=len))


def declare(target: Repo, containers: Iterable[Container]) -> None:
    """Tell the repository itself, which every reader asks; nothing is written if it has been told."""
    vendor = need("icechunk", "virtual")
    for _ in range(TRIES):
        storage = target.open().storage
        config = vendor.Repository.fetch_config(storage) or vendor.RepositoryConfig()
        missing = [one for one in containers if one.prefix not in (config.virtual_chunk_containers or {})]
        for one in missing:
            config.set_virtual_chunk_container(one.declaration())
        try:
            if missing:
                vendor.Repository.open(storage, config=config).save_config()
        except vendor.ConflictError:  # somebody else declares, too
            continue
        return
