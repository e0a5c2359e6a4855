"""Where blocks lie: named, versioned, sealed documents. Bytes only; knows no vendor and no block."""

from bondstone.registry.errors import (
    AccessDenied,
    BondstoneError,
    Conflict,
    InvalidBlock,
    InvalidData,
    InvalidName,
    InvalidSettings,
    KeyExposed,
    KeyMissing,
    MissingExtra,
    NotFound,
    NotSaved,
    RegistryUnavailable,
    RolledBack,
    ServiceUnavailable,
    UnknownKind,
    Unreadable,
    UnsupportedFormat,
    WrongKey,
)
from bondstone.registry.names import Reference
from bondstone.registry.registry import Registry
from bondstone.registry.results import Document, Listed, SetBack, Version
from bondstone.registry.settings import NoRegistry, Settings, current_registry, registry_at

__all__ = [
    "AccessDenied",
    "BondstoneError",
    "Conflict",
    "Document",
    "InvalidBlock",
    "InvalidData",
    "InvalidName",
    "InvalidSettings",
    "KeyExposed",
    "KeyMissing",
    "Listed",
    "MissingExtra",
    "NoRegistry",
    "NotFound",
    "NotSaved",
    "Reference",
    "Registry",
    "RegistryUnavailable",
    "RolledBack",
    "ServiceUnavailable",
    "SetBack",
    "Settings",
    "UnknownKind",
    "Unreadable",
    "UnsupportedFormat",
    "Version",
    "WrongKey",
    "current_registry",
    "registry_at",
]
