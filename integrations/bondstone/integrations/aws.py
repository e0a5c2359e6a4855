"""The keys of an AWS account, as they are now: one picklable provider behind every client."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from bondstone.blocks import AccessDenied, AwsCredentials, Block, BondstoneError, Handle, NotFound, ServiceUnavailable
from bondstone.integrations.extras import need


class Keys(NamedTuple):
    """What signs a request."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None
    expires_at: datetime | None  # the vendor's, for temporary keys

    def __repr__(self) -> str:
        return f"Keys({self.access_key_id!r})"


@dataclass(frozen=True)
class LiveKeys:
    """The keys that a block holds now, found again each time.

    `path` leads from the block of `handle` to its `AwsCredentials`, through fields and mappings. It pickles to the name of the block, so
    it can travel inside a client. Called, it is an obstore credential provider.
    """

    handle: Handle[Any]
    path: tuple[str, ...] = ("credentials",)
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC), compare=False, repr=False)

    def credentials(self) -> AwsCredentials | None:
        """The block itself; None for the vendor's default chain."""
        found: Any = self.handle.get()
        for step in self.path:
            found = found[step] if isinstance(found, Mapping) else getattr(found, step)
        return found if isinstance(found, Block) else None  # type: ignore[return-value]

    def keys(self) -> Keys:
        """Raises what `Block.load` raises, and `AccessDenied` where the default chain finds nothing."""
        return keys_of(self.credentials())

    def renew(self) -> None:
        """After a refusal: ask the registry, however fresh the handle's answer is."""
        self.handle.refresh()

    def expiry(self, keys: Keys) -> datetime:
        """When a client must ask again: after the handle's `ttl`, or when the vendor's own time is up."""
        soon = self.clock() + timedelta(seconds=self.handle.ttl)
        return min(soon, keys.expires_at) if keys.expires_at else soon

    def __call__(self) -> dict[str, Any]:
        keys = self.keys()
        names = {"access_key_id": keys.access_key_id, "secret_access_key": keys.secret_access_key}
        return {**names, "token": keys.session_token, "expires_at": self.expiry(keys)}

    def __reduce__(self) -> tuple[Any, ...]:
        return LiveKeys, (self.handle, self.path)


def keys_of(credentials: AwsCredentials | None) -> Keys:
    """Those of this very version, None standing for the default chain. Raises what `LiveKeys.keys` raises of it."""
    if credentials and credentials.secret_access_key and not credentials.role_arn:
        token = credentials.session_token
        secret = credentials.secret_access_key.get_secret_value()
        return Keys(credentials.access_key_id or "", secret, token.get_secret_value() if token else None, None)
    with _translated(credentials):
        source = _chain(credentials)  # pyright: ignore[reportArgumentType]  # blocks are hashable
        frozen = source.get_frozen_credentials()
    return Keys(frozen.access_key, frozen.secret_key, frozen.token, getattr(source, "_expiry_time", None))


@contextmanager
def _translated(credentials: AwsCredentials | None) -> Iterator[None]:
    """Botocore's failures to find, assume or renew credentials as ours."""
    kinds = need("botocore.exceptions", "aws")
    who = (credentials.reference if credentials else None) or "the default chain"
    found: BondstoneError
    try:
        yield
    except kinds.ProfileNotFound:
        found = NotFound(f"the profile of {who} is not in ~/.aws/config here: add it, or correct the block")
    except kinds.ClientError as error:
        code, status = error.response["Error"].get("Code"), error.response["ResponseMetadata"]["HTTPStatusCode"]
        kind = AccessDenied if status in (400, 401, 403) else ServiceUnavailable
        found = kind(f"AWS gave no keys for {who} ({code}): correct its role or key, or try again")
    except kinds.BotoCoreError as error:
        found = ServiceUnavailable(f"AWS gave no keys for {who} ({type(error).__name__}): try again, or correct it")
    else:
        return
    raise found from None


@lru_cache(maxsize=64)
def _chain(credentials: AwsCredentials | None) -> Any:
    """Botocore's own credentials for a profile, a role or the default chain; they renew themselves. One per block value and process."""
    session = _session(credentials)
    if credentials and credentials.role_arn:
        return _assumed(session, credentials)
    found = session.get_credentials()
    if found is None:
        raise AccessDenied(
            "no AWS credentials found in the default chain: give the bucket block credentials, or anonymous=True"
        )
    return found


def _session(credentials: AwsCredentials | None) -> Any:
    boto3 = need("boto3", "aws")
    if credentials is None:
        return boto3.Session()
    if not credentials.access_key_id:
        return boto3.Session(profile_name=credentials.profile)
    keys = keys_of(credentials.model_copy(update={"role_arn": None}))
    return boto3.Session(keys.access_key_id, keys.secret_access_key, keys.session_token)


def _assumed(session: Any, credentials: AwsCredentials) -> Any:
    refreshable = need("botocore.credentials", "aws").RefreshableCredentials
    region, endpoint = credentials.region or "us-east-1", credentials.endpoint
    sts = session.client("sts", region_name=region, endpoint_url=endpoint)

    def renew() -> dict[str, str]:
        answer = sts.assume_role(RoleArn=credentials.role_arn, RoleSessionName="bondstone")["Credentials"]
        names = {"access_key": "AccessKeyId", "secret_key": "SecretAccessKey", "token": "SessionToken"}
        return {name: answer[its] for name, its in names.items()} | {"expiry_time": answer["Expiration"].isoformat()}

    return refreshable.create_from_metadata(renew(), renew, "sts-assume-role")
