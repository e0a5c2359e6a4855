"""Icechunk repositories: nothing of their own to rotate; verified by reading the head of the branch."""

from functools import partial

from bondstone.blocks import BondstoneError, IcechunkRepo, NotFound, ServiceUnavailable
from bondstone.blocks.rotator import DEADLINE, Verified
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.errors import _translated
from bondstone.integrations.icechunk.repository import _patience
from bondstone.integrations.icechunk.storage import storage, uri
from bondstone.integrations.rotators.holders import Holder
from bondstone.integrations.within import within

_PROVES = "The repository opens and its branch was read; whether it may be written, and virtual chunks, are not asked."


class IcechunkRepos(Holder):
    """Its credentials are rotated; the repository is opened with them, and never made."""

    def verify(self, block: IcechunkRepo) -> Verified:
        return within(DEADLINE, f"the storage of {_name(block)}", partial(_read, block), partial(_fault, block))


def _read(block: IcechunkRepo) -> Verified:
    vendor = need("icechunk", "icechunk")
    repository = vendor.Repository.open(
        storage(vendor, block), config=vendor.RepositoryConfig(storage=_patience(vendor))
    )
    snapshot = repository.lookup_branch(block.branch)
    return Verified("icechunk Repository.open, lookup_branch", f"{uri(block)} at snapshot {snapshot}", _PROVES)


def _fault(block: IcechunkRepo, error: Exception) -> BondstoneError:
    vendor = need("icechunk", "icechunk")
    if isinstance(error, vendor.RefNotFoundError):
        return NotFound(f"there is no branch '{block.branch}' in the repository of {_name(block)}: correct the block")
    if isinstance(error, vendor.RepositoryNotFoundError):
        return _none(block)
    if isinstance(error, vendor.StorageError):
        return _translated(block, error)
    return ServiceUnavailable(f"the repository of {_name(block)} does not open ({type(error).__name__})")


def _none(block: IcechunkRepo) -> NotFound:
    return NotFound(f"there is no repository at {uri(block)}: the first commit makes it, or correct {_name(block)}")


def _name(block: IcechunkRepo) -> str:
    return block.reference or block.kind


icechunk_repo = IcechunkRepos()
