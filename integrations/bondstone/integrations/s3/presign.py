"""Sign a URL for somebody who has no credentials."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from bondstone.blocks import InvalidName, SecretStr
from bondstone.integrations.extras import need
from bondstone.integrations.receipts import SignedUrl
from bondstone.integrations.s3.access import Access
from bondstone.integrations.s3.keys import checked

_MOST = 7 * 24 * 3600  # seconds; Signature Version 4


@dataclass(frozen=True)
class S3Presign:
    """Make a URL that gets, or with `method="PUT"` puts, one object. It ends by itself, and with the key that signed it."""

    bucket: str  # the name of an S3Bucket block
    seconds: float = 3600.0
    method: Literal["GET", "PUT"] = "GET"
    ttl: float | None = None

    def __call__(self, key: str, /) -> SignedUrl:
        """The URL is a secret: `.url.get_secret_value()` shows it. Nothing is sent, so nothing says whether the object is there."""
        return _signed(self, checked(key))


def _signed(task: S3Presign, key: str) -> SignedUrl:
    if not 1 <= task.seconds <= _MOST or task.method not in ("GET", "PUT"):
        raise InvalidName("a URL is signed for 1 to 604800 seconds (7 days), to GET or to PUT")
    access, lifetime = Access.of(task), timedelta(seconds=task.seconds)
    if access.place.anonymous:
        raise InvalidName(f"{access.block.reference} is anonymous and signs nothing: name a block with credentials")
    url = access.store(lambda store: SecretStr(need("obstore", "aws").sign(store, task.method, key, lifetime)))
    block, ends = access.block, datetime.now(UTC) + lifetime
    return SignedUrl(access.place.uri(key), str(block.reference), block.version or 0, task.method, ends, url)
