"""Where icechunk finds a repository, and who signs for it: a folder, or a bucket of one of three vendors."""

import os
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from bondstone.blocks import AzureContainer, GcsBucket, Handle, IcechunkRepo, S3Bucket
from bondstone.integrations import azure, gcs
from bondstone.integrations.aws import keys_of
from bondstone.integrations.icechunk.signing import AzureAsked, GcsAsked, IcechunkKeys
from bondstone.integrations.s3.place import Place


def storage(vendor: Any, block: IcechunkRepo, handle: Handle[IcechunkRepo] | None = None) -> Any:
    """The vendor's storage of `block`. What signs is asked of `handle` when it is needed, and is in no pickle.

    Without `handle` it is what this very version of the block holds, which need not be the current one.
    """
    match block.bucket:
        case S3Bucket() as bucket:
            return _s3(vendor, bucket, _prefix(bucket, block), handle)
        case GcsBucket() as bucket:
            return _gcs(vendor, bucket, _prefix(bucket, block), handle)
        case AzureContainer() as bucket:
            return _azure(vendor, bucket, _prefix(bucket, block), handle)
        case None:
            _without_false_alarm(vendor)
            return vendor.local_filesystem_storage(str(folder(block)))


def uri(block: IcechunkRepo) -> str:
    """Where the repository is, for receipts."""
    match block.bucket:
        case S3Bucket() as bucket:
            place = f"s3://{bucket.bucket}"
        case GcsBucket() as bucket:
            place = f"gs://{bucket.bucket}"
        case AzureContainer() as bucket:
            place = f"az://{bucket.container}"
        case None:
            return folder(block).as_uri()
    return f"{place}/{_prefix(bucket, block)}".rstrip("/")


def folder(block: IcechunkRepo) -> Path:
    """The folder of a local repository."""
    return Path(block.path or "").expanduser().absolute()


@cache
def _without_false_alarm(vendor: Any) -> None:
    """Whenever a folder is opened, icechunk warns that commits to it are not safe. Here they take a lock. `ICECHUNK_LOG` has its say."""
    if "ICECHUNK_LOG" not in os.environ:
        vendor.set_logs_filter("warn,icechunk_arrow_object_store=error,icechunk_storage::readback=error")


def _prefix(bucket: S3Bucket | GcsBucket | AzureContainer, block: IcechunkRepo) -> str:
    return "/".join(filter(None, (bucket.prefix, block.prefix)))


def _s3(vendor: Any, bucket: S3Bucket, prefix: str, handle: Handle[IcechunkRepo] | None) -> Any:
    place = Place.of(bucket)
    return vendor.s3_storage(
        bucket=place.bucket,
        prefix=prefix or None,
        region=place.region,
        endpoint_url=place.endpoint,
        allow_http=(place.endpoint or "").startswith("http://"),
        force_path_style=place.path_style,
        **_s3_signing(bucket, handle),
    )


def _s3_signing(bucket: S3Bucket, handle: Handle[IcechunkRepo] | None) -> dict[str, Any]:
    if bucket.anonymous:
        return {"anonymous": True}
    if handle is not None:
        return {"get_credentials": IcechunkKeys(handle, ("bucket", "credentials"))}
    keys = keys_of(bucket.credentials)
    names = {"access_key_id": keys.access_key_id, "secret_access_key": keys.secret_access_key}
    return {**names, "session_token": keys.session_token}


def _gcs(vendor: Any, bucket: GcsBucket, prefix: str, handle: Handle[IcechunkRepo] | None) -> Any:
    config = _at("google_base_url", "google_allow_http", bucket.endpoint)
    credentials = _gcs_signing(vendor, bucket, handle)
    return vendor.Storage.new_gcs(bucket=bucket.bucket, prefix=prefix, credentials=credentials, config=config)


def _gcs_signing(vendor: Any, bucket: GcsBucket, handle: Handle[IcechunkRepo] | None) -> Any:
    if bucket.anonymous:
        return vendor.gcs_credentials(anonymous=True)
    if bucket.credentials is None or bucket.credentials.service_account is None:
        return vendor.gcs_credentials(from_env=True)
    if handle is not None:
        return vendor.gcs_refreshable_credentials(GcsAsked(handle))
    bearer = gcs.bearer(bucket.credentials, datetime.now(UTC))
    return vendor.GcsCredentials.Static(vendor.gcs_static_credentials(bearer_token=bearer.token))


def _azure(vendor: Any, bucket: AzureContainer, prefix: str, handle: Handle[IcechunkRepo] | None) -> Any:
    return vendor.Storage.new_azure_blob(
        account=azure.account_name(bucket),
        container=bucket.container,
        prefix=prefix,
        credentials=_azure_signing(vendor, bucket, handle),
        config=_at("azure_endpoint", "azure_allow_http", azure.endpoint(bucket)),
    )


def _azure_signing(vendor: Any, bucket: AzureContainer, handle: Handle[IcechunkRepo] | None) -> Any:
    if bucket.anonymous:
        return vendor.azure_credentials(anonymous=True)
    if bucket.credentials is None:
        return vendor.azure_credentials(from_env=True)
    if handle is not None:
        return vendor.azure_refreshable_credentials(AzureAsked(handle))
    signed = azure.signature(bucket.credentials, datetime.now(UTC))
    return vendor.AzureCredentials.Static(vendor.azure_static_credentials(**{signed.way: signed.value}))


def _at(url: str, http: str, endpoint: str | None) -> dict[str, str]:
    """The options of object_store for an endpoint. Icechunk keeps them in its pickles; no secret is among them."""
    return {url: endpoint, http: str(endpoint.startswith("http://")).lower()} if endpoint else {}
