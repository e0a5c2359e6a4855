"""A repository that Arraylake keeps, as the vendor's client opens it, with keys and token that no pickle holds."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any
from uuid import UUID

from bondstone.blocks import (
    AccessDenied,
    ArraylakeRepo,
    ArraylakeToken,
    BondstoneError,
    Handle,
    InvalidBlock,
    NotFound,
    ServiceUnavailable,
)
from bondstone.integrations.arraylake_containers import Authorized, authorized
from bondstone.integrations.arraylake_keys import Answer, ArraylakeKeys, inquiry
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.errors import reason, refused, translated
from bondstone.integrations.icechunk.repository import settings, shared, split

if TYPE_CHECKING:
    import icechunk

RENEWALS = 3  # for one call of a task; delegated keys are others each time, so asking again would never end


class Kept:
    """Leads from an `ArraylakeRepo` block to its repository."""

    def __init__(self, handle: Handle[ArraylakeRepo], renewals: int = RENEWALS) -> None:
        self.handle, self._renewals = shared(handle), renewals

    def __reduce__(self) -> tuple[Any, ...]:
        return Kept, (self.handle,)

    def open(self) -> "icechunk.Repository":
        """With the keys that are known, or with others where those are refused. It is never made here."""
        vendor = need("icechunk", "arraylake")
        with self.translated():
            before = self.signing()
            try:
                return _opened(vendor, self.handle, before)
            except vendor.StorageError as error:
                failed = error
            if not refused(failed) or not inquiry(self.handle).renewed(before):
                raise failed
            return _opened(vendor, self.handle, self.signing())

    def exists(self) -> bool:
        """Opening tells, and makes none."""
        return True

    def uri(self) -> str:
        """By its name there; which bucket holds it is Arraylake's to say."""
        return f"arraylake://{self.handle.get().repo}"

    def signer(self) -> ArraylakeToken:
        """The token."""
        return self.handle.get().token

    def signing(self) -> Answer:
        """What Arraylake said, with its keys."""
        return inquiry(self.handle).answer()

    def renewed(self, before: Answer, container: str | None = None) -> bool:
        """Whether Arraylake gives other keys; how often is bounded."""
        return self._may_ask() and inquiry(self.handle).renewed(before, container)

    def container(self, url: str, /) -> Authorized:
        """By Arraylake's word, which is asked for again where the last one has no room for the file."""
        try:
            return authorized(self.handle, self.signing(), url, self.renewed)
        except InvalidBlock:
            if not self._may_ask():
                raise
        return authorized(self.handle, inquiry(self.handle).anew(), url, self.renewed)

    def _may_ask(self) -> bool:
        self._renewals -= 1
        return self._renewals >= 0

    def lock(self) -> AbstractContextManager[Any]:
        """None: storage that Arraylake takes can compare and swap."""
        return nullcontext()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """What Arraylake refused is told before what the storage made of it."""
        block, vendor = self.handle.get(), need("icechunk", "arraylake")
        with translated(block):
            try:
                yield
            except vendor.StorageError as error:
                found = inquiry(self.handle).fault or _fault(block, error)
            except vendor.RepositoryNotFoundError:
                found = NotFound(
                    f"Arraylake knows {block.repo!r}, and its bucket holds no repository: delete it there, then create_repo"
                )
            else:
                return
            raise found from None


def _opened(vendor: Any, handle: Handle[ArraylakeRepo], answer: Answer) -> "icechunk.Repository":
    """As `AsyncClient.get_repo` does (arraylake 1.7), but for who is asked for keys."""
    said = answer.said
    if said.status.mode == "offline":
        raise ServiceUnavailable(f"Arraylake has taken {answer.block.repo!r} offline: try again later")
    config = settings(vendor)
    containers = {}
    for prefix, chunks in said.virtual_chunk_credentials.items():
        container = vendor.VirtualChunkContainer(prefix, chunks.to_vcc_store_config(UUID(said.principal_id)))
        if chunks.runtime_vcc_name is not None:
            container.name = chunks.runtime_vcc_name
        config.set_virtual_chunk_container(container)
        containers[prefix] = _container(handle, answer, prefix)
    authorized = vendor.containers_credentials(containers) if containers else None
    storage = _storage(handle, answer)
    opened = vendor.Repository.open(storage, config=config, authorize_virtual_chunk_access=authorized)
    repository = split(vendor, opened, answer.block.chunks_per_manifest)
    repository.set_default_commit_metadata({"author_name": said.author.name, "author_email": said.author.email})
    return repository


def _storage(handle: Handle[ArraylakeRepo], answer: Answer) -> Any:
    """By the vendor's own knowledge of S3, Tigris, R2 and Google."""
    parts, said = need("arraylake.repos.icechunk.storage", "arraylake"), answer.said
    bucket = said.repo_bucket
    if bucket.platform == "azure":
        raise InvalidBlock(
            f"{answer.block.repo!r} lies in Azure, whose signature every pickle would hold: open it by get_repo of arraylake.connect"
        )
    unsigned = answer.keys() is None
    if unsigned and bucket.auth_config and bucket.auth_config.method != "anonymous":
        raise AccessDenied(
            f"Arraylake gave no keys for the bucket {bucket.nickname!r} of {answer.block.repo!r}: correct its configuration there"
        )
    kinds = parts.CredentialType
    return parts._get_icechunk_storage_obj(
        bucket_config=bucket,
        prefix=said.repo_prefix,
        credential_type=kinds.ANONYMOUS if unsigned else kinds.PROVIDED,
        credentials=None,
        credential_refresh_func=None if unsigned else ArraylakeKeys(handle),
        scatter_initial_credentials=False,  # or they would be in every pickle
        arraylake_version=need("arraylake", "arraylake").__version__,
        user_id=UUID(said.principal_id),
    )


def _container(handle: Handle[ArraylakeRepo], answer: Answer, prefix: str) -> Any:
    credentials = need("arraylake.repos.icechunk.virtual", "arraylake").get_icechunk_container_credentials
    asks = ArraylakeKeys(handle, prefix) if answer.keys(prefix) else None
    return credentials(answer.said.virtual_chunk_credentials[prefix].platform, None, asks)


def _fault(block: ArraylakeRepo, error: Exception) -> BondstoneError:
    where = f"the storage of {block.reference}"
    if code := refused(error):
        return AccessDenied(f"{where} refused the keys that Arraylake gave ({code}): correct its bucket at Arraylake")
    return ServiceUnavailable(f"{where} failed ({reason(error)}): try again, or correct its bucket at Arraylake")
