"""Icechunk: repositories with live credentials, and commits that happen once."""

from bondstone.integrations.icechunk.commit import IcechunkCommit
from bondstone.integrations.icechunk.recovery import resumed, revived
from bondstone.integrations.icechunk.repo import connect

__all__ = ["IcechunkCommit", "connect", "resumed", "revived"]
