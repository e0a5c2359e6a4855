"""Icechunk: repositories with live credentials, and commits that happen once."""

from bondstone.integrations.icechunk.commit import IcechunkCommit
from bondstone.integrations.icechunk.distributed import IcechunkDistributedWrite
from bondstone.integrations.icechunk.recovery import resumed, revived
from bondstone.integrations.icechunk.repository import connect

__all__ = ["IcechunkCommit", "IcechunkDistributedWrite", "connect", "resumed", "revived"]
