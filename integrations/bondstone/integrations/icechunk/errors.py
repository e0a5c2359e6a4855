"""What icechunk's errors mean."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from bondstone.blocks import (
    AccessDenied,
    ArraylakeRepo,
    BondstoneError,
    IcechunkRepo,
    InvalidBlock,
    NotFound,
    ServiceUnavailable,
)
from bondstone.integrations.extras import need
from bondstone.integrations.forks import refuse_after_fork

_REFUSALS = (
    *("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "ExpiredToken", "InvalidToken"),
    *("AuthenticationRequired", "AuthenticationFailed", "AuthorizationFailure", "AuthorizationPermissionMismatch"),
    *("NoAuthenticationInformation", "InvalidAuthenticationInfo", "PublicAccessNotPermitted"),
    *("Forbidden", "Unauthorized"),  # of an answer without a code
)
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")


def refused(error: Exception) -> str | None:
    """The server's word for refusing the credential; icechunk has it only in its text."""
    return next((word for word in _REFUSALS if re.search(rf"\b{word}\b", str(error))), None)


@contextmanager
def translated(block: IcechunkRepo | ArraylakeRepo) -> Iterator[None]:
    """Storage errors of icechunk as ours: one line that names the block and what to do.

    Whatever asks icechunk for something does it in here, and is refused in a process that was forked after icechunk's import.
    """
    refuse_after_fork("icechunk")
    vendor = need("icechunk", "icechunk")
    try:
        yield
    except vendor.StorageError as error:
        found = _translated(block, error)
    except vendor.RefNotFoundError:
        found = NotFound(
            f"there is no branch '{block.branch}' in the repository of {block.reference}: create it, or correct the block"
        )
    except vendor.InvalidInputError as error:
        if "empty prefix" not in str(error):
            raise
        found = InvalidBlock(f"icechunk makes no repository at the root of a bucket: give {block.reference} a prefix")
    else:
        return
    raise found from None


def _translated(block: IcechunkRepo | ArraylakeRepo, error: Exception) -> BondstoneError:
    where = f"the storage of {block.reference}"
    if code := refused(error):
        bucket = block.bucket if isinstance(block, IcechunkRepo) else None
        signer = bucket.credentials.reference if bucket and bucket.credentials else None
        return AccessDenied(
            f"{where} refused the request ({code}): save a new version of {signer or 'its credentials'}"
        )
    if any(word in str(error) for word in _NO_BUCKET):
        return NotFound(f"the bucket of {block.reference} does not exist: create it, or correct the block")
    return ServiceUnavailable(f"{where} failed ({reason(error)}): try again, or correct its endpoint or path")


def reason(error: Exception) -> str:
    """What failed, in a word or two that show nothing."""
    text = str(error)
    words = ("dispatch failure", "timeout", "Permission denied", "No space left", "Read-only file system")
    return next((word for word in words if word.lower() in text.lower()), type(error).__name__)
