"""An Authorization header that follows its block, in both HTTP clients, against a server that refuses revoked tokens."""

import base64
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest
import requests

from bondstone.blocks import InvalidBlock, InvalidName, NotFound, Secret
from bondstone.cli.demo.hunt import hunt_bytes
from bondstone.integrations import http
from bondstone.integrations.http import _Header, _live_auth
from tests.integrations.conftest import elsewhere, save


@dataclass
class Service:
    """Answers whoever has one of `accepted` by what was sent to it."""

    accepted: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    url: str = ""
    elsewhere: str = ""


@contextmanager
def serving(*accepted: str) -> Iterator[Service]:
    service = Service(set(accepted))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size, said = int(self.headers.get("Content-Length", 0)), self.headers.get("Authorization", "")
            body = self.rfile.read(size)
            service.asked.append(said)
            if service.elsewhere:
                self.send_response(307)
                self.send_header("Location", service.elsewhere)
                body = b""
            else:
                self.send_response(200 if said in service.accepted else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service.url = f"http://127.0.0.1:{server.server_port}/"
        Thread(target=server.serve_forever, daemon=True).start()
        yield service
        server.shutdown()


@pytest.fixture
def service(home: object) -> Iterator[Service]:
    """One that accepts what `secret/api` holds."""
    with serving("Bearer first-token") as running:
        save("secret/api", value="first-token")
        yield running


def by_httpx(url: str, **options: Any) -> tuple[int, bytes]:
    answer = httpx.post(url, content=b"body", follow_redirects=True, **options)
    return answer.status_code, answer.content


def by_requests(url: str, **options: Any) -> tuple[int, bytes]:
    answer = requests.post(url, data=b"body", timeout=10, **options)
    return answer.status_code, answer.content


Post = Callable[..., tuple[int, bytes]]
clients = pytest.mark.parametrize("post", [by_httpx, by_requests])


@clients
def test_a_token_that_is_replaced(post: Post, service: Service) -> None:
    """The same object goes on."""
    auth = http.auth("secret/api")
    assert post(service.url, auth=auth) == (200, b"body")

    save("secret/api", value="second-token")
    service.accepted = {"Bearer second-token"}

    assert post(service.url, auth=auth) == (200, b"body")
    assert service.asked == ["Bearer first-token", "Bearer second-token"]


@clients
def test_a_handle_that_is_behind(post: Post, service: Service) -> None:
    """A refusal makes it look, and the whole request is sent once more."""
    behind: Any = Behind(Secret.load("api"))
    save("secret/api", value="second-token")
    service.accepted = {"Bearer second-token"}

    assert post(service.url, auth=_live_auth()(_Header(behind, None))) == (200, b"body")

    assert service.asked == ["Bearer first-token", "Bearer second-token"]


@clients
def test_a_token_that_stays_refused(post: Post, service: Service) -> None:
    """Is the client's 401, and is not sent twice."""
    service.accepted = set()

    assert post(service.url, auth=http.auth("secret/api"))[0] == 401

    assert len(service.asked) == 1


@clients
def test_a_redirect_to_another_host(post: Post, service: Service) -> None:
    """Which refuses, as it was not sent the token, and must not get it for that."""
    with serving() as other:
        service.elsewhere = other.url.replace("127.0.0.1", "localhost")
        behind: Any = Behind(Secret.load("api"))
        save("secret/api", value="second-token")

        assert post(service.url, auth=_live_auth()(_Header(behind, None)))[0] == 401

        assert other.asked == [""]


def test_a_body_that_is_gone(service: Service) -> None:
    """A stream is not sent a second time, as if it were empty."""
    behind: Any = Behind(Secret.load("api"))
    save("secret/api", value="second-token")
    service.accepted = {"Bearer second-token"}
    auth = _live_auth()(_Header(behind, None))

    answer = httpx.post(service.url, content=iter([b"body"]), headers={"Content-Length": "4"}, auth=auth)
    assert answer.status_code == 401
    behind = Behind(Secret.load("api", version=1))
    auth = _live_auth()(_Header(behind, None))
    other = requests.post(service.url, data=iter([b"body"]), headers={"Content-Length": "4"}, auth=auth, timeout=10)

    assert other.status_code == 401
    assert len(service.asked) == 2


@pytest.mark.parametrize(
    ("reference", "fields", "header"),
    [
        ("git-credentials/ci", {"token": "ghp_token"}, "Bearer ghp_token"),
        (
            "git-credentials/ci",
            {"token": "ghp_token", "username": "me"},
            "Basic " + base64.b64encode(b"me:ghp_token").decode(),
        ),
        ("arraylake-token/prod", {"token": "ema_token"}, "Bearer ema_token"),
        ("aws-credentials/x#secret_access_key", {"access_key_id": "A", "secret_access_key": "B"}, "Bearer B"),
    ],
)
def test_what_is_sent(reference: str, fields: dict[str, str], header: str, service: Service) -> None:
    """The token, or the field that is named; with a user name where there is one."""
    save(reference.partition("#")[0], **fields)
    service.accepted = {header}

    assert by_httpx(service.url, auth=http.auth(reference)) == (200, b"body")


def test_it_travels_as_a_name(service: Service) -> None:
    """And works where it arrives."""
    auth = http.auth("secret/api")
    by_httpx(service.url, auth=auth)

    assert not hunt_bytes({"token": "first-token"}, pickle.dumps(auth) + f"{auth!r}{vars(auth)}".encode(), "pickle")
    told = elsewhere(f"import httpx\nprint(httpx.post({service.url!r}, auth=it).status_code)", auth)
    assert told == "200"


@pytest.mark.parametrize(
    ("reference", "error", "told"),
    [
        ("secret/apj", NotFound, "did you mean 'api'"),
        ("secret/api@1", InvalidName, "is one version"),
        ("secret/api#none", InvalidBlock, "no text to authorize by"),
        ("secret/object", InvalidBlock, "no text to authorize by"),
        ("s3-bucket/b", InvalidBlock, "no text to authorize by"),
    ],
)
def test_what_cannot_be_sent(reference: str, error: type[Exception], told: str, service: Service) -> None:
    """Told before anything is sent."""
    save("secret/object", value={"a": "b"})
    save("s3-bucket/b", bucket="reports")

    with pytest.raises(error, match=told):
        http.auth(reference)


class Behind:
    """A handle that shows what was, until it is refreshed."""

    def __init__(self, block: Secret) -> None:
        self._block = block

    def get(self) -> Secret:
        return self._block

    def refresh(self) -> Secret:
        self._block = Secret.load("api")
        return self._block
