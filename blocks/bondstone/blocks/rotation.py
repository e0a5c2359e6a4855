"""Rotate a block's credential: the engine of the registry, driven by the rotator of the block's kind."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from bondstone.blocks import document
from bondstone.blocks.block import Block
from bondstone.blocks.catalog import find
from bondstone.blocks.errors import guarded
from bondstone.blocks.expiry import expiries
from bondstone.blocks.loading import load
from bondstone.blocks.rotated import Rotated, Standing, Verified
from bondstone.blocks.rotator import rotator_of
from bondstone.blocks.secret_values import SecretData, SecretStr
from bondstone.blocks.storing import stored_form
from bondstone.registry import BondstoneError, Conflict, InvalidName, Reference, Registry, current_registry
from bondstone.registry.journal import GRACE, UNPROMOTED, Step
from bondstone.registry.results import when
from bondstone.registry.rotation import Rotation, due


class VendorSource:
    """A kind's rotator as the engine sees it: versions by number, documents as bytes."""

    def __init__(self, cls: type[Block], reference: Reference, registry: Registry, given: Mapping[str, Any]) -> None:
        self._cls, self._reference, self._registry, self._given = cls, reference, registry, given
        self.rotator = rotator_of(cls.kind)
        self.verified: Verified | None = None

    def same(self, one: int, other: int) -> bool:
        return _secrets(self._block(one)) == _secrets(self._block(other))

    def existing(self, current: int) -> Sequence[str]:
        block = self._block(current)
        guided = self.rotator.guided(block)
        if self._given and not guided:
            raise Conflict(
                f"the new credential of {self._reference} is made for it: leave {', '.join(self._given)} out, or save instead"
            )
        if guided:
            self.create(current)  # what was given is checked before anything is written
        return cast("Sequence[str]", self.rotator.existing(block))

    def create(self, current: int) -> bytes:
        new: Block = self.rotator.create(self._block(current), self._given)
        return document.dumps(stored_form(new, self._registry.address))

    def install(self, new: int, current: int) -> None:
        self.rotator.install(self._block(new), self._block(current))

    def verify(self, new: int) -> None:
        self.verified = self.rotator.verify(self._block(new))

    def disable(self, old: int, current: int) -> None:
        self.rotator.disable(self._block(old), self._block(current))

    def retire(self, old: int, current: int) -> None:
        self.rotator.retire(self._block(old), self._block(current))

    def discard(self, before: Sequence[str], new: int, current: int) -> None:
        self.rotator.discard(before, self._block(new) if new else None, self._block(current))

    def _block(self, version: int) -> Block:
        return load(self._cls, Reference(self._cls.kind, self._reference.name, version), self._registry)


def _secrets(block: Block) -> dict[str, Any]:
    """What makes two versions the same credential. Blocks inside have rotations of their own."""
    return {name: value for name, value in block if isinstance(value, SecretStr | SecretData)}


def _nothing(point: str) -> None:
    pass


@guarded
def rotate(
    reference: str,
    *,
    grace: int | None = None,
    compromised: bool = False,
    at: Callable[[str], None] = _nothing,
    **fields: Any,
) -> Rotated:
    """Replace the credential of a block at its source, and end a rotation that was interrupted.

    A kind that cannot be replaced by itself takes the `fields` of the new credential, made by hand. `grace` is in seconds: how long the
    old credential stays good; as long as somebody may use it if not given. With `compromised` it is retired at once, whoever uses it.
    `at` is told each point that is passed.

    Raises `InvalidSettings` for a grace that is too short, `Conflict` if another one rotates it or the last rotation is in its grace,
    `AccessDenied` or `ServiceUnavailable` from the vendor: then the current version is what it was.
    """
    name, source, rotation = _rotation(reference, fields, at)
    if (
        fields and _step(name).step in UNPROMOTED
    ):  # another one was pasted: the pending one was refused, or is not wanted
        rotation.rollback()
    return _rotated(name, source, lambda: rotation.rotate(grace=grace, compromised=compromised))


