"""The vendor's own clients for a bucket block, with credentials that are read when they are needed, not when the client was made."""

from datetime import timedelta
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from bondstone.blocks import Handle, S3Bucket, live
from bondstone.integrations.aws import LiveKeys
from bondstone.integrations.extras import need
from bondstone.integrations.forks import refuse_after_fork
from bondstone.integrations.s3.errors import REFUSED
from bondstone.integrations.s3.place import Place

if TYPE_CHECKING:
    from obstore.store import S3Store

ANSWER = (
    60.0  # seconds for one request, its body and its answer; also for a server that takes the call and says nothing
)


def connect(name: str, *, ttl: float | None = None) -> "S3Store":
    """An obstore store rooted at the bucket and prefix of an `S3Bucket` block. It asks for the keys again after at most `ttl` seconds."""
    return store(live(S3Bucket, name, ttl=ttl))


def store(handle: Handle[S3Bucket], under: str = "") -> "S3Store":
    """A new store for what `handle` shows now, rooted at the path `under` in it."""
    place = Place.of(handle.get())
    refuse_after_fork("obstore")
    options: dict[str, Any] = {"allow_http": True} if (place.endpoint or "").startswith("http://") else {}
    # Said in either case: AWS_SKIP_SIGNATURE in the environment would drop the provider.
    signing: dict[str, Any] = {"skip_signature": place.anonymous}
    if not place.anonymous:
        signing["credential_provider"] = LiveKeys(handle)
    if (
        place.endpoint is None
    ):  # TLS protects what is signed; hashing the body for the signature would cost as much as sending it
        signing |= {"unsigned_payload": True, "checksum_algorithm": "CRC64NVME"}
    else:  # signed for its SHA-256, of which the server is told to keep it
        signing["checksum_algorithm"] = "SHA256"
    return need("obstore.store", "aws").S3Store(  # type: ignore[no-any-return]
        place.bucket,
        prefix="/".join(filter(None, (place.prefix, under))) or None,
        region=place.region,
        virtual_hosted_style_request=not place.path_style,
        client_options={**options, "connect_timeout": timedelta(seconds=5), "timeout": timedelta(seconds=ANSWER)},
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
        **({"endpoint": _endpoint(place)} if place.endpoint else {}),
        **signing,
    )


def _endpoint(place: Place) -> str:
    """With virtual hosts obstore wants the bucket inside the endpoint."""
    scheme, _, host = (place.endpoint or "").rstrip("/").partition("://")
    return f"{scheme}://{host}" if place.path_style else f"{scheme}://{place.bucket}.{host}"


def client(name: str, *, ttl: float | None = None) -> Any:
    """A boto3 S3 client for an `S3Bucket` block. Keys are read at every signing; after a refusal they are read, and sent, once more."""
    return client_of(live(S3Bucket, name, ttl=ttl))


def client_of(handle: Handle[S3Bucket], **patience: Any) -> Any:
    """A new boto3 client for what `handle` shows; `patience` is botocore's, where its own is not right."""
    place = Place.of(handle.get())
    session = need("botocore.session", "aws").Session()
    if not place.anonymous:
        keys = LiveKeys(handle)
        # Botocore has no public way to set credentials that change.
        session._credentials = _live_credentials()(keys)
        session.get_component("event_emitter").register_first("needs-retry.s3", partial(_sign_again, keys))
    made = need("boto3", "aws").Session(botocore_session=session, region_name=place.region)
    return made.client("s3", endpoint_url=place.endpoint, config=_config(place, patience))


def _config(place: Place, patience: dict[str, Any]) -> Any:
    botocore = need("botocore", "aws")
    style = {"addressing_style": "path" if place.path_style else "virtual"}
    signature = {"signature_version": botocore.UNSIGNED} if place.anonymous else {}
    return need("botocore.config", "aws").Config(s3=style, connect_timeout=5, **signature, **patience)


def _sign_again(keys: LiveKeys, response: Any = None, attempts: int = 0, **_: Any) -> int | None:
    """Botocore retries at once when a handler answers 0; the new attempt is signed with what the block holds then."""
    if not is_refusal(response, attempts):
        return None
    keys.renew()
    return 0


def is_refusal(response: Any, attempts: int) -> bool:
    """Whether botocore's first attempt failed for the key that signed it. A HEAD has no code but its status."""
    if attempts != 1 or response is None:
        return False
    code = response[1].get("Error", {}).get("Code")
    return response[0].status_code in (400, 401, 403) and code in REFUSED | {"400"}


@lru_cache
def _live_credentials() -> Any:
    botocore: Any = need("botocore.credentials", "aws")

    class LiveCredentials(botocore.Credentials):  # type: ignore[misc]
        """Botocore's credentials, read from a block at every signing."""

        def __init__(self, live_keys: LiveKeys) -> None:
            self._live_keys, self.method, self.account_id = live_keys, "bondstone", None

        def get_frozen_credentials(self) -> Any:
            keys = self._live_keys.keys()
            return botocore.ReadOnlyCredentials(keys.access_key_id, keys.secret_access_key, keys.session_token)

        access_key = property(lambda self: self._live_keys.keys().access_key_id)
        secret_key = property(lambda self: self._live_keys.keys().secret_access_key)
        token = property(lambda self: self._live_keys.keys().session_token)

    return LiveCredentials


def storage_options(name: str, *, ttl: float | None = None) -> dict[str, Any]:
    """The `storage_options` of an `S3Bucket` block for pandas, dask, xarray, zarr and whatever else opens ``s3://`` by fsspec.

    They hold the name of the block and no key, so they can stand in a Dask graph.
    """
    from bondstone.integrations.s3.session import LiveSession

    handle = live(S3Bucket, name, ttl=ttl)
    place = Place.of(handle.get())
    style = {"s3": {"addressing_style": "path" if place.path_style else "virtual"}}
    options: dict[str, Any] = {"endpoint_url": place.endpoint} if place.endpoint else {}
    options |= {"client_kwargs": {"region_name": place.region}, "config_kwargs": style}
    return options | ({"anon": True} if place.anonymous else {"session": LiveSession(LiveKeys(handle))})


def filesystem(name: str, *, ttl: float | None = None) -> Any:
    """An s3fs file system for an `S3Bucket` block; paths begin with the bucket."""
    return need("s3fs", "aws").S3FileSystem(**storage_options(name, ttl=ttl))
