"""Key providers by address, such as ``aws-kms:arn:aws:kms:…``: the text in `BONDSTONE_KEY` or a key file that names a key elsewhere.

An address comes from the user, never from the registry: whoever can write the database could name a key of their own there.
"""

from collections.abc import Sequence
from pathlib import Path

from bondstone.registry.errors import InvalidSettings
from bondstone.registry.keyring import WrappedKeyring
from bondstone.registry.keys import KeyProvider, key_file, key_line

AWS_KMS, KEYRING, VAULT = "aws-kms", "keyring", "vault"
KINDS = (AWS_KMS, KEYRING, VAULT)


def is_address(text: str) -> bool:
    """Whether this names a key. A key itself has no colon."""
    return text.partition(":")[0] in KINDS and ":" in text


def address_of(row: WrappedKeyring) -> str | None:
    """What a user who trusts this row would set; None where its key has no address."""
    return f"{row.provider}:{row.key_id}" if row.provider in KINDS else None


def expects(rows: Sequence[WrappedKeyring]) -> str:
    """What opens a registry, by its own account: nothing proves that, so its user must choose."""
    expected = " or ".join(row.key_id for row in rows)
    addresses = [address for row in rows if (address := address_of(row))]
    return f"expects {expected}" + (f"; if you trust it, set BONDSTONE_KEY={addresses[0]}" if addresses else "")


def provider_in(path: Path) -> KeyProvider:
    """What the key file at `path` holds: a key, or the address of one. Raises as `key_file` and `provider_at` do."""
    line = key_line(path)
    if is_address(line):
        return provider_at(line)
    del line  # a frame with a key must not be in a traceback
    return key_file(path)


def provider_at(address: str) -> KeyProvider:
    """The provider that `address` names. Raises `InvalidSettings`, `MissingExtra`, `KeyMissing`."""
    kind, _, key_id = address.partition(":")
    if kind == AWS_KMS:
        from bondstone.registry.aws_kms import AwsKms

        return AwsKms(key_id)
    if kind == VAULT:
        from bondstone.registry.vault import VaultTransit

        return VaultTransit(key_id)
    if kind == KEYRING:
        from bondstone.registry.os_keyring import keyring_key

        return keyring_key(key_id)
    raise InvalidSettings(f"a key's address begins with {', '.join(f'{known}:' for known in KINDS)}")
