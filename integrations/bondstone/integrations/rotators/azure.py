"""Azure service principals. Source: Microsoft Learn, "OAuth 2.0 client credentials flow on the Microsoft identity platform"."""

from datetime import UTC, datetime

from bondstone.blocks.azure import AzureCredentials
from bondstone.blocks.errors import guarded
from bondstone.blocks.rotator import Guided, Verified
from bondstone.integrations.azure import entra_token
from bondstone.integrations.rotators.holders import Holder

_PROVES = (
    "Microsoft Entra gives the application a token for storage; which containers it may read or write is not asked."
)


class AzureAccounts(Guided):
    """Pasted; a client secret is verified by asking for a token. Account keys and signatures are not asked about."""

    remedy = "delete the old secret of the application, or regenerate the account key that is not used any more"

    @guarded
    def verify(self, block: AzureCredentials) -> Verified | None:
        if block.client_secret is None:
            return None
        entra_token(block, datetime.now(UTC))
        return Verified("OAuth 2.0 client credentials", f"application {block.client_id}", _PROVES)


azure_container = Holder()
azure_credentials = AzureAccounts()
