"""Append steps to a dataset that grows, and only such as belong there."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from bondstone.blocks import Conflict, InvalidData
from bondstone.integrations.extras import need
from bondstone.integrations.icechunk import contract
from bondstone.integrations.icechunk.axis import Axis
from bondstone.integrations.icechunk.commit import checked
from bondstone.integrations.icechunk.committing import KEEP_KEYS, Work, commit
from bondstone.integrations.icechunk.growing import begin, opened
from bondstone.integrations.icechunk.reads import changed, paths
from bondstone.integrations.icechunk.repo import repo
from bondstone.integrations.icechunk.same import differing
from bondstone.integrations.icechunk.storing import Target, opened_target
from bondstone.integrations.receipts import CommitReceipt

if TYPE_CHECKING:
    import icechunk
    import xarray

type Policy = Literal["refuse", "skip", "upsert"]
type Allowed = Literal["gap", "missing"]


@dataclass(frozen=True)
class IcechunkAppend:
    """Append a dataset along `dim` to a group, and commit that. The first append makes the group.

    `policy` is for steps that are in the group already: 'refuse' them, 'skip' them if they are the same, or 'upsert', which writes them
    anew. `allow` lets pass what may be meant: a 'gap' in a regular axis, a variable of which all is 'missing'.
    """

    repo: str  # the name of an IcechunkRepo block, or arraylake-repo/name
    dim: str = "time"
    policy: Policy = "refuse"
    allow: tuple[Allowed, ...] = ()
    ttl: float | None = None
    keep_keys: int = KEEP_KEYS  # at least as many keys are remembered, the newest

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy.__value__):
            raise ValueError(f"policy is one of {get_args(Policy.__value__)}, not {self.policy!r}")

    def __call__(
        self, dataset: "xarray.Dataset", /, *, message: str, group: str | None = None, key: str | None = None
    ) -> CommitReceipt:
        """Commit the steps of a dataset. Others who append meanwhile come first or after: each is checked against the newest version.

        Variables that do not have `dim` must be those of the group; attributes of the dataset stay those of its first append. With `key`, a
        second call of the same key writes nothing and returns the first one's snapshot. Raises `InvalidData` if the steps do not go with
        the group, `Conflict` if they are there already, if the key has committed others, or if other writers kept winning for 20 tries,
        and what `IcechunkCommit` raises.
        """
        group = checked(group)
        if not dataset.sizes.get(self.dim) or self.dim not in dataset.indexes:
            raise InvalidData(f"the dataset has no steps along {self.dim!r}, or no coordinate that tells them apart")
        change = _Appended(need("xarray", "icechunk").decode_cf(dataset), group, self)
        return commit(Work(repo(self.repo, ttl=self.ttl), change, message, group, key, self.keep_keys))


@dataclass(frozen=True)
class _Appended:
    dataset: Any
    group: str | None
    task: IcechunkAppend

    def write(self, session: "icechunk.Session") -> dict[str, Any]:
        stored = opened(session, self.group)
        axis = self._checked(stored) if stored is not None else self._first()
        if stored is None:
            stored = begin(session, self.group, self.dataset, self._dim)
        for name, variable in self.dataset.variables.items():
            if self._dim in variable.dims:
                self._write(opened_target(session, stored, name, self.group), variable, axis)
        places = [[place.start, place.stop] for _, place in axis.runs(all_=True)]
        return {"group": self.group, "dim": self._dim, "places": places}

    def compare(self, session: "icechunk.Session | None", facts: dict[str, Any]) -> None:
        if (facts.get("group"), facts.get("dim")) != (self.group, self._dim):
            raise Conflict(
                f"this key has committed to {facts.get('group')!r} along {facts.get('dim')!r}: use another key"
            )
        stored = opened(session, self.group) if session else None
        if stored is not None:
            places = [place for start, stop in facts["places"] for place in range(start, stop)]
            if difference := _difference(self.dataset, stored.isel({self._dim: places})):
                raise Conflict(f"this key has committed other content ({difference}): use another key for other steps")

    def rebase(self, session: "icechunk.Session", repository: "icechunk.Repository") -> bool:
        """Who has committed to other groups is no hindrance; what was checked here must be what it was."""
        base = session.snapshot_id
        session.rebase(need("icechunk", "icechunk").ConflictDetector())
        mine = paths(map(str, self.dataset.variables), self.group)
        return changed(repository, session, base, mine) is None

    @property
    def _dim(self) -> str:
        return self.task.dim

    @property
    def _new(self) -> Any:
        return self.dataset.indexes[self._dim]

    def _first(self) -> Axis:
        axis = Axis(self._dim, self._new[:0], self._new)
        axis.check(gaps=True)
        return axis

    def _checked(self, stored: "xarray.Dataset") -> Axis:
        """Where the steps go, if the contract holds."""
        contract.check_growing(self.dataset, stored, self._dim)
        axis = Axis(self._dim, stored.indexes[self._dim], self._new)
        axis.check(gaps="gap" in self.task.allow)
        if self.task.policy == "refuse":
            axis.refuse_overlap()
        if self.task.policy == "skip" and axis.there.any():
            self._refuse_revised(stored, axis)
        return axis

    def _refuse_revised(self, stored: "xarray.Dataset", axis: Axis) -> None:
        mine = self.dataset.isel({self._dim: axis.there})
        if difference := _difference(mine, stored.isel({self._dim: axis.positions[axis.there]})):
            raise Conflict(
                f"steps that are in the group already differ there ({difference}): set policy='upsert' to replace"
            )

    def _write(self, target: Target, variable: "xarray.Variable", axis: Axis) -> None:
        """Put the steps of one variable where they belong."""
        target.lengthen(self._dim, axis.size)
        present = [
            target.write(variable.isel({self._dim: source}), {self._dim: place})
            for source, place in axis.runs(all_=self.task.policy == "upsert")
        ]
        if present and not any(present) and "missing" not in self.task.allow:
            raise InvalidData(
                f"all values of {target.name!r} from {self._new[0]} to {self._new[-1]} are missing: correct them, "
                "or set allow=('missing',)"
            )


def _difference(mine: "xarray.Dataset", theirs: "xarray.Dataset") -> str | None:
    """In what the same steps differ."""
    if set(mine.variables) == set(theirs.variables):
        mine = contract.with_free(mine, theirs)
    return differing(mine, theirs)
