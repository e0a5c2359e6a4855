"""What the errors of obstore and boto3 mean, without the request in them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bondstone.blocks import AccessDenied, BondstoneError, InvalidBlock, NotFound, S3Bucket, ServiceUnavailable
from bondstone.integrations.extras import need
from bondstone.integrations.s3.place import Place

REFUSED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "401", "403"}
_ELSEWHERE = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
_CHANGED = {"BadDigest", "XAmzContentSHA256Mismatch", "InvalidDigest"}


def failures() -> type[Exception]:
    """What all errors of obstore are, but for a missing key, which is a `FileNotFoundError`."""
    return need("obstore.exceptions", "aws").BaseError  # type: ignore[no-any-return]


def refused(error: Exception) -> bool:
    """Whether the server refused the credential. For a listing, and for a token that is too old, obstore has no error of its own."""
    kinds = need("obstore.exceptions", "aws")
    return isinstance(error, kinds.PermissionDeniedError | kinds.UnauthenticatedError) or _code(str(error)) in REFUSED


@contextmanager
def translated(block: S3Bucket) -> Iterator[None]:
    """Errors of obstore and boto3 as ours: one line that names the block and what to do."""
    try:
        yield
    except failures() as error:
        found = _of_obstore(block, error)
    except FileNotFoundError as error:  # obstore gives the built-in one for a missing key
        if error.filename is not None:  # a file of ours
            raise
        found = _of_obstore(block, error)
    except BondstoneError:
        raise
    except Exception as error:
        vendor = need("botocore.exceptions", "aws")
        if not isinstance(error, vendor.ClientError | vendor.BotoCoreError):
            raise
        found = _of_boto3(block, error)
    else:
        return
    raise found from None


def _of_obstore(block: S3Bucket, error: Exception) -> BondstoneError:
    text = str(error)
    code = _code(text)
    if isinstance(error, FileNotFoundError) and code is None:
        code = "NoSuchKey"
    if refused(error):
        code = code or "AccessDenied"
    if "Received redirect without LOCATION" in text:
        code = "PermanentRedirect"
    reason = "no answer" if "error sending request" in text or "Timeout" in text else type(error).__name__
    return told(block, code, reason, _region(text))


def _of_boto3(block: S3Bucket, error: Any) -> BondstoneError:
    answer: dict[str, Any] = getattr(error, "response", None) or {}  # a timeout has one too, and it is None
    code = answer.get("Error", {}).get("Code")
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = answer.get("Error", {}).get("Region") or headers.get("x-amz-bucket-region")
    return told(block, {"404": "NoSuchKey"}.get(code, code), type(error).__name__, region)


def told(block: S3Bucket, code: str | None, reason: str, region: str | None) -> BondstoneError:
    """What a caller can do about an error code of S3, or without one about `reason`."""
    place = Place.of(block)
    where = f"bucket '{place.bucket}' at {place.endpoint or 'Amazon S3'}"
    if code == "NoSuchBucket":
        return NotFound(f"there is no {where}: create it, or correct {block.reference}")
    if code == "NoSuchKey":
        return NotFound(f"{where} has no object of that key")
    if code in _ELSEWHERE:
        right = f"region='{region}'" if region else "its region"
        return InvalidBlock(f"{where} is not in region '{place.region}': save {block.reference} with {right}")
    if code in REFUSED:
        signer = block.credentials.reference if block.credentials else None
        remedy = f"save a new version of {signer}" if signer else f"correct the credentials of {block.reference}"
        shown = code if not code.isdigit() else "access denied"
        return AccessDenied(f"{where} refused the request ({shown}): {remedy}")
    if code in _CHANGED:
        return ServiceUnavailable(f"what arrived at {where} is not what was sent ({code}): try again")
    return ServiceUnavailable(
        f"{where} failed ({code or reason}): try again, or correct the endpoint of {block.reference}"
    )


def _code(text: str) -> str | None:
    """The S3 error code in a response. Nothing else of the text is shown: servers echo what was signed."""
    found = re.search(r"<Code>(\w{1,64})</Code>", text)
    return found.group(1) if found else None


def _region(text: str) -> str | None:
    found = re.search(r"<Region>([a-z0-9-]{1,32})</Region>", text)
    return found.group(1) if found else None
