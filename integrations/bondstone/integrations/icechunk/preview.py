"""What a commit would do, before anybody does it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bondstone.integrations.extras import need
from bondstone.integrations.icechunk.asking import asked
from bondstone.integrations.icechunk.chunks import chunks_of, sizes, updated
from bondstone.integrations.icechunk.commit import Writer, change_of, checked
from bondstone.integrations.icechunk.drift import Drift, Statistics, statistics, structure
from bondstone.integrations.icechunk.leases import SOON, leased
from bondstone.integrations.icechunk.quicklook import Looks, looks, save
from bondstone.integrations.icechunk.repo import Repo, repo
from bondstone.integrations.receipts import Receipt
from bondstone.integrations.scratch import scratch

if TYPE_CHECKING:
    import icechunk
    import xarray


@dataclass(frozen=True)
class Preview(Receipt):
    """What would change in `group`. `bytes` are those that the written chunks take, compressed.

    `before` and `after` have the statistics of each numeric variable.
    """

    group: str | None
    chunks_added: int
    chunks_overwritten: int
    bytes: int
    drift: tuple[Drift, ...]
    before: dict[str, Statistics]
    after: dict[str, Statistics]
    looks: tuple[Looks, Looks] = field(repr=False, compare=False)

    def plot(self, path: str | Path) -> Path:
        """Draw each variable before, after, and the difference, thinned out to some 200 points a side: `.png`, or `.html` in one file.

        Of more than two dimensions the last two are drawn, at the end of the others. Raises `ValueError` for another suffix.
        """
        return save(Path(path), self.block, *self.looks, self.drift, self.before, self.after)


@dataclass(frozen=True)
class IcechunkPreview:
    """Tell what `IcechunkCommit` of the same content would write, and how it differs from what is there; publish nothing."""

    repo: str  # the name of an IcechunkRepo block, or arraylake-repo/name
    ttl: float | None = None

    def __call__(self, content: "xarray.Dataset | Writer", /, *, group: str | None = None) -> Preview:
        """Of a dataset, which is written to a temporary local folder and leaves nothing behind, or of what a function writes.

        A function is given a session of the repository itself, which is discarded: chunks that it wrote are garbage, for
        `IcechunkGarbageCollect`. What is in `group` now is read whole, for its statistics.
        """
        path, target = checked(group), repo(self.repo, ttl=self.ttl)
        return asked(target, lambda repository: _previewed(target, repository, content, path))


def _previewed(
    target: Repo, repository: "icechunk.Repository", content: "xarray.Dataset | Writer", group: str | None
) -> Preview:
    base = repository.readonly_session(target.handle.get().branch)
    with _own(target, repository) if callable(content) else _scratch() as session:
        change_of(content, group).write(session)
        written = updated(session.status())
        overwritten = written & chunks_of(base, _arrays(base, {path for path, _ in written}))
        old, new = _dataset(base, group), _dataset(session, group)
        block = target.handle.get()
        return Preview(
            *(target.uri(), str(block.reference), block.version or 0, group),
            *(len(written - overwritten), len(overwritten), sum(sizes(session, written, inline=True))),
            *(tuple(structure(old, new)), statistics(old), statistics(new)),
            looks=(looks(old), looks(new)),
        )


@contextmanager
def _own(target: Repo, repository: "icechunk.Repository") -> "Iterator[icechunk.Session]":
    session = repository.writable_session(target.handle.get().branch)
    with leased(target, after=SOON):
        yield session
    session.discard_changes()


@contextmanager
def _scratch() -> "Iterator[icechunk.Session]":
    vendor = need("icechunk", "icechunk")
    with scratch("preview") as folder:
        yield vendor.Repository.create(vendor.local_filesystem_storage(str(folder))).writable_session("main")


def _arrays(session: "icechunk.Session", paths: set[str]) -> list[str]:
    """Those that are there."""
    zarr: Any = need("zarr", "icechunk")
    try:
        root = zarr.open_group(session.store, mode="r")
    except FileNotFoundError:  # nothing was ever committed
        return []
    return [path for path in paths if isinstance(root.get(path.strip("/")), zarr.Array)]


def _dataset(session: "icechunk.Session", group: str | None) -> "xarray.Dataset":
    """What is in a group; an empty one if there is none."""
    vendor: Any = need("xarray", "icechunk")
    try:
        dataset: xarray.Dataset = vendor.open_zarr(session.store, group=group, consolidated=False, chunks=None)
    except FileNotFoundError:
        return vendor.Dataset()  # type: ignore[no-any-return]
    return dataset
