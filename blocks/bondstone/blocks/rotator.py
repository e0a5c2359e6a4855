"""How credentials are replaced at their source: what an integration writes for its vendor, and how that is found."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Protocol

from bondstone.blocks.block import Block
from bondstone.blocks.rotated import Verified
from bondstone.registry import Conflict, InvalidSettings

GROUP = "bondstone.rotators"  # entry points: the kind → a `Rotator` object
DEADLINE = 30.0  # seconds, for every call to a vendor


class Rotator[B: Block](Protocol):
    """One vendor's side of a rotation.

    Each method but `create` may be called again with the same arguments, since the process may have been killed within it or right
    after it: what is done already is no error. Each ends within `DEADLINE` seconds. They raise `AccessDenied` if the vendor refuses,
    `ServiceUnavailable` if it does not answer in time, and show no value, in no traceback either.
    """

    def guided(self, block: B) -> bool:
        """Whether a person makes the new credential at the vendor, and gives its fields to `create`."""
        ...

    def existing(self, block: B) -> Sequence[str]:
        """Ids of the credentials that the vendor has for the same user now; empty where it tells none.

        It is journalled before the first step. Raises `Conflict` if there is no room for another one.
        """
        ...

    def create(self, block: B, given: Mapping[str, Any]) -> B:
        """The block with a new credential, complete and not saved yet; the credential of `block` stays good.

        `given` are the fields that the caller passed (only a guided rotator takes any).
        """
        ...

    def install(self, new: B, block: B) -> None:
        """Make the vendor take `new`, which is stored by now. Nothing to do where `create` had it from the vendor."""
        ...

    def verify(self, block: B) -> Verified | None:
        """Prove against the real service that this credential is good; waits for a vendor that is slow to know a new one."""
        ...

    def disable(self, old: B, block: B) -> None:
        """Make the vendor refuse `old` from now on, in a way that a person could take back; `block` is the current one."""
        ...

    def retire(self, old: B, block: B) -> None:
        """Remove `old` at the vendor for good."""
        ...

    def discard(self, before: Sequence[str], new: B | None, block: B) -> None:
        """Remove at the vendor what a rotation made that is undone: never one of `before`, nor the one that `block` uses.

        `new` is None if it was never stored (the process was killed right after `create`).
        """
        ...


class Guided:
    """A rotation by hand: the new credential is pasted, stored, verified where that can be done, and the old one is revoked by hand.

    The base of rotators for vendors without an interface for it.
    """

    def guided(self, block: Any) -> bool:
        return True

    remedy = "revoke the old one at its source"

    def existing(self, block: Block) -> Sequence[str]:
        return ()

    def create[B: Block](self, block: B, given: Mapping[str, Any]) -> B:
        if not given:
            raise InvalidSettings(
                f"a {block.kind} is replaced by hand: make a new credential at its source, then give its fields "
                f"(bondstone rotate {block.reference or block.kind} FIELD=@FILE, or FIELD=- for standard input)"
            )
        stale = {"expires_at": None} if "expires_at" in type(block).model_fields else {}  # the old one's end
        changed = block.model_copy(update=stale | dict(given))
        if changed == block:
            raise Conflict(f"this is what {block.reference or block.kind} holds already: nothing was changed")
        return changed

    def install(self, new: Block, block: Block) -> None:
        pass

    def verify(self, block: Any) -> Verified | None:  # Any: those derived take their own kind
        """None: nobody can be asked."""
        return None

    def disable(self, old: Block, block: Block) -> None:
        pass

    def retire(self, old: Block, block: Block) -> None:
        pass

    def discard(self, before: Sequence[str], new: Block | None, block: Block) -> None:
        pass


@cache
def _found() -> dict[str, Any]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def rotator_of(kind: str) -> Any:
    """The rotator of a kind; `Guided` for one that has none. Raises `MissingExtra` where its library is not installed."""
    entry = _found().get(kind)
    return entry.load() if entry else Guided()


__all__ = ["DEADLINE", "GROUP", "Guided", "Rotator", "Verified", "rotator_of"]
