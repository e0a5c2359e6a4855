"""A repository in Google Cloud Storage or in Azure, and credentials for it that come and go."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from bondstone.cli.demo.hunt import hunt_bytes
from tests.integrations.azure_storage import Azure, azure_storage
from tests.integrations.conftest import save
from tests.integrations.google_storage import Google, google_storage

BUCKET, ACCOUNT = "reports", "ocean0"
PRINCIPAL = {"tenant_id": "example.org", "client_id": "00000000-0000-0000-0000-000000000001"}


@dataclass
class Cloud:
    """`icechunk-repo/ocean`, which leads by `bucket` to a service; `credentials` holds what it takes at this moment."""

    service: Google | Azure
    bucket: str
    credentials: str
    new: Callable[[], Mapping[str, str]] = field(repr=False)  # of the service: the fields of credentials that it takes
    secrets: dict[str, str] = field(default_factory=dict, repr=False)  # every one there ever was

    def __post_init__(self) -> None:
        self.publish()
        place = {"container": BUCKET} if isinstance(self.service, Azure) else {"bucket": BUCKET}
        save(self.bucket, **place, prefix="2026", endpoint=self.service.url, credentials=self.credentials)
        save("icechunk-repo/ocean", bucket=self.bucket, prefix="ocean")

    def publish(self) -> None:
        """New ones, as the next version of the block."""
        fields = self.new()
        self.secrets |= {f"secret {len(self.secrets)}": secret_of(**fields)}
        save(self.credentials, **fields)

    def rotate(self) -> None:
        """Others in the block, and none but those taken."""
        self.service.revoke()
        self.publish()

    def shown_in(self, data: bytes) -> list[str]:
        """In what ways a secret stands in `data`: one of the blocks, or a token that was made of one."""
        return [str(hit) for hit in hunt_bytes(self.secrets | self._tokens(), data, "data")]

    def _tokens(self) -> dict[str, str]:
        return {f"token {number}": token for number, token in enumerate(self.service.given)}


def secret_of(**fields: str) -> str:
    """What in the fields of credentials nobody may see."""
    if "service_account" in fields:
        return str(json.loads(fields["service_account"])["private_key"].splitlines()[1])
    if "connection_string" in fields:
        return fields["connection_string"].partition("AccountKey=")[2]
    return next(fields[name] for name in ("account_key", "sas_token", "client_secret") if name in fields)


@contextmanager
def google() -> Iterator[Cloud]:
    """By the key of a service account."""
    with google_storage(BUCKET) as service:
        yield Cloud(
            service, "gcs-bucket/reports", "gcs-credentials/prod", lambda: {"service_account": service.create_key()}
        )


@contextmanager
def azure(way: str = "key") -> Iterator[Cloud]:
    """By a key of the account, by one in a connection string, by a shared access signature, or by a service principal."""
    with azure_storage(ACCOUNT, BUCKET) as service:
        account = {"account_name": ACCOUNT}
        ways: dict[str, Callable[[], dict[str, Any]]] = {
            "key": lambda: account | {"account_key": service.create_key()},
            "string": lambda: {"connection_string": f"AccountName={ACCOUNT};AccountKey={service.create_key()}"},
            "signature": lambda: account | {"sas_token": service.create_signature()},
            "principal": lambda: (
                account | PRINCIPAL | {"client_secret": service.create_secret(), "authority_host": service.url}
            ),
        }
        yield Cloud(service, "azure-container/reports", "azure-credentials/prod", ways[way])


CLOUDS: dict[str, Callable[[], AbstractContextManager[Cloud]]] = {
    "google": google,
    "azure": azure,
    "azure-string": lambda: azure("string"),
    "azure-signature": lambda: azure("signature"),
    "azure-principal": lambda: azure("principal"),
}
