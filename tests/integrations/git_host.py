"""A Git host of the tests' own on 127.0.0.1: git's own `http-backend` behind Basic authentication, and GitHub's endpoint for app tokens."""

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from bondstone.blocks import BondstoneError
from bondstone.cli.demo.hunt import hunt_bytes

FIRST, SECOND = "ghp_firstTokenOfTheFlow", "ghp_secondTokenOfTheFlow"
SECRETS = {"first": FIRST, "second": SECOND}


@dataclass
class GitHost:
    """A running host: which tokens count may change at any moment."""

    root: Path
    tokens: set[str]
    port: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)  # path, what it was authorized by
    app: tuple[str, RSAPublicKey] | None = None  # id and key of an app that may have tokens
    elsewhere: str = ""  # where `/moved/…` leads

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def git_host(root: Path, *tokens: str) -> Iterator[GitHost]:
    """Serve the bare repositories in `root`."""
    host = GitHost(root, set(tokens))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self._body())

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            return b"".join(parts)

        def _answer(self, body: bytes) -> None:
            said = self.headers.get("Authorization", "")
            host.asked.append((self.path, said))
            if self.path.startswith("/moved/"):
                self._send(302, b"", Location=host.elsewhere + self.path.removeprefix("/moved"))
            elif self.path.startswith("/api/v3/app/installations/"):
                self._app(said.removeprefix("Bearer "))
            elif _password(said) in host.tokens:
                self._backend(body)
            else:
                self._send(401, b"who are you?", **{"WWW-Authenticate": 'Basic realm="git"'})

        def _app(self, token: str) -> None:
            if not _signed(host, token):
                self._send(401, b"{}")
                return
            fresh = f"ghs_{len(host.asked)}-installation"
            host.tokens.add(fresh)
            self._send(201, json.dumps({"token": fresh, "expires_at": "2099-01-01T00:00:00Z"}).encode())

        def _backend(self, body: bytes) -> None:
            parts = urlsplit(self.path)
            env = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(host.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": parts.path,
                "QUERY_STRING": parts.query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REMOTE_USER": "flow",
            }
            argv = ["git", "http-backend"]
            answer = subprocess.run(argv, input=body, env=env, capture_output=True, timeout=30, check=False).stdout
            head, _, content = answer.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
            self._send(int(headers.pop("Status", "200 OK").split()[0]), content, **headers)

        def _send(self, status: int, content: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        host.port = server.server_port
        Thread(target=server.serve_forever, daemon=True).start()
        yield host
        server.shutdown()


def _password(authorization: str) -> str:
    scheme, _, said = authorization.partition(" ")
    return base64.b64decode(said).decode().partition(":")[2] if scheme == "Basic" else ""


def _signed(host: GitHost, token: str) -> bool:
    """Whether it is a JWT of the app, signed by its key."""
    if host.app is None or token.count(".") != 2:
        return False
    text, _, signature = token.rpartition(".")
    try:
        host.app[1].verify(_unbase64(signature), text.encode(), PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    claims = json.loads(_unbase64(text.partition(".")[2]))
    return bool(claims["iss"] == host.app[0] and claims["exp"] - claims["iat"] <= 660)


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def commit(work: Path, text: str, *others: str, amend: bool = False) -> None:
    """Commit `text` as the content of `file`, and in other files."""
    for name in ("file", *others):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    sh(work, "add", "-A")
    sh(work, "commit", "-q", "-m", text, *(["--amend"] if amend else []))


def sh(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def fails(kind: type[BondstoneError], call: Callable[[], object]) -> str:
    """The text of the error, one line, with none of the secrets in it or in its causes."""
    with pytest.raises(kind) as caught:
        call()
    text, seen = str(caught.value), caught.value.__context__ or caught.value.__cause__
    assert "\n" not in text
    assert not hunt_bytes(SECRETS, f"{text} {seen!r}".encode(), "error")
    return text
