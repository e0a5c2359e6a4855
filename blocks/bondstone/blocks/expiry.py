"""When a credential ends, where it says so itself: nobody is asked.

A field `expires_at`, the claim `exp` of a JSON Web Token (RFC 7519), the `se` of a shared access signature of Azure, and the end of a
client certificate are read. Nothing is verified: whoever made the token says what stands in it.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from bondstone.blocks.secret_values import SecretData, SecretStr
from bondstone.registry import Listed, Reference, Registry

if TYPE_CHECKING:
    from bondstone.blocks.block import Block

_JWT = re.compile(r"ey[\w-]+\.(ey[\w-]+)\.[\w-]*")
_SAS = re.compile(r"(?:^|[?&=])se=([^&;]+)")


class CredentialExpired(UserWarning):
    """A block was loaded whose credential ended before."""


def expires_at(block: "Block") -> datetime | None:
    """When the first of the credentials in `block` ends; None if none says. Saved blocks in it answer for themselves."""
    return min(_of_all(iter(block)), default=None)


def stored_expiry(content: bytes) -> datetime | None:
    """As `expires_at`, of a stored document. Every load asks, so it is quick where there is nothing to find."""
    if not (b'"ey' in content or b'"expires_at":"' in content or b"se=" in content or b'_certificate":"' in content):
        return None
    try:
        return min(_of_all(json.loads(content)["fields"].items()), default=None)
    except (ValueError, TypeError, KeyError, AttributeError):  # not a block; whoever loads it is told
        return None


def expiries(registry: Registry, listed: Iterable[Listed]) -> dict[str, datetime]:
    """By reference, when that ends which says so, of what is current in a listing. On record as one `look`."""
    opened = registry.look_over((item.kind, item.name) for item in listed if item.readable)
    ends = ((Reference(kind, name), stored_expiry(content)) for kind, name, content in opened)
    return {reference: end for reference, end in ends if end}


def _of_all(items: Iterable[tuple[str, Any]]) -> Iterator[datetime]:
    for name, value in items:
        yield from _times(name, value)


def _times(name: str, value: Any) -> Iterator[datetime]:
    if isinstance(value, SecretStr | SecretData):
        value = value.get_secret_value()
    if isinstance(value, datetime):
        yield from [_aware(value)] if name == "expires_at" else []
    elif isinstance(value, str):
        time = _of_text(name, value)
        yield from [time] if time else []
    elif isinstance(value, Mapping):
        yield from _of_all((str(key), item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        yield from _of_all((name, item) for item in value)
    elif getattr(value, "is_saved", True) is False:  # a block by value
        yield from _of_all(iter(value))


def _of_text(name: str, text: str) -> datetime | None:
    if name == "expires_at":
        return _iso(text)
    if name == "client_certificate":
        return _certificate(text)
    if found := _JWT.fullmatch(text):
        return _claim(found[1])
    found = _SAS.search(text) if "sig=" in text else None
    return _iso(unquote(found[1])) if found else None


def _iso(text: str) -> datetime | None:
    try:
        return _aware(datetime.fromisoformat(text))
    except ValueError:
        return None


def _claim(payload: str) -> datetime | None:
    try:
        end = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
        return datetime.fromtimestamp(end, UTC) if type(end) in (int, float) else None
    except (ValueError, TypeError, KeyError, OverflowError, OSError, RecursionError):
        return None


def _certificate(pem: str) -> datetime | None:
    from cryptography.x509 import load_pem_x509_certificate

    try:
        return load_pem_x509_certificate(pem.encode()).not_valid_after_utc
    except ValueError:
        return None


def _aware(time: datetime) -> datetime:
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
