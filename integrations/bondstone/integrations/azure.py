"""What signs requests to a storage account of Azure, as its credentials say.

Sources: Microsoft Learn, "Configure Azure Storage connection strings" and "OAuth 2.0 client credentials flow on the Microsoft identity
platform".
"""

from datetime import datetime, timedelta
from threading import Lock
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from bondstone.blocks import AccessDenied, AzureContainer, AzureCredentials, InvalidBlock, ServiceUnavailable
from bondstone.integrations.https import ask, good

_SCOPE = "https://storage.azure.com/.default"
_SPARE = timedelta(minutes=5)
_tokens: "dict[AzureCredentials, Signature]" = {}
_asking = Lock()


class Signature(NamedTuple):
    """What signs a request."""

    way: str  # access_key, sas_token or bearer_token
    value: str
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        return f"Signature({self.way!r})"


def signature(credentials: AzureCredentials, now: datetime) -> Signature:
    """Raises `InvalidBlock`, and for a service principal `AccessDenied` and `ServiceUnavailable`."""
    if credentials.account_key:
        return Signature("access_key", credentials.account_key.get_secret_value())
    if credentials.sas_token:
        return Signature("sas_token", credentials.sas_token.get_secret_value())
    if credentials.client_secret:
        return _bearer(credentials, now)
    parts = _parts(credentials)
    if "accountkey" in parts:
        return Signature("access_key", parts["accountkey"])
    if "sharedaccesssignature" in parts:
        return Signature("sas_token", parts["sharedaccesssignature"])
    raise InvalidBlock(f"{credentials.reference} is for the storage emulator: give its account_name and account_key")


def account_name(container: AzureContainer) -> str:
    """The container's own, else that of its credentials. Raises `InvalidBlock` if neither says."""
    signer = container.credentials
    parts = _parts(signer) if signer else {}
    host = urlsplit(parts.get("blobendpoint", "")).hostname or ""
    by_host = host.partition(".blob.")[0] if ".blob." in host else None
    name = container.account_name or (signer.account_name if signer else None) or parts.get("accountname") or by_host
    if not name:
        raise InvalidBlock(f"{container.reference} does not say which account it is in: give account_name")
    return name


def endpoint(container: AzureContainer) -> str | None:
    """The container's own, else that of a connection string; None for the public cloud's."""
    parts = _parts(container.credentials) if container.credentials else {}
    found = container.endpoint or parts.get("blobendpoint")
    if found is None and "endpointsuffix" in parts:
        scheme = parts.get("defaultendpointsprotocol", "https")
        found = f"{scheme}://{account_name(container)}.blob.{parts['endpointsuffix']}"
    return found.rstrip("/") if found else None


def _parts(credentials: AzureCredentials) -> dict[str, str]:
    """Of the connection string, by their names in lower case."""
    text = credentials.connection_string.get_secret_value() if credentials.connection_string else ""
    parts = (part.partition("=") for part in text.split(";"))
    return {name.strip().lower(): value for name, _, value in parts}


def _bearer(credentials: AzureCredentials, now: datetime) -> Signature:
    """The token of a service principal, which is asked for once in its life (an hour or so)."""
    with _asking:
        for old in [one for one, token in _tokens.items() if _ends(token, now)]:
            del _tokens[old]
        known = _tokens.get(credentials)  # pyright: ignore[reportArgumentType]  # blocks are hashable
        if known is None:
            known = _tokens[credentials] = entra_token(credentials, now)  # pyright: ignore[reportArgumentType]
        return known


def _ends(token: Signature, now: datetime) -> bool:
    return token.expires_at is None or token.expires_at - _SPARE < now


def entra_token(credentials: AzureCredentials, now: datetime) -> Signature:
    """A new token for storage, from Microsoft Entra. Raises `AccessDenied`, `ServiceUnavailable`."""
    what = credentials.reference or credentials.kind
    url = f"{credentials.authority_host.rstrip('/')}/{quote(credentials.tenant_id or '', safe='')}/oauth2/v2.0/token"
    answer = ask(url, what, body=_body(credentials), headers={"Content-Type": "application/x-www-form-urlencoded"})
    if answer.status == 400:
        raise AccessDenied(
            f"Microsoft Entra refused {what}: are tenant_id, client_id and client_secret of one application?"
        )
    told = good(answer, what, "is the client secret expired, or deleted?").json(what)
    if not (isinstance(told.get("access_token"), str) and isinstance(told.get("expires_in"), int)):
        raise ServiceUnavailable(f"{what}: what answers is not Microsoft Entra: correct its authority_host")
    return Signature("bearer_token", told["access_token"], now + timedelta(seconds=told["expires_in"]))


def _body(credentials: AzureCredentials) -> bytes:
    secret = credentials.client_secret.get_secret_value() if credentials.client_secret else ""
    fields = {
        "grant_type": "client_credentials",
        "scope": _SCOPE,
        "client_id": credentials.client_id,
        "client_secret": secret,
    }
    return urlencode(fields).encode()
