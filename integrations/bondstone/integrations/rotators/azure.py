"""Azure service principals. Source: Microsoft Learn, "OAuth 2.0 client credentials flow on the Microsoft identity platform"."""

from urllib.parse import quote, urlencode

from bondstone.blocks import AccessDenied
from bondstone.blocks.azure import AzureCredentials
from bondstone.blocks.errors import guarded
from bondstone.blocks.rotator import Guided, Verified
from bondstone.integrations.https import ask, good

_SCOPE = "https://storage.azure.com/.default"
_PROVES = (
    "Microsoft Entra gives the application a token for storage; which containers it may read or write is not asked."
)


class AzureAccounts(Guided):
    """Pasted; a client secret is verified by asking for a token. Account keys and signatures are not asked about."""

    remedy = "delete the old secret of the application, or regenerate the account key that is not used any more"

    def __init__(self, login: str = "https://login.microsoftonline.com") -> None:
        self._login = login

    @guarded
    def verify(self, block: AzureCredentials) -> Verified | None:
        if not (block.tenant_id and block.client_id and block.client_secret):
            return None
        what, url = block.reference or block.kind, f"{self._login}/{quote(block.tenant_id, safe='')}/oauth2/v2.0/token"
        answer = ask(url, what, body=_body(block), headers={"Content-Type": "application/x-www-form-urlencoded"})
        if answer.status == 400:
            raise AccessDenied(
                f"Microsoft Entra refused {what}: are tenant_id, client_id and client_secret of one application?"
            )
        good(answer, what, "is the client secret expired, or deleted?").json(what)
        return Verified("OAuth 2.0 client credentials", f"application {block.client_id}", _PROVES)


def _body(block: AzureCredentials) -> bytes:
    secret = block.client_secret.get_secret_value() if block.client_secret else ""
    fields = {
        "grant_type": "client_credentials",
        "scope": _SCOPE,
        "client_id": block.client_id,
        "client_secret": secret,
    }
    return urlencode(fields).encode()


azure_credentials = AzureAccounts()
