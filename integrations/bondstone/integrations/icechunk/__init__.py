"""Icechunk: repositories with live credentials, and commits that happen once."""

from bondstone.integrations.icechunk.append import IcechunkAppend
from bondstone.integrations.icechunk.commit import IcechunkCommit
from bondstone.integrations.icechunk.distributed import IcechunkDistributedWrite
from bondstone.integrations.icechunk.garbage import IcechunkGarbageCollect
from bondstone.integrations.icechunk.history import IcechunkRollback, IcechunkTag
from bondstone.integrations.icechunk.preview import IcechunkPreview
from bondstone.integrations.icechunk.publish import IcechunkPublish
from bondstone.integrations.icechunk.recovery import resumed, revived
from bondstone.integrations.icechunk.region import IcechunkRegionWrite, LostUpdateWarning
from bondstone.integrations.icechunk.repo import connect
from bondstone.integrations.icechunk.retention import IcechunkRetention
from bondstone.integrations.icechunk.sessions import write_session
from bondstone.integrations.icechunk.verify import IcechunkVerify
from bondstone.integrations.icechunk.virtual import VirtualIngest

__all__ = [
    "IcechunkAppend",
    "IcechunkCommit",
    "IcechunkDistributedWrite",
    "IcechunkGarbageCollect",
    "IcechunkPreview",
    "IcechunkPublish",
    "IcechunkRegionWrite",
    "IcechunkRetention",
    "IcechunkRollback",
    "IcechunkTag",
    "IcechunkVerify",
    "LostUpdateWarning",
    "VirtualIngest",
    "connect",
    "resumed",
    "revived",
    "write_session",
]
