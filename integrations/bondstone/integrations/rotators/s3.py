"""S3 buckets: nothing of their own to rotate; verified by one listing."""

from functools import partial
from typing import Any

from bondstone.blocks import AccessDenied, BondstoneError, NotFound, S3Bucket, ServiceUnavailable
from bondstone.blocks.rotator import DEADLINE, Verified
from bondstone.integrations.aws import keys_of
from bondstone.integrations.extras import need
from bondstone.integrations.rotators.holders import Holder
from bondstone.integrations.s3.place import Place
from bondstone.integrations.within import within

_PROVES = "The bucket is there and may be listed; whether objects may be read or written is not asked."


class S3Buckets(Holder):
    """Its credentials are rotated; the bucket is listed with them."""

    def verify(self, block: S3Bucket) -> Verified:
        place = Place.of(block)

        def call() -> Verified:
            key_id, client = _client(block, place)
            client.list_objects_v2(Bucket=place.bucket, Prefix=place.prefix, MaxKeys=1)
            return Verified("s3:ListObjectsV2", f"{place.uri('')} as {key_id}", _PROVES)

        return within(DEADLINE, _where(place), call, partial(_fault, block, place))


def _client(block: S3Bucket, place: Place) -> tuple[str, Any]:
    """Who signs, and a client that does."""
    boto3, style = need("boto3", "aws"), "path" if place.path_style else "virtual"
    settings: dict[str, Any] = {"s3": {"addressing_style": style}, "connect_timeout": 5, "read_timeout": 10}
    settings["retries"] = {"total_max_attempts": 2}
    if place.anonymous:
        session, who = boto3.Session(), "anybody"
        settings["signature_version"] = need("botocore", "aws").UNSIGNED
    else:
        keys = keys_of(block.credentials)
        session, who = boto3.Session(keys.access_key_id, keys.secret_access_key, keys.session_token), keys.access_key_id
    config = need("botocore.config", "aws").Config(**settings)
    return who, session.client("s3", region_name=place.region, endpoint_url=place.endpoint, config=config)


def _where(place: Place) -> str:
    return f"bucket '{place.bucket}' at {place.endpoint or 'Amazon S3'}"


def _fault(block: S3Bucket, place: Place, error: Any) -> BondstoneError:
    where = _where(place)
    if not isinstance(error, need("botocore.exceptions", "aws").ClientError):
        return ServiceUnavailable(
            f"{where} did not answer ({type(error).__name__}): try again, or correct its endpoint"
        )
    code, status = error.response["Error"].get("Code"), error.response["ResponseMetadata"]["HTTPStatusCode"]
    if code == "NoSuchBucket":
        return NotFound(f"there is no {where}: create it, or correct {block.reference or 'the block'}")
    if status in (400, 401, 403):
        signer = (block.credentials.reference if block.credentials else None) or "its credentials"
        known = (
            "the key is good and may not list: allow s3:ListBucket" if code == "AccessDenied" else f"correct {signer}"
        )
        return AccessDenied(f"{where} refused to be listed ({code}): {known}")
    return ServiceUnavailable(f"{where} failed ({code}): try again")


s3_bucket = S3Buckets()
