"""Google service accounts. Source: Google for Developers, "Using OAuth 2.0 for Server to Server Applications"."""

import time
from collections.abc import Callable
from urllib.parse import urlencode

from bondstone.blocks import AccessDenied
from bondstone.blocks.errors import guarded
from bondstone.blocks.gcs import GcsCredentials
from bondstone.blocks.rotator import Guided, Verified
from bondstone.integrations.gcs import account, signed
from bondstone.integrations.https import ask, good
from bondstone.integrations.rotators.holders import Holder

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
        uri, email, body = _request(block, int(self._clock()))
        answer = ask(uri, what, body=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
        if answer.status == 400:
            raise AccessDenied(
                f"Google refused the key of {what}: is it deleted, or is the clock of this machine wrong?"
            )
        good(answer, what, "is the service account disabled?").json(what)
        return Verified("OAuth 2.0 token exchange", email, _PROVES)


def _request(block: GcsCredentials, now: int) -> tuple[str, str, bytes]:
    """Where to ask, for whom, and the signed body."""
    fields = account(block)
    uri, email = str(fields.get("token_uri", _TOKEN_URI)), str(fields["client_email"])
    assertion = signed(fields, {"iss": email, "scope": _SCOPE, "aud": uri, "iat": now, "exp": now + 600})
    return uri, email, urlencode({"grant_type": _GRANT, "assertion": assertion}).encode()


gcs_bucket = Holder()
gcs_credentials = GcsAccounts()
