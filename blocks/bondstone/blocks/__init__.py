"""What a credential is: typed, encrypted values with names.

    Secret(value="…").save("token")
    Secret.load("token").get()

Kinds are imported when they are asked for; `catalog()` has them all.
"""

from typing import TYPE_CHECKING, Any

from bondstone.registry import (
    AccessDenied,
    BondstoneError,
    Conflict,
    InvalidBlock,
    InvalidData,
    InvalidName,
    InvalidSettings,
    InvalidStatement,
    KeyExposed,
    KeyMissing,
    MissingExtra,
    NotFound,
    NotSaved,
    Reference,
    RegistryUnavailable,
    RolledBack,
    ServiceUnavailable,
    UnknownKind,
    Unreadable,
    UnsupportedFormat,
    Version,
    WrongKey,
)
from bondstone.registry.names import kebab

from bondstone.blocks.block import Block  # isort: skip
from bondstone.blocks.catalog import catalog, find, own
from bondstone.blocks.expiry import CredentialExpired, expires_at
from bondstone.blocks.handle import Handle, live
from bondstone.blocks.secret_values import SecretData, SecretStr

if TYPE_CHECKING:
    from bondstone.blocks.arraylake import ArraylakeRepo, ArraylakeToken
    from bondstone.blocks.aws import AwsCredentials, S3Bucket
    from bondstone.blocks.azure import AzureContainer, AzureCredentials
    from bondstone.blocks.database import DatabaseCredentials
    from bondstone.blocks.docker import DockerRegistry
    from bondstone.blocks.gcs import GcsBucket, GcsCredentials
    from bondstone.blocks.git import GitCredentials, GitRepository
    from bondstone.blocks.gitlab import GitlabToken
    from bondstone.blocks.http import HttpWebhook
    from bondstone.blocks.icechunk import IcechunkRepo
    from bondstone.blocks.kubernetes import KubernetesCluster
    from bondstone.blocks.resolving import aresolve, resolve
    from bondstone.blocks.secret import Secret
    from bondstone.blocks.ssh import SshKey

__all__ = [
    "AccessDenied",
    "ArraylakeRepo",
    "ArraylakeToken",
    "AwsCredentials",
    "AzureContainer",
    "AzureCredentials",
    "Block",
    "BondstoneError",
    "Conflict",
    "CredentialExpired",
    "DatabaseCredentials",
    "DockerRegistry",
    "GcsBucket",
    "GcsCredentials",
    "GitCredentials",
    "GitRepository",
    "GitlabToken",
    "Handle",
    "HttpWebhook",
    "IcechunkRepo",
    "InvalidBlock",
    "InvalidData",
    "InvalidName",
    "InvalidSettings",
    "InvalidStatement",
    "KeyExposed",
    "KeyMissing",
    "KubernetesCluster",
    "MissingExtra",
    "NotFound",
    "NotSaved",
    "Reference",
    "RegistryUnavailable",
    "RolledBack",
    "S3Bucket",
    "Secret",
    "SecretData",
    "SecretStr",
    "ServiceUnavailable",
    "SshKey",
    "UnknownKind",
    "Unreadable",
    "UnsupportedFormat",
    "Version",
    "WrongKey",
    "aresolve",
    "catalog",
    "expires_at",
    "find",
    "live",
    "resolve",
]


def __getattr__(name: str) -> Any:
    """A kind's class, by its name: `from bondstone.blocks import S3Bucket` imports the module of that vendor and no other SDK."""
    if name in ("aresolve", "resolve"):
        from bondstone.blocks import resolving

        return getattr(resolving, name)
    block = own(kebab(name)) if name[:1].isupper() else None
    if block is not None and block.__name__ == name and block.__module__.startswith("bondstone.blocks."):
        globals()[name] = block
        return block
    raise AttributeError(f"module 'bondstone.blocks' has no attribute '{name}'")
