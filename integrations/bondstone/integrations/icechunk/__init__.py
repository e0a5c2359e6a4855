"""Icechunk: repositories with live credentials, and commits that happen once. Each module is imported when it is asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODULES = {
    "IcechunkAppend": "append",
    "IcechunkCommit": "commit",
    "IcechunkDistributedWrite": "distributed",
    "IcechunkGarbageCollect": "garbage",
    "IcechunkPreview": "preview",
    "IcechunkPublish": "publish",
    "IcechunkRegionWrite": "region",
    "IcechunkRetention": "retention",
    "IcechunkRollback": "history",
    "IcechunkTag": "history",
    "IcechunkVerify": "verify",
    "LostUpdateWarning": "region",
    "VirtualIngest": "virtual",
    "connect": "repo",
    "resumed": "recovery",
    "revived": "recovery",
    "write_session": "sessions",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return found
