"""Where a bucket block points, in the words that every S3 client needs."""

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from bondstone.blocks import S3Bucket


@dataclass(frozen=True)
class Place:
    """A bucket's address."""

    bucket: str
    prefix: str
    region: str
    endpoint: str | None
    path_style: bool
    anonymous: bool

    @classmethod
    def of(cls, block: S3Bucket) -> "Place":
        """The block's own endpoint and region, else its credentials', else the vendor's."""
        signer = block.credentials
        endpoint = block.endpoint or (signer.endpoint if signer else None)
        region = block.region or (signer.region if signer else None) or "us-east-1"
        return cls(
            block.bucket, block.prefix, region, endpoint, block.path_style or _is_address(endpoint), block.anonymous
        )

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}/{key}" if self.prefix else f"s3://{self.bucket}/{key}"


@lru_cache(maxsize=256)
def _is_address(endpoint: str | None) -> bool:
    """An address or `localhost` has no subdomain for a bucket: only the path style can work."""
    host = urlsplit(endpoint or "").hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True
