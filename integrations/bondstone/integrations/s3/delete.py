"""Delete objects."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bondstone.blocks import InvalidName
from bondstone.integrations.receipts import DeleteReceipt
from bondstone.integrations.s3.access import Access
from bondstone.integrations.s3.errors import told

_MOST = 1000  # keys in one request; S3 API Reference, "DeleteObjects"


@dataclass(frozen=True)
class S3Delete:
    """Delete one object or many. A key that is not there is no error: S3 does not tell."""

    bucket: str  # the name of an S3Bucket block
    ttl: float | None = None

    def __call__(self, keys: str | Sequence[str], /) -> DeleteReceipt:
        """Raises `AccessDenied`, `NotFound` (no such bucket), `ServiceUnavailable`, `InvalidName` (no key)."""
        access, names = Access.of(self), [keys] if isinstance(keys, str) else list(keys)
        deleted(access, names)
        return DeleteReceipt(access.place.uri(""), str(access.block.reference), access.block.version or 0, len(names))


def deleted(access: Access, keys: Sequence[str]) -> None:
    """A thousand in a request. The keys are taken as they are; one that S3 refuses to delete is an error."""
    if not all(keys):
        raise InvalidName("a key to delete is not empty")
    for start in range(0, len(keys), _MOST):
        names = [{"Key": access.key(key)} for key in keys[start : start + _MOST]]
        faults = access.client(partial(_request, access, names))
        if faults:
            raise told(access.block, faults[0].get("Code"), "some keys could not be deleted", None)


def _request(access: Access, names: list[dict[str, str]], client: Any) -> list[dict[str, str]]:
    answer = client.delete_objects(Bucket=access.place.bucket, Delete={"Objects": names, "Quiet": True})
    return answer.get("Errors", [])  # type: ignore[no-any-return]
