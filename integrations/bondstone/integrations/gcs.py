"""Tokens that a Google service account makes itself. Source: Google, "Using OAuth 2.0 for Server to Server Applications"."""

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bondstone.blocks import GcsCredentials, InvalidBlock

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_HOUR = 3600  # the most that Google takes


class Bearer(NamedTuple):
    """What a request carries."""

    token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Bearer({self.expires_at})"


def bearer(credentials: GcsCredentials, now: datetime) -> Bearer:
    """A token that is good for half an hour at least, made here: nobody is asked, and it is refused as soon as its key is deleted.

    Raises `InvalidBlock` if there is no service account, or its key is not RSA.
    """
    start = int(now.timestamp()) // (_HOUR // 2) * (_HOUR // 2)
    end = datetime.fromtimestamp(start, UTC) + timedelta(seconds=_HOUR)
    return Bearer(_token(credentials, start), end)  # pyright: ignore[reportArgumentType]  # blocks are hashable


@lru_cache(maxsize=64)
def _token(credentials: GcsCredentials, start: int) -> str:
    fields = account(credentials)
    email = str(fields["client_email"])
    return signed(fields, {"iss": email, "sub": email, "scope": _SCOPE, "iat": start, "exp": start + _HOUR})


def account(credentials: GcsCredentials) -> dict[str, Any]:
    """What stands in the key file."""
    if credentials.service_account is None:
        raise InvalidBlock(f"{credentials.reference} holds no service account any more: connect again")
    fields: dict[str, Any] = json.loads(credentials.service_account.get_secret_value())
    return fields


def signed(fields: dict[str, Any], claims: dict[str, Any]) -> str:
    """A JSON Web Token of `claims` by the key of a service account. Source: RFC 7519."""
    header = {"alg": "RS256", "typ": "JWT", "kid": fields.get("private_key_id", "")}
    content = ".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
    return f"{content}.{_base64(_signature(fields['private_key'], content.encode()))}"


def _signature(pem: str, data: bytes) -> bytes:
    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, RSAPrivateKey):
        raise InvalidBlock("the private_key of the service account is not an RSA key: make a new key file")
    return key.sign(data, PKCS1v15(), SHA256())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
