"""Google service accounts. Source: Google for Developers, "Using OAuth 2.0 for Server to Server Applications"."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bondstone.blocks import AccessDenied, InvalidBlock
from bondstone.blocks.errors import guarded
from bondstone.blocks.gcs import GcsCredentials
from bondstone.blocks.rotator import Guided, Verified
from bondstone.integrations.https import ask, good

_TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 -- an address
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_PROVES = (
    "Google gives the service account an access token for the key; which buckets it may read or write is not asked."
)


class GcsAccounts(Guided):
    """Pasted; the key of a service account is verified by exchanging a signed assertion for a token."""

    remedy = "delete the old key of the service account (gcloud iam service-accounts keys delete …)"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    @guarded
    def verify(self, block: GcsCredentials) -> Verified | None:
        if block.service_account is None:
            return None  # Google's default credentials are this machine's, not the block's
        what = block.reference or block.kind
        uri, account, body = _request(block, int(self._clock()))
        answer = ask(uri, what, body=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
        if answer.status == 400:
            raise AccessDenied(
                f"Google refused the key of {what}: is it deleted, or is the clock of this machine wrong?"
            )
        good(answer, what, "is the service account disabled?").json(what)
        return Verified("OAuth 2.0 token exchange", account, _PROVES)


def _request(block: GcsCredentials, now: int) -> tuple[str, str, bytes]:
    """Where to ask, for whom, and the signed body."""
    fields: dict[str, Any] = json.loads(block.service_account.get_secret_value()) if block.service_account else {}
    uri, account = str(fields.get("token_uri", _TOKEN_URI)), str(fields["client_email"])
    claims = {"iss": account, "scope": _SCOPE, "aud": uri, "iat": now, "exp": now + 600}
    header = {"alg": "RS256", "typ": "JWT", "kid": fields.get("private_key_id", "")}
    signed = b".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
    assertion = b".".join((signed, _base64(_signature(fields["private_key"], signed))))
    return uri, account, urlencode({"grant_type": _GRANT, "assertion": assertion}).encode()


def _signature(pem: str, data: bytes) -> bytes:
    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, RSAPrivateKey):
        raise InvalidBlock("the private_key of the service account is not an RSA key: make a new key file")
    return key.sign(data, PKCS1v15(), SHA256())


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


gcs_credentials = GcsAccounts()