@guarded
def finish(reference: str, *, at_once: bool = False, at: Callable[[str], None] = _nothing) -> Rotated:
    """Retire the old credential of a block whose grace is over. Raises `Conflict` before that, unless `at_once`."""
    name, source, rotation = _rotation(reference, {}, at)
    return _rotated(name, source, lambda: rotation.finish(at_once=at_once))


@guarded
def rollback(reference: str, *, at: Callable[[str], None] = _nothing) -> Rotated:
    """Take a rotation back, as long as the previous credential lives. Raises `Conflict` after that.

    A block that was saved over, not rotated, goes back to its previous version too.
    """
    name, source, rotation = _rotation(reference, {}, at)
    registry, step = current_registry(), _step(name)
    if step.step in (*UNPROMOTED, "undoing") or step.version == registry.head(name.kind, name.name).current:
        return _rotated(name, source, rotation.rollback)
    registry.rollback(name.kind, name.name)  # what is current was saved, not rotated
    return _told(name, source)


@guarded
def verify(reference: str) -> Verified | None:
    """Ask the vendor whether the credential of a block is good. None if nobody can be asked.

    Raises `AccessDenied` if it is refused, `ServiceUnavailable` if there is no answer in time.
    """
    parsed = Reference.parse(reference)
    return cast("Verified | None", rotator_of(parsed.kind).verify(Block.load(parsed)))


def rotate_due(tell: Callable[[Reference, Rotated | BondstoneError], None]) -> int:
    """Retire every old credential whose grace is over, and go on with what was interrupted; how many failed. Fit for cron.

    What must wait longer, for a lease or for another rotator (`Conflict`), is told, and is no failure.
    """
    failed = 0
    for item in due(current_registry()):
        name = Reference(item.kind, item.name)
        try:
            tell(name, finish(name) if item.step.step not in UNPROMOTED else rotate(name))
        except BondstoneError as error:
            failed += not isinstance(error, Conflict)
            tell(name, error)
    return failed


def rotations() -> list[Standing]:
    """Every block that is there, by kind, then name, with what its rotation waits for."""
    registry = current_registry()
    now = registry.shared_now()
    steps = {(kind, name): step for kind, name, step in registry.journal.all()}
    leases = {(lease.kind, lease.name): lease.until for lease in registry.leases.all()}
    lines, listed = [], registry.list()
    ends = expiries(registry, listed)
    for item in listed:
        step = steps.get((item.kind, item.name), Step()) or Step("unreadable")
        until = leases.get((item.kind, item.name))
        lines.append(
            Standing(
                item.reference,
                item.version,
                item.changed_at,
                step.step,
                when(step.retire_at) if step.step in GRACE else None,
                step.holder if step.until > now else "",
                step.why,
                when(until) if until else None,
                ends.get(item.reference),
            )
        )
    return lines


def _rotation(
    reference: str, fields: Mapping[str, Any], at: Callable[[str], None]
) -> tuple[Reference, VendorSource, Rotation]:
    parsed = Reference.parse(reference)
    if parsed.version is not None or parsed.field is not None:
        raise InvalidName(f"a rotation is of a name, '{parsed.kind}/{parsed.name}': leave the rest of '{parsed}' out")
    cls, registry = find(parsed.kind), current_registry()
    source = VendorSource(cls, parsed, registry, fields)
    return parsed, source, Rotation(registry, parsed.kind, parsed.name, source, at=at)


def _rotated(name: Reference, source: VendorSource, act: Callable[[], Step]) -> Rotated:
    act()
    return _told(name, source)


def _told(name: Reference, source: VendorSource) -> Rotated:
    step, head = _step(name), current_registry().any_head(name.kind, name.name)
    remedy = getattr(source.rotator, "remedy", "") if step.step in ("current", "retired") else ""
    if head.deleted:  # nothing here knows its credentials any more
        remedy = "it was deleted during its rotation: see at its source that none of its credentials is left"
    retire_at = when(step.retire_at) if step.step in GRACE else None
    return Rotated(name, step.step, head.current, step.retires, retire_at, source.verified, remedy)


def _step(name: Reference) -> Step:
    return current_registry().journal.read(name.kind, name.name)[1]
