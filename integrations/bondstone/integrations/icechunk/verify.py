"""Look whether what a version refers to is there: chunks of every manifest, and the files of virtual data. Nothing is downloaded whole."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bondstone.blocks import AccessDenied, InvalidBlock, NotFound
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk import sources
from bondstone.integrations.icechunk.looking import Looker, Progress
from bondstone.integrations.icechunk.repo import Repo, repo
from bondstone.integrations.receipts import Fault, VerifyReceipt

if TYPE_CHECKING:
    import icechunk


@dataclass(frozen=True)
class IcechunkVerify:
    """Ask for a sample of a version's chunks, and for every file that was ingested into it."""

    repo: str  # the name of an IcechunkRepo block, or arraylake-repo/name
    ttl: float | None = None

    def __call__(
        self,
        snapshot: str | None = None,
        /,
        *,
        sample: float = 0.01,
        seconds: float = 300.0,
        progress: Progress | None = None,
    ) -> VerifyReceipt:
        """Verify a snapshot, or the newest of the block's branch.

        `sample` is the part of the chunks of each manifest to ask for, at least one; 1.0 is all. One byte of each is read. It ends after
        about `seconds`, and then `complete` of the receipt is false. `progress` is called with how many chunks were asked for, and of how
        many. Of each kind of fault 100 are told. Raises `NotFound` if there is no such snapshot, `AccessDenied`, `ServiceUnavailable`.
        """
        target, end = repo(self.repo, ttl=self.ttl), time.monotonic() + seconds

        def late() -> bool:
            return time.monotonic() > end

        with target.translated():
            return _verified(target, snapshot, sample, late, progress)


def _verified(
    target: Repo, snapshot: str | None, sample: float, late: Callable[[], bool], progress: Progress | None
) -> VerifyReceipt:
    repository, block = target.open(), target.handle.get()
    session = _session(repository, snapshot, block)
    # Not `inspect_snapshot`: it keeps Python's lock while it waits for keys, which Python is asked for.
    nodes = need("zarr.core.sync", "icechunk").sync(repository.inspect_snapshot_async(session.snapshot_id))["nodes"]
    arrays = [node for node in nodes if node["node_type"] == "array"]
    found = Looker(session, sample, late, progress).look(arrays)
    files = {url: etag for node in nodes if node["node_type"] == "group" for url, etag in _files(session, node["path"])}
    faults = [_fault(target, url, etag) for url, etag in files.items() if not late()]
    return VerifyReceipt(
        target.uri(),
        str(block.reference),
        block.version or 0,
        session.snapshot_id,
        len(arrays),
        len({ref["id"] for node in arrays for ref in node["manifest_refs"]}),
        found.chunks,
        found.checked,
        len(faults),
        (found.checked, len(faults)) == (found.wanted, len(files)),
        tuple(found.missing),
        (*found.stale, *filter(None, faults)),
    )


def _session(repository: "icechunk.Repository", snapshot: str | None, block: Any) -> "icechunk.Session":
    if snapshot is None:
        return repository.readonly_session(block.branch)
    try:
        return repository.readonly_session(snapshot_id=snapshot)
    except need("icechunk", "icechunk").IcechunkError as error:
        if "not found" not in str(error) and "invalid" not in str(error).lower():
            raise
    raise NotFound(f"there is no snapshot {snapshot!r} in the repository of {block.reference}")


def _files(session: "icechunk.Session", path: str) -> Iterator[tuple[str, str]]:
    yield from sources.read(sources.group(session, path)).items()


def _fault(target: Repo, url: str, etag: str) -> Fault | None:
    """What is wrong with a file that was ingested with this etag."""
    try:
        now = target.container(url).look(url)
    except NotFound:
        return Fault(url, "gone")
    except (AccessDenied, InvalidBlock):
        return Fault(url, "refused")
    return None if now.etag == etag else Fault(url, "changed")
