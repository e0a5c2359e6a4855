"""An aiobotocore session whose credentials are read from a block at every signing; unlike the original it pickles, to a name."""

import asyncio
from typing import Any

from bondstone.integrations.aws import LiveKeys
from bondstone.integrations.extras import need
from bondstone.integrations.s3.clients import is_refusal

_credentials: Any = need("aiobotocore.credentials", "aws").AioCredentials
_session: Any = need("aiobotocore.session", "aws").AioSession
_frozen: Any = need("botocore.credentials", "aws").ReadOnlyCredentials


class LiveAioCredentials(_credentials):  # type: ignore[misc]
    """Aiobotocore's credentials, read from a block at every signing."""

    def __init__(self, live_keys: LiveKeys) -> None:
        self._live_keys, self.method, self.account_id = live_keys, "bondstone", None

    async def get_frozen_credentials(self) -> Any:
        keys = self._live_keys.keys()
        return _frozen(keys.access_key_id, keys.secret_access_key, keys.session_token)

    access_key = property(lambda self: self._live_keys.keys().access_key_id)
    secret_key = property(lambda self: self._live_keys.keys().secret_access_key)
    token = property(lambda self: self._live_keys.keys().session_token)


class LiveSession(_session):  # type: ignore[misc]
    """A session for s3fs. Equal when it is for the same block of the same registry, as fsspec's cache of file systems must know."""

    def __init__(self, live_keys: LiveKeys) -> None:
        super().__init__()
        self._live_keys = live_keys
        self._credentials = LiveAioCredentials(live_keys)
        self.get_component("event_emitter").register_first("needs-retry.s3", self._sign_again)

    async def _sign_again(self, response: Any = None, attempts: int = 0, **_: Any) -> int | None:
        """As for boto3; the event loop goes on meanwhile."""
        if not is_refusal(response, attempts):
            return None
        await asyncio.to_thread(self._live_keys.renew)
        return 0

    def __repr__(self) -> str:
        registry, reference = self._live_keys.handle.source
        return f"LiveSession({reference!r}, ttl={self._live_keys.handle.ttl:g}, registry={registry!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LiveSession) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return LiveSession, (self._live_keys,)

    def __dask_tokenize__(self) -> str:
        return repr(self)
