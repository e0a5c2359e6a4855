"""What a rotation and a verification tell."""

from datetime import datetime
from typing import NamedTuple

from bondstone.registry import Reference


class Verified(NamedTuple):
    """What a vendor said of a credential. Nothing in it is secret."""

    by: str  # what was called, such as "sts:GetCallerIdentity"
    identity: str  # who the vendor says that it is
    proves: str  # one sentence, with what it does not prove
    expires_at: datetime | None = None  # where the vendor tells


class Rotated(NamedTuple):
    """Where a rotation stands."""

    reference: Reference
    step: str  # "current", "retired", "rolled-back", "undone", or where an earlier step stopped
    version: int  # the current one; 0: the block was deleted
    retires: int  # the one whose credential goes; 0: none
    retire_at: datetime | None  # not before
    verified: Verified | None  # what the vendor said of the new credential; None if nobody could be asked
    remedy: str  # what is left to be done by hand; empty if nothing is


class Standing(NamedTuple):
    """One block's line in the table of rotations."""

    reference: Reference
    version: int
    changed_at: datetime
    step: str  # empty: never rotated
    retire_at: datetime | None
    holder: str  # who is rotating it now
    why: str  # code of the error that stopped the last attempt
    leased_until: datetime | None
    expires_at: datetime | None  # when the credential ends, where it says so
