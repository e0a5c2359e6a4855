"""What is asked of a repository once, and once more when the key was replaced under our hands."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from bondstone.blocks import NotFound
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.errors import refused
from bondstone.integrations.icechunk.repo import Repo

if TYPE_CHECKING:
    import icechunk


def asked[T](repo: Repo, question: "Callable[[icechunk.Repository], T]") -> T:
    """What `question` gives for the open repository. It is called again after a refusal that a new key may end. Raises our errors."""
    before = repo.handle.get()
    with repo.translated():
        try:
            return question(repo.open())
        except need("icechunk", "icechunk").StorageError as error:
            if not refused(error) or repo.handle.refresh() == before:
                raise
        return question(repo.open())


def found(repository: "icechunk.Repository", version: str) -> str:
    """The snapshot of an id, or of a tag. Raises `NotFound`."""
    vendor = need("icechunk", "icechunk")
    try:
        return str(repository.lookup_snapshot(version).id)
    except (vendor.InvalidInputError, vendor.SnapshotNotFoundError):
        pass
    try:
        return repository.lookup_tag(version)
    except vendor.RefNotFoundError:
        pass
    raise NotFound("there is no such snapshot or tag, or it has expired: see 'bondstone log'")
