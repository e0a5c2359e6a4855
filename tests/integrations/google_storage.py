"""One bucket of Google Cloud Storage, as far as its XML API is needed. It takes tokens that a service account signed itself.

Sources: Google Cloud documentation, "XML API reference" and "Request preconditions"; Google for Developers, "Addendum: Service account
authorization without OAuth". A listing is one page, an upload one part. What the hosted service answers to a refused token is assumed: 401.
"""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.integrations.cloud_objects import Condition, Kept, Objects, http_time, sent
from tests.integrations.stand_in import Asked, Said, stand_in

SCOPES = {f"https://www.googleapis.com/auth/{name}" for name in ("devstorage.read_write", "cloud-platform")}
EMAIL = "writer@example-project.iam.gserviceaccount.com"


@dataclass
class Google:
    """A bucket, and the keys of one service account that may read and write it."""

    bucket: str
    url: str = ""
    objects: Objects = field(default_factory=Objects)
    keys: dict[str, RSAPublicKey] = field(default_factory=dict)
    public: bool = False
    refusal: tuple[int, str] = (401, "AuthenticationRequired")
    asked: list[str] = field(default_factory=list)
    given: set[str] = field(default_factory=set)  # the tokens that it took
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def create_key(self) -> str:
        """The content of the file of a new key."""
        key, name = generate_private_key(65537, 2048), f"key-{next(self._numbers)}"
        self.keys[name] = key.public_key()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        fields = {"type": "service_account", "client_email": EMAIL, "private_key_id": name, "private_key": pem}
        return json.dumps(fields | {"project_id": "example-project"})

    def revoke(self) -> None:
        """All keys, from now on."""
        self.keys.clear()

    def answer(self, asked: Asked) -> Said:
        path, query = unquote(urlsplit(asked.path).path), parse_qs(urlsplit(asked.path).query, keep_blank_values=True)
        self.asked.append(f"{asked.method} {path}")
        bucket, _, key = path.lstrip("/").partition("/")
        if not (self.public or self._knows(asked.headers.get("authorization", ""))):
            return _error(*self.refusal)
        if bucket != self.bucket:
            return _error(404, "NoSuchBucket")
        one = {name: values[0] for name, values in query.items()}
        if not key:
            return self._listing(one)
        return self._object(asked, key)

    def _knows(self, header: str) -> bool:
        """Whether it is a token of one of the keys that count at this moment, of this hour, for storage."""
        content, _, signature = header.removeprefix("Bearer ").rpartition(".")
        try:
            head, claims = (json.loads(unbase64(part)) for part in content.split("."))
            self.keys[head["kid"]].verify(unbase64(signature), content.encode(), PKCS1v15(), SHA256())
        except (ValueError, KeyError, InvalidSignature):
            return False
        self.given.add(signature)
        timely = claims["iat"] - 300 <= time.time() < claims["exp"] <= claims["iat"] + 3600
        return timely and claims["iss"] == EMAIL and bool(SCOPES & set(claims["scope"].split()))

    def _object(self, asked: Asked, key: str) -> Said:
        if asked.method == "PUT":
            return _kept(self.objects.put(key, asked.body, _condition(asked)))
        if asked.method == "DELETE":
            return Said(204) if self.objects.delete(key) else _error(404, "NoSuchKey")
        kept = self.objects.get(key)
        if kept is None:
            return _error(404, "NoSuchKey")
        return sent(kept, asked.headers.get("range"), {"x-goog-generation": str(kept.generation)})

    def _listing(self, query: dict[str, str]) -> Said:
        objects, folders = self.objects.listed(query.get("prefix", ""), query.get("delimiter", ""))
        items = (
            f"<Contents><Key>{escape(key)}</Key><LastModified>{kept.modified:%Y-%m-%dT%H:%M:%S.%fZ}</LastModified>"
            f"<ETag>{escape(kept.tag)}</ETag><Size>{len(kept.data)}</Size></Contents>"
            for key, kept in objects.items()
            if key > query.get("start-after", "")
        )
        groups = (f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in folders)
        return _xml("ListBucketResult", "".join((*items, *groups)))


def _condition(asked: Asked) -> Condition:
    """Of x-goog-if-generation-match: 0 is "there is none"."""
    wanted = asked.headers.get("x-goog-if-generation-match")
    return lambda now: wanted is None or int(wanted) == (now.generation if now else 0)


def _kept(kept: Kept | None) -> Said:
    if kept is None:
        return _error(412, "PreconditionFailed")
    headers = {"ETag": kept.tag, "x-goog-generation": str(kept.generation), "Last-Modified": http_time(kept.modified)}
    return Said(200, headers=headers)


def _error(status: int, code: str) -> Said:
    return Said(status, _xml("Error", f"<Code>{code}</Code>").content if code else None)


def _xml(name: str, content: str) -> Said:
    return Said(200, f'<?xml version="1.0" encoding="UTF-8"?><{name}>{content}</{name}>'.encode())


def unbase64(text: str) -> Any:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@contextmanager
def google_storage(bucket: str) -> Iterator[Google]:
    """Serve it until the end of the block."""
    service = Google(bucket)
    with stand_in(service.answer) as service.url:
        yield service
