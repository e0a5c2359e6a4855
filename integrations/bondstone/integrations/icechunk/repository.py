"""The vendor's own repository for an `IcechunkRepo` block."""

import pickle
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from bondstone.blocks import Block, Handle, IcechunkRepo, InvalidBlock, ServiceUnavailable
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.errors import refused, translated
from bondstone.integrations.icechunk.signing import IcechunkKeys
from bondstone.integrations.icechunk.storage import folder, storage

if TYPE_CHECKING:
    import icechunk

LOCK_SECONDS = 300.0
CREATE_TRIES = 6  # waiting 3 s in all


def shared[B: Block](handle: Handle[B]) -> Handle[B]:
    """The handle that icechunk has, too: it unpickles its own, which is one per process. So what refreshes this refreshes that."""
    return pickle.loads(pickle.dumps(handle))  # type: ignore[no-any-return]  # noqa: S301


def opened(handle: Handle[IcechunkRepo], sleep: Callable[[float], None] = time.sleep) -> "icechunk.Repository":
    """The repository that `handle` shows now."""
    for attempt in range(CREATE_TRIES):
        block = handle.get()
        with translated(block), _creation_lock(block):
            repository = _open_or_create(handle, block)
        if repository is not None:
            return repository
        sleep(0.05 * 2**attempt)
    place = handle.reference
    raise InvalidBlock(f"the place of {place} holds something that is no repository: give it another prefix")


def exists(handle: Handle[IcechunkRepo]) -> bool:
    """Whether there is a repository at the place that `handle` shows."""
    vendor, block = need("icechunk", "icechunk"), handle.get()
    with translated(block):
        return bool(vendor.Repository.exists(storage(vendor, block, handle)))


def _open_or_create(handle: Handle[IcechunkRepo], block: IcechunkRepo) -> "icechunk.Repository | None":
    """None if it is worth another look."""
    vendor = need("icechunk", "icechunk")
    try:
        repository = vendor.Repository.open_or_create(
            storage(vendor, block, handle),
            config=settings(vendor),
            authorize_virtual_chunk_access=_virtual(vendor, handle, block),
        )
        return split(vendor, repository, block.chunks_per_manifest)
    except vendor.ConflictError:  # icechunk looks, then creates: of all who do, one is first
        return None
    except vendor.InvalidInputError as error:
        if "clean prefixes" not in str(error):  # somebody has begun to create it, or it is something else
            raise
        return None
    except vendor.StorageError as error:
        if not refused(error) or handle.refresh() == block:
            raise
        return None  # the key was replaced meanwhile


def settings(vendor: Any) -> Any:
    """What is ours to choose whatever the repository says."""
    return vendor.RepositoryConfig(storage=_patience(vendor))


def split(vendor: Any, repository: "icechunk.Repository", chunks: int | None) -> "icechunk.Repository":
    """With manifests of so many chunks, unless the repository's saved settings have a word on it.

    A commit of one chunk in 30,000 takes a tenth of the time: without it, all places of an array are written anew for each.
    """
    config = repository.config
    manifest = config.manifest or vendor.ManifestConfig()
    if chunks is None or manifest.splitting is not None:
        return repository
    dimensions = {vendor.ManifestSplitDimCondition.Any(): chunks}
    manifest.splitting = vendor.ManifestSplittingConfig.from_dict(
        {vendor.ManifestSplitCondition.AnyArray(): dimensions}
    )
    config.manifest = manifest
    return repository.reopen(config)


def _patience(vendor: Any) -> Any:
    """Icechunk's ten tries take 33 s to say that nobody listens; four say it in one."""
    retries = vendor.StorageRetriesSettings(max_tries=4)
    return vendor.StorageSettings(retries=retries, timeouts=vendor.StorageTimeoutSettings(connect_timeout_ms=5000))


def _virtual(vendor: Any, handle: Handle[IcechunkRepo], block: IcechunkRepo) -> dict[str, Any] | None:
    """What lets icechunk read virtual chunks, by the prefix of their container."""
    folders = {prefix for prefix in block.virtual_chunk_credentials if prefix.startswith("file://")}
    containers = {
        prefix: vendor.s3_refreshable_credentials(IcechunkKeys(handle, ("virtual_chunk_credentials", prefix)))
        if signer
        else vendor.s3_anonymous_credentials()
        for prefix, signer in block.virtual_chunk_credentials.items()
        if prefix not in folders
    }
    local = dict.fromkeys(folders, vendor.credentials.LocalFileSystemAccess)
    return vendor.containers_credentials(containers | local) if containers or local else None


def commit_lock(block: IcechunkRepo) -> AbstractContextManager[Any]:
    """What a commit must hold. Icechunk's local storage cannot compare and swap: without a lock, processes lose each other's commits."""
    if block.bucket is not None:
        return nullcontext()
    place = folder(block)
    lock = need("filelock", "icechunk").FileLock(f"{place}.lock", is_singleton=True)  # who holds it may take it again
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        return lock.acquire(timeout=LOCK_SECONDS)  # type: ignore[no-any-return]  # held now, let go at the end of `with`
    except OSError as error:
        reason = error.strerror or "another process holds its lock"
    raise ServiceUnavailable(
        f"the folder of {block.reference} cannot be written ({reason}): try again, or correct its path"
    )


def _creation_lock(block: IcechunkRepo) -> AbstractContextManager[Any]:
    """What opening must hold: for a local repository that is not there yet, the lock of commits."""
    return nullcontext() if (folder(block) / "repo").exists() else commit_lock(block)
