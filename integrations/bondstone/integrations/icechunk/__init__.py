"""Icechunk: repositories with live credentials, and commits that happen once."""

from bondstone.integrations.icechunk.commit import IcechunkCommit
from bondstone.integrations.icechunk.garbage import IcechunkGarbageCollect
from bondstone.integrations.icechunk.history import IcechunkRollback, IcechunkTag
from bondstone.integrations.icechunk.preview import IcechunkPreview
from bondstone.integrations.icechunk.publish import IcechunkPublish
from bondstone.integrations.icechunk.recovery import resumed, revived
from bondstone.integrations.icechunk.repository import connect
from bondstone.integrations.icechunk.retention import IcechunkRetention
from bondstone.integrations.icechunk.sessions import write_session

__all__ = [
    "IcechunkCommit",
    "IcechunkGarbageCollect",
    "IcechunkPreview",
    "IcechunkPublish",
    "IcechunkRetention",
    "IcechunkRollback",
    "IcechunkTag",
    "connect",
    "resumed",
    "revived",
    "write_session",
]
