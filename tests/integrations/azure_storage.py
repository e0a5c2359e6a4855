"""One container of Azure Blob Storage, as far as its REST API is needed, and Microsoft Entra for one application.

It takes requests that are signed by a key of the account, carry a shared access signature that it was told of, or a token of Entra's.
Sources: Microsoft Learn, "Authorize with Shared Key", "Put Blob", "List Blobs", "Blob Batch" and "Specifying conditional
headers for Blob service operations". A listing is one page, an upload one part.
"""

import base64
import hmac
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.integrations.cloud_objects import Condition, Objects, http_time, sent
from tests.integrations.stand_in import Asked, Said, stand_in

_SIGNED = (
    "content-encoding", "content-language", "content-length", "content-md5", "content-type", "date", "if-modified-since", "if-match",
    "if-none-match", "if-unmodified-since", "range",
)  # fmt: skip


@dataclass
class Azure:
    """A container, and who may read and write it."""

    account: str
    container: str
    url: str = ""
    objects: Objects = field(default_factory=Objects)
    keys: list[str] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)  # shared access signatures
    secrets: list[str] = field(default_factory=list)  # of the application
    tokens: list[str] = field(default_factory=list)  # of Entra
    given: list[str] = field(default_factory=list)  # every token that Entra ever gave
    public: bool = False
    refusal: tuple[int, str] = (403, "AuthenticationFailed")
    asked: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def create_key(self) -> str:
        """A new access key of the account."""
        self.keys.append(base64.b64encode(f"{next(self._numbers):064}".encode()).decode())
        return self.keys[-1]

    def create_signature(self) -> str:
        """A new shared access signature."""
        self.signatures.append(f"sv=2026-02-06&ss=b&srt=sco&sp=rwdlc&sig=c2lnbmF0dXJl{next(self._numbers)}%3D")
        return self.signatures[-1]

    def create_secret(self) -> str:
        """A new secret of the application."""
        self.secrets.append(f"ABC8Q~secret-{next(self._numbers)}")
        return self.secrets[-1]

    def revoke(self) -> None:
        """All keys, signatures, secrets and tokens, from now on."""
        for accepted in (self.keys, self.signatures, self.secrets, self.tokens):
            accepted.clear()

    def answer(self, asked: Asked) -> Said:
        parts = urlsplit(asked.path)
        self.asked.append(f"{asked.method} {unquote(parts.path)}")
        if parts.path.endswith("/oauth2/v2.0/token"):
            return self._token(asked)
        if not (self.public or self._knows(asked)):
            return _error(*self.refusal)
        return self._answer(asked)

    def _answer(self, asked: Asked) -> Said:
        parts = urlsplit(asked.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        container, _, key = unquote(parts.path).lstrip("/").partition("/")
        if container != self.container:
            return _error(404, "ContainerNotFound")
        if query.get("comp") == "list":
            return self._listing(query)
        if query.get("comp") == "batch":
            return self._batch(asked)
        return self._blob(asked, key)

    def _token(self, asked: Asked) -> Said:
        form = parse_qs(asked.body.decode())
        if form["client_secret"][0] not in self.secrets:
            return Said(401, {"error": "invalid_client"})
        self.tokens.append(f"entra-token-{next(self._numbers)}")
        self.given.append(self.tokens[-1])
        return Said(200, {"token_type": "Bearer", "access_token": self.tokens[-1], "expires_in": 3599})

    def _knows(self, asked: Asked) -> bool:
        scheme, _, said = asked.headers.get("authorization", "").partition(" ")
        if scheme == "Bearer":
            return said in self.tokens
        if scheme == "SharedKey":
            return any(said == f"{self.account}:{self._signature(asked, key)}" for key in self.keys)
        given = parse_qs(urlsplit(asked.path).query)
        return any(parse_qs(one).items() <= given.items() for one in self.signatures)

    def _signature(self, asked: Asked, key: str) -> str:
        """As the documentation builds it: method, headers, the headers of Azure's own, and what is asked for."""
        headers, parts = asked.headers, urlsplit(asked.path)
        values = (headers.get(name, "") for name in _SIGNED)
        lines = [asked.method, *("" if value == "0" else value for value in values)]
        lines += [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("x-ms-")]
        lines += [f"/{self.account}{parts.path}"]
        query = parse_qs(parts.query, keep_blank_values=True)
        lines += [f"{name}:{','.join(sorted(query[name]))}" for name in sorted(query)]
        return base64.b64encode(hmac.digest(base64.b64decode(key), "\n".join(lines).encode(), "sha256")).decode()

    def _blob(self, asked: Asked, key: str) -> Said:
        if asked.method == "PUT":
            return self._put(asked, key, asked.body)
        if asked.method == "DELETE":
            return Said(202) if self.objects.delete(key) else _error(404, "BlobNotFound")
        kept = self.objects.get(key)
        if kept is None:
            return _error(404, "BlobNotFound")
        wanted = asked.headers.get("x-ms-range") or asked.headers.get("range")
        return sent(kept, wanted, {"x-ms-blob-type": "BlockBlob"})

    def _put(self, asked: Asked, key: str, data: bytes) -> Said:
        kept = self.objects.put(key, data, _condition(asked))
        if kept is not None:
            return Said(201, headers={"ETag": kept.tag, "Last-Modified": http_time(kept.modified)})
        exists = asked.headers.get("if-none-match") == "*"
        return _error(409, "BlobAlreadyExists") if exists else _error(412, "ConditionNotMet")

    def _listing(self, query: dict[str, str]) -> Said:
        objects, folders = self.objects.listed(query.get("prefix", ""), query.get("delimiter", ""))
        items = (
            f"<Blob><Name>{escape(key)}</Name><Properties><Last-Modified>{http_time(kept.modified)}</Last-Modified>"
            f"<Content-Length>{len(kept.data)}</Content-Length><Content-Type>x</Content-Type><Etag>{escape(kept.tag)}</Etag>"
            "</Properties></Blob>"
            for key, kept in objects.items()
        )
        groups = (f"<BlobPrefix><Name>{escape(one)}</Name></BlobPrefix>" for one in folders)
        return Said(200, _xml("EnumerationResults", f"<Blobs>{''.join((*items, *groups))}</Blobs><NextMarker />"))

    def _batch(self, asked: Asked) -> Said:
        """Deletions, each a request of its own inside the body, with a signature of its own."""
        mark = asked.headers["content-type"].partition("boundary=")[2].strip('"')
        answers = []
        for part in asked.body.decode().split(f"--{mark}")[1:-1]:
            inner = _request(part)
            said = self._answer(inner) if self.public or self._knows(inner) else _error(*self.refusal)
            number = re.search(r"(?i)content-id: *(\S+)", part)
            answers.append(
                f"--b\r\nContent-Type: application/http\r\nContent-ID: {number[1] if number else 0}\r\n\r\n"
                f"HTTP/1.1 {said.status} Said\r\nx-ms-error-code: {said.headers.get('x-ms-error-code', '')}\r\n\r\n"
            )
        body = "".join(answers) + "--b--\r\n"
        return Said(202, body.encode(), {"Content-Type": "multipart/mixed; boundary=b"})


def _request(part: str) -> Asked:
    lines = part.strip().split("\r\n\r\n", 1)[1].split("\r\n")
    method, path, _ = lines[0].split()
    headers = (line.partition(":") for line in lines[1:] if line)
    return Asked(method, path, {name.strip().lower(): value.strip() for name, _, value in headers}, b"")


def _condition(asked: Asked) -> Condition:
    new, tag = asked.headers.get("if-none-match") == "*", asked.headers.get("if-match")
    return lambda now: (now is None or not new) and (tag is None or (now is not None and now.tag == tag))


def _error(status: int, code: str) -> Said:
    return Said(status, _xml("Error", f"<Code>{code}</Code>") if code else None, {"x-ms-error-code": code})


def _xml(name: str, content: str) -> Any:
    return f'<?xml version="1.0" encoding="utf-8"?><{name}>{content}</{name}>'.encode()


@contextmanager
def azure_storage(account: str, container: str) -> Iterator[Azure]:
    """Serve it until the end of the block."""
    service = Azure(account, container)
    with stand_in(service.answer) as service.url:
        yield service
