"""GitHub Apps: the token of an installation, good for an hour.

Source: GitHub Docs, "Generating a JSON Web Token (JWT) for a GitHub App" and "Generating an installation access token for a GitHub App".
"""

import json
import time
from base64 import urlsafe_b64encode
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from bondstone.blocks import AccessDenied, BondstoneError, GitCredentials, InvalidBlock, SecretStr, ServiceUnavailable

DEADLINE = 30.0  # seconds


def installation_token(app: GitCredentials, url: str) -> SecretStr:
    """A new token for repositories at the host of `url`. Raises `AccessDenied`, `ServiceUnavailable`, `InvalidBlock`."""
    address = f"{_api(url)}/app/installations/{app.app_installation_id}/access_tokens"
    headers = {"Authorization": f"Bearer {_signed(app)}", "Accept": "application/vnd.github+json"}
    who, fault = app.reference or "the GitHub App", None
    try:
        request = Request(address, method="POST", headers=headers)  # noqa: S310 -- http or https, by _api
        with urlopen(request, timeout=DEADLINE) as answer:  # noqa: S310
            return SecretStr(json.load(answer)["token"])
    except HTTPError as error:
        error.close()
        fault = _told(error.code, str(who))
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        fault = ServiceUnavailable(f"GitHub gave no token for {who}: no answer that makes sense; try again")
    raise fault  # outside the `except`: the request has the signed token in its headers


def _told(status: int, who: str) -> BondstoneError:
    if status in (401, 403, 404):
        return AccessDenied(
            f"GitHub gave no token for {who} (HTTP {status}): correct its app_id, app_installation_id or app_private_key"
        )
    return ServiceUnavailable(f"GitHub gave no token for {who} (HTTP {status}): try again")


def _api(url: str) -> str:
    """Of github.com, or of a GitHub Enterprise Server."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InvalidBlock("a GitHub App needs a repository URL that begins with https://")
    return "https://api.github.com" if parts.hostname == "github.com" else f"{parts.scheme}://{parts.netloc}/api/v3"


def _signed(app: GitCredentials) -> str:
    """Who we are, signed. A minute back, as GitHub advises, for clocks that differ."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = None
    try:
        pem = app.app_private_key
        key = load_pem_private_key(pem.get_secret_value().encode() if pem else b"", None)
    except (ValueError, TypeError):
        pass
    if not isinstance(key, RSAPrivateKey):
        raise InvalidBlock(f"app_private_key of {app.reference} is no RSA key without a passphrase: download a new one")
    now = int(time.time())
    parts = ({"alg": "RS256", "typ": "JWT"}, {"iat": now - 60, "exp": now + 540, "iss": app.app_id})
    text = ".".join(_base64(json.dumps(part).encode()) for part in parts)
    return f"{text}.{_base64(key.sign(text.encode(), PKCS1v15(), SHA256()))}"


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
