"""What icechunk asks when it needs credentials. It pickles this when it is given, and unpickles it for every question."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bondstone.blocks import AzureCredentials, Block, GcsCredentials, Handle, IcechunkRepo, InvalidBlock
from bondstone.integrations import azure, gcs
from bondstone.integrations.aws import LiveKeys
from bondstone.integrations.extras import need


class IcechunkKeys(LiveKeys):
    """`LiveKeys` in icechunk's words."""

    def __call__(self) -> Any:
        keys = self.keys()
        answer = need("icechunk", "icechunk").S3StaticCredentials
        return answer(keys.access_key_id, keys.secret_access_key, keys.session_token, self.expiry(keys))

    def __reduce__(self) -> tuple[Any, ...]:
        return IcechunkKeys, (self.handle, self.path)


@dataclass(frozen=True)
class Asked[C: Block]:
    """Answers by the credentials that the bucket of a repository has now. It pickles to the name of the repository's block."""

    handle: Handle[IcechunkRepo]

    def credentials(self, kind: type[C]) -> C:
        """Of the current version, refused or not. Raises `InvalidBlock` if there are none of that kind any more."""
        block = self.handle.get()
        signer = block.bucket.credentials if block.bucket else None
        if not isinstance(signer, kind):
            raise InvalidBlock(f"the bucket of {block.reference} has no {kind.kind} any more: connect again")
        return signer

    def soon(self, end: datetime | None, now: datetime) -> datetime:
        """When icechunk must ask again: after the handle's `ttl`, or when the vendor's own time is up."""
        soon = now + timedelta(seconds=self.handle.ttl)
        return min(soon, end) if end else soon


class GcsAsked(Asked[GcsCredentials]):
    """Of a service account."""

    def __call__(self) -> Any:
        now = datetime.now(UTC)
        bearer = gcs.bearer(self.credentials(GcsCredentials), now)
        answer = need("icechunk", "icechunk").GcsBearerCredential
        return answer(bearer.token, expires_after=self.soon(bearer.expires_at, now))


class AzureAsked(Asked[AzureCredentials]):
    """Of a storage account, whichever way it signs."""

    def __call__(self) -> Any:
        now = datetime.now(UTC)
        signed = azure.signature(self.credentials(AzureCredentials), now)
        answers = need("icechunk", "icechunk").AzureRefreshableCredential
        ways = {"access_key": "AccessKey", "sas_token": "SasToken", "bearer_token": "BearerToken"}
        return getattr(answers, ways[signed.way])(signed.value, expires_after=self.soon(signed.expires_at, now))
