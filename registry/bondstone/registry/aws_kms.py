"""A wrapping key in AWS KMS: it never leaves the service, which wraps and unwraps the root keys and keeps a log of it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bondstone.registry.envelope import Context, unreadable
from bondstone.registry.errors import (
    AccessDenied,
    BondstoneError,
    InvalidSettings,
    KeyMissing,
    MissingExtra,
    ServiceUnavailable,
    WrongKey,
)
from bondstone.registry.keys import WHAT

MOST = 4096  # bytes, KMS's limit for Encrypt: 93 root keys
_ARN = re.compile(r"arn:aws[a-z-]*:kms:([a-z0-9-]+):\d{12}:key/[A-Za-z0-9-]+", re.ASCII)


def _client(region: str) -> Any:
    try:
        import boto3
    except ImportError:
        raise MissingExtra("a key in AWS KMS needs the extra: pip install 'bondstone[aws]'") from None
    return boto3.client("kms", region_name=region)


@dataclass(frozen=True)
class AwsKms:
    """A KMS key, by its ARN. Who we are, boto3's default chain says; `client` gives its client for a region.

    The registry's id and the slot are the encryption context: KMS authenticates them, and its log (CloudTrail) shows them.
    """

    key_id: str
    client: Callable[[str], Any] = field(default=_client, repr=False)
    kind: str = "aws-kms"

    def __post_init__(self) -> None:
        if not _ARN.fullmatch(self.key_id):
            raise InvalidSettings(
                "a KMS key is named by its full ARN, arn:aws:kms:REGION:ACCOUNT:key/ID: an alias can be pointed elsewhere"
            )

    def wrap(self, keys: bytes, context: Context) -> bytes:
        if len(keys) > MOST:
            raise InvalidSettings(
                f"KMS wraps at most {MOST} bytes, and the root keys take {len(keys)}: use another key"
            )
        return bytes(self._ask("encrypt", context, Plaintext=keys)["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        if not isinstance(wrapped, bytes) or not wrapped:
            raise unreadable(WHAT)
        answer = self._ask("decrypt", context, CiphertextBlob=wrapped)
        if answer["KeyId"] != self.key_id:
            raise WrongKey(f"wrong key: KMS opened the keyring with another key than {self.key_id}")
        return bytes(answer["Plaintext"])

    def _ask(self, act: str, context: Context, **what: bytes) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        region = _ARN.fullmatch(self.key_id)
        assert region is not None  # noqa: S101 -- checked when it was made
        try:
            ask = getattr(self.client(region[1]), act)
            answer: dict[str, Any] = ask(KeyId=self.key_id, EncryptionContext=encryption_context(context), **what)
        except ClientError as error:
            told = error.response.get("Error", {})
            fault = _fault(str(told.get("Code", "")), str(told.get("Message", "")), self.key_id)
        except BotoCoreError as error:
            fault = ServiceUnavailable(
                f"AWS KMS did not answer ({type(error).__name__}): try again, or check network and credentials"
            )
        else:
            return answer
        raise fault


def encryption_context(context: Context) -> dict[str, str]:
    """What KMS authenticates: every part of the row that is in clear."""
    return {
        "bondstone:registry": context.registry_id,
        "bondstone:slot": context.name,
        "bondstone:generation": str(context.number),
        "bondstone:changed-at": str(context.time),
    }


def _fault(code: str, message: str, key_id: str) -> BondstoneError:
    """What KMS's error code means here."""
    if code == "InvalidCiphertextException":
        return unreadable(WHAT)
    # Of a ciphertext of another key KMS says either; whoever lacks the right is "not authorized".
    if code == "IncorrectKeyException" or (code == "AccessDeniedException" and "authorized" not in message):
        return WrongKey(f"wrong key: the keyring was not wrapped by {key_id}")
    if code in ("NotFoundException", "DisabledException", "KMSInvalidStateException"):
        return KeyMissing(
            f"KMS has no usable key {key_id} ({code}): enable it, cancel its deletion, or use another slot"
        )
    if code in ("KMSInternalException", "DependencyTimeoutException", "KeyUnavailableException", "ThrottlingException"):
        return ServiceUnavailable(f"AWS KMS did not answer ({code}): try again")
    return AccessDenied(f"AWS KMS refused ({code}): allow kms:Encrypt and kms:Decrypt on {key_id}")
