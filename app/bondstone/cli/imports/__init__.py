"""`bondstone import`: what another program keeps, saved as blocks. Each module finds what one program has; this saves it."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import typer

from bondstone.blocks import Block, BondstoneError, InvalidBlock, catalog
from bondstone.cli import output
from bondstone.cli.changes import CHANGE, Change, carry_out, change
from bondstone.registry import Reference
from bondstone.registry.names import shown, slug

SKIP, REFUSE = "skip", "refuse"


class Form(NamedTuple):
    """One way to keep something: a kind, and its fields. A `Reference` in them is a block that comes along, or is there."""

    kind: str
    fields: Mapping[str, Any]


class Found(NamedTuple):
    """One thing that the other program has."""

    source: str  # what it is called there
    name: str  # what it is to be called; made a legal name
    forms: tuple[Form, ...] = ()  # the first that is possible is taken
    problem: str = ""  # why it cannot be read


class Outcome(NamedTuple):
    """What becomes of it."""

    source: str
    change: Change | None
    action: str
    why: str = ""


def imported(found: Iterable[Found], *, overwrite: bool, dry_run: bool, as_json: bool) -> None:
    """Save what was found, and say what was done. The exit code is 1 if something had to be left."""
    outcomes = _Import(overwrite).all(list(found))
    if not dry_run:
        carry_out(outcome.change for outcome in outcomes if outcome.change)
    _show(outcomes, as_json)
    if any(outcome.action == REFUSE for outcome in outcomes):
        raise typer.Exit(1)


class _Import:
    """One run: nothing is written before all is looked at."""

    def __init__(self, overwrite: bool) -> None:
        self._overwrite, self._kinds, self._there = overwrite, catalog(), set(Block.names())
        self._parts: dict[Reference, Block] = {}
        self._names: dict[int, Reference] = {}
        self._taken: dict[Reference, str] = {}

    def all(self, found: list[Found]) -> list[Outcome]:
        """Those that others are parts of come first."""
        simple = [one for one in found if not _parts(one)]
        return [self._one(one) for one in [*simple, *(one for one in found if _parts(one))]]

    def _one(self, found: Found) -> Outcome:
        try:
            if found.problem:
                raise InvalidBlock(found.problem)
            reference, block = self._made(found)
            if reference in self._taken:
                raise InvalidBlock(f"{reference} is already what {shown(self._taken[reference])} becomes")
        except BondstoneError as error:
            return Outcome(found.source, None, REFUSE, str(error))
        self._taken[reference] = found.source
        return self._compared(found.source, reference, block)

    def _compared(self, source: str, reference: Reference, block: Block) -> Outcome:
        change_ = change(reference, block, self._there, self._names)
        if change_.action == CHANGE and not self._overwrite:
            return Outcome(source, change_._replace(action=SKIP), SKIP, "is there and differs: --overwrite")
        if change_.block is not None:
            self._parts[reference] = change_.block
            self._names[id(change_.block)] = reference
        return Outcome(source, change_, change_.action)

    def _made(self, found: Found) -> tuple[Reference, Block]:
        """The block in the first form that this catalog knows, and that takes all of it."""
        fault: BondstoneError = InvalidBlock("there is no kind for it")
        for form in found.forms:
            kind = self._kinds.get(form.kind)
            if kind is None:
                continue
            try:
                reference = Reference(form.kind, slug(found.name))
                return reference, kind(**{name: self._part(value) for name, value in form.fields.items()})
            except BondstoneError as error:
                fault = error
        raise fault

    def _part(self, value: Any) -> Any:
        return self._parts.get(value, value) if isinstance(value, Reference) else value


def _parts(found: Found) -> list[Any]:
    return [value for form in found.forms for value in form.fields.values() if isinstance(value, Reference)]


def _show(outcomes: list[Outcome], as_json: bool) -> None:
    rows = [
        (one.action, _name(one.source), str(one.change.reference) if one.change else "", one.why) for one in outcomes
    ]
    if as_json:
        output.emit_json([dict(zip(("action", "source", "reference", "why"), row, strict=True)) for row in rows])
    else:
        output.table(("what", "from", "to", "why"), rows)


def _name(source: str) -> str:
    """A name that may be a pasted key is not shown."""
    return shown(source).strip("'")
