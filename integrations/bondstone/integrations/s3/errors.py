"""What obstore's errors mean, without the request in them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from bondstone.blocks import AccessDenied, BondstoneError, NotFound, S3Bucket, ServiceUnavailable
from bondstone.integrations.extras import need
from bondstone.integrations.s3.place import Place


def refusals() -> tuple[type[Exception], ...]:
    """What obstore raises when the server refuses the credential."""
    kinds = need("obstore.exceptions", "aws")
    return kinds.PermissionDeniedError, kinds.UnauthenticatedError


@contextmanager
def translated(block: S3Bucket) -> Iterator[None]:
    """Errors of obstore as ours: one line that names the block and what to do."""
    kinds = need("obstore.exceptions", "aws")
    try:
        yield
    except kinds.BaseError as error:
        found = _translated(block, error)
    except FileNotFoundError as error:  # obstore gives the built-in one for a missing key
        found = _translated(block, error)
    else:
        return
    raise found from None


def _translated(block: S3Bucket, error: Exception) -> BondstoneError:
    place, code = Place.of(block), _code(str(error))
    where = f"bucket '{place.bucket}' at {place.endpoint or 'Amazon S3'}"
    if code == "NoSuchBucket":
        return NotFound(f"there is no {where}: create it, or correct {block.reference}")
    if code == "NoSuchKey" or isinstance(error, FileNotFoundError):
        return NotFound(f"{where} has no object of that key")
    if isinstance(error, refusals()) or code in ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"):
        signer = block.credentials.reference if block.credentials else None
        remedy = f"save a new version of {signer}" if signer else f"correct the credentials of {block.reference}"
        return AccessDenied(f"{where} refused the request ({code or 'access denied'}): {remedy}")
    reason = code or ("no answer" if "error sending request" in str(error) else type(error).__name__)
    return ServiceUnavailable(f"{where} failed ({reason}): try again, or correct the endpoint of {block.reference}")


def _code(text: str) -> str | None:
    """The S3 error code in a response. Nothing else of the text is shown: servers echo what was signed."""
    found = re.search(r"<Code>(\w{1,64})</Code>", text)
    return found.group(1) if found else None
