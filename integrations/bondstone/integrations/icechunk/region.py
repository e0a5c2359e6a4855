"""Write a part of a dataset that is there: whole chunks, and only while what it was computed from is what it was."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from bondstone.blocks import Conflict, InvalidData, NotFound
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk import contract
from bondstone.integrations.icechunk.axis import runs
from bondstone.integrations.icechunk.commit import checked
from bondstone.integrations.icechunk.committing import KEEP_KEYS, Work, commit
from bondstone.integrations.icechunk.growing import opened
from bondstone.integrations.icechunk.reads import Part, Reads, Region, changed, check_there, path, paths
from bondstone.integrations.icechunk.repo import Repo, repo
from bondstone.integrations.icechunk.same import differing
from bondstone.integrations.icechunk.storing import Target, opened_target
from bondstone.integrations.receipts import CommitReceipt

if TYPE_CHECKING:
    import icechunk
    import xarray

type Computed = Callable[[icechunk.Session], xarray.Dataset]


class LostUpdateWarning(UserWarning):
    """What others wrote to the same chunks at the same time is dropped."""


@dataclass(frozen=True)
class IcechunkRegionWrite:
    """Write a dataset over a part of a group, and commit that. No other part, and no metadata, is touched."""

    repo: str  # the name of an IcechunkRepo block, or arraylake-repo/name
    on_conflict: Literal["refuse", "ours"] = "refuse"
    ttl: float | None = None
    keep_keys: int = KEEP_KEYS  # at least as many keys are remembered, the newest

    def __post_init__(self) -> None:
        if self.on_conflict not in ("refuse", "ours"):
            raise ValueError(f"on_conflict is 'refuse' or 'ours', not {self.on_conflict!r}")

    def __call__(
        self,
        content: "xarray.Dataset | Computed",
        /,
        *,
        region: Region | Literal["auto"],
        message: str,
        group: str | None = None,
        key: str | None = None,
        reads: Reads = (),
        since: str | None = None,
    ) -> CommitReceipt:
        """Commit a dataset, or what a function computes from the session that it is given: it is called anew when what it read has changed.

        `region` has a slice for each dimension that is not whole, or is "auto": where the dataset's coordinates are. `reads` are the
        variables, or paths that begin with '/', from which the content was computed; a mapping may say which part of each. A dataset
        was computed before this call, from the version `since`, a snapshot: without it nobody can tell what changed, so `reads` needs it.

        Raises `InvalidData` for bounds that are not those of chunks, and for data that do not go with the group; `Conflict` if what was
        read, or what is written over, has changed since, if the key has committed another dataset, or if other writers kept winning for
        20 tries; `NotFound` if there is no such group; and what `IcechunkCommit` raises. `on_conflict="ours"` writes over what others
        wrote meanwhile, with a `LostUpdateWarning`.
        """
        if reads and not callable(content) and since is None:
            raise InvalidData(
                "reads= of a dataset needs since=, the snapshot that it was computed from; or pass a function"
            )
        if self.on_conflict == "ours":
            warnings.warn(
                f"rows that others write to {self.repo} meanwhile are dropped", LostUpdateWarning, stacklevel=2
            )
        group, target = checked(group), repo(self.repo, ttl=self.ttl)
        change = _Region(target, content, region, group, paths(reads, group), self.on_conflict == "ours", since)
        return commit(Work(target, change, message, group, key, self.keep_keys))


@dataclass
class _Region:
    repo: Repo
    content: Any
    region: Region | Literal["auto"]
    group: str | None
    reads: list[Part]
    ours: bool
    since: str | None  # of a dataset; if nobody says, then since this call began
    found: list[Part] = field(default_factory=list)  # what the last attempt relied on, beside `reads`

    def write(self, session: "icechunk.Session") -> dict[str, Any]:
        if (stored := opened(session, self.group)) is None:
            raise NotFound(f"there is no group {self.group or '/'!r} in {self.repo.handle.reference}: commit it first")
        check_there(session, self.reads)
        dataset = self._dataset(session)
        where = _where(dataset, stored, self.region)
        written = _written(dataset, stored, where)
        self._rely(dataset, written, where)
        self._refuse_changed(session)
        targets = {name: self._target(session, stored, name, where) for name in written}
        for name, target in targets.items():
            variable = dataset.variables[name]
            target.write(variable, {dim: where[dim] for dim in map(str, variable.dims) if dim in where})
        return {"group": self.group, "region": {dim: [part.start, part.stop] for dim, part in where.items()}}

    def compare(self, session: "icechunk.Session | None", facts: dict[str, Any]) -> None:
        """What a function would compute is not known without calling it: its key alone counts."""
        if facts.get("group") != self.group or "region" not in facts:
            raise Conflict("this key has committed something else: use another key")
        stored = opened(session, self.group) if session else None
        if stored is not None and not callable(self.content):
            self._refuse_other(stored, {dim: slice(*bounds) for dim, bounds in facts["region"].items()})

    def _refuse_other(self, stored: "xarray.Dataset", where: Region) -> None:
        mine, theirs = need("xarray", "icechunk").decode_cf(self.content), stored.isel(where)
        theirs = theirs.drop_vars(set(theirs.variables) - set(mine.variables))
        if _where(mine, stored, self.region) != where or differing(contract.with_free(mine, theirs), theirs):
            raise Conflict("this key has committed another region, or other content: use another key")

    def rebase(self, session: "icechunk.Session", repository: "icechunk.Repository") -> bool:
        """False if something that was read has changed: then the function is called anew, and the dataset refused."""
        vendor, base = need("icechunk", "icechunk"), session.snapshot_id
        ours = vendor.BasicConflictSolver(on_chunk_conflict=vendor.VersionSelection.UseOurs)
        session.rebase(ours if self.ours else vendor.ConflictDetector())
        return changed(repository, session, base, self.found + self.reads) is None

    def _dataset(self, session: "icechunk.Session") -> "xarray.Dataset":
        content = self.content(session) if callable(self.content) else self.content
        dataset: xarray.Dataset = need("xarray", "icechunk").decode_cf(content)
        return dataset

    def _rely(self, dataset: "xarray.Dataset", written: list[Any], where: Region) -> None:
        """Remember where the labels are that were compared, and what is written over."""
        names = [name for name in dataset.variables if not (self.ours and name in written)]
        self.found = [(path(str(name), self.group), where) for name in names]

    def _refuse_changed(self, session: "icechunk.Session") -> None:
        """Raise `Conflict` if a dataset is older than what it was computed from or is to replace."""
        self.since = self.since or session.snapshot_id
        if callable(self.content) or self.since == session.snapshot_id:
            return
        if found := changed(self.repo.open(), session, self.since, self.found + self.reads):
            raise Conflict(f"{found} has changed since the version {self.since}: compute again from what is there now")

    def _target(self, session: "icechunk.Session", stored: "xarray.Dataset", name: Any, where: Region) -> Target:
        target = opened_target(session, stored, name, self.group)
        for dim, size in target.grain.items():
            if dim in where:
                _check_bounds(str(name), dim, where[dim], size, stored.sizes[dim])
        return target


def _where(dataset: "xarray.Dataset", stored: "xarray.Dataset", region: Region | Literal["auto"]) -> dict[str, slice]:
    """The region by numbers. Raises `InvalidData`."""
    if region == "auto":
        return {str(dim): _found(dataset, stored, dim) for dim in dataset.indexes if dim in stored.indexes}
    for dim, part in region.items():
        if dim not in stored.sizes or dim not in dataset.sizes or part.step not in (None, 1):
            raise InvalidData(f"the region has {dim!r}: {part}, the group {dict(sorted(stored.sizes.items()))}")
    return {dim: slice(*part.indices(stored.sizes[dim])[:2]) for dim, part in region.items()}


def _found(dataset: "xarray.Dataset", stored: "xarray.Dataset", dim: Any) -> slice:
    numpy, index = need("numpy", "icechunk"), dataset.indexes[dim]
    positions = stored.indexes[dim].get_indexer(index)
    if (positions < 0).any():
        raise InvalidData(f"{dim!r} has {index[positions < 0][0]}, which is not in the group: append it")
    pieces = list(runs(positions, numpy.arange(len(index))))
    if len(pieces) != 1:
        raise InvalidData(
            f"{dim!r} from {index[0]} to {index[-1]} is not in one piece in the group: write each by itself"
        )
    return pieces[0][1]


def _written(dataset: "xarray.Dataset", stored: "xarray.Dataset", where: Region) -> list[Any]:
    """Which variables are to be written; the others, and all coordinates, must be those of the region. Raises `InvalidData`."""
    contract.check_known(dataset, stored)
    part = stored.isel(where)
    written = [name for name, variable in dataset.data_vars.items() if set(variable.dims) & set(where)]
    for name, variable in dataset.variables.items():
        if name in written:
            contract.check_variable(name, variable, part.variables[name])
            contract.check_sizes(name, variable, part.variables[name], ())
        else:
            contract.check_same(name, dataset, part)
    if not written:
        raise InvalidData(f"no variable of the dataset lies in the region along {', '.join(where) or 'nothing'}")
    return written


def _check_bounds(name: str, dim: str, part: slice, size: int, length: int) -> None:
    """Raise `InvalidData` for a part of a chunk: who writes that has to read the rest, which another may be writing."""
    if part.start % size or (part.stop % size and part.stop != length):
        start, stop = part.start // size * size, min(length, -(-part.stop // size) * size)
        raise InvalidData(
            f"{name!r} has chunks of {size} along {dim!r}, and {part.start}:{part.stop} is not whole chunks: "
            f"write {start}:{stop}"
        )
