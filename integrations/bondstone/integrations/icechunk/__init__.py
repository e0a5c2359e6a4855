"""Icechunk: repositories with live credentials, and commits that happen once."""

from bondstone.integrations.icechunk.append import IcechunkAppend
from bondstone.integrations.icechunk.commit import IcechunkCommit
from bondstone.integrations.icechunk.distributed import IcechunkDistributedWrite
from bondstone.integrations.icechunk.recovery import resumed, revived
from bondstone.integrations.icechunk.region import IcechunkRegionWrite, LostUpdateWarning
from bondstone.integrations.icechunk.repository import connect
from bondstone.integrations.icechunk.verify import IcechunkVerify
from bondstone.integrations.icechunk.virtual import VirtualIngest

__all__ = [
    "IcechunkAppend",
    "IcechunkCommit",
    "IcechunkRegionWrite",
    "LostUpdateWarning",
    "IcechunkDistributedWrite",
    "IcechunkVerify",
    "VirtualIngest",
    "connect",
    "resumed",
    "revived",
]
