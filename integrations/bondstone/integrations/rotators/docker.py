"""Image registries. Source: CNCF Distribution documentation, "Token Authentication Specification"."""

import base64
import re
from typing import Any
from urllib.parse import urlencode, urlsplit

from bondstone.blocks import ServiceUnavailable
from bondstone.blocks.docker import DockerRegistry
from bondstone.blocks.errors import guarded
from bondstone.blocks.rotator import DEADLINE, Guided, Verified
from bondstone.integrations.https import Answer, ask, good

_PROVES = "The registry takes this login; which images it may pull or push is not asked."
_OPEN = "The registry answers anybody; there is no login to prove."
_SECONDS = DEADLINE / 3  # for each of three requests
_HUB = {"docker.io", "index.docker.io"}


class DockerRegistries(Guided):
    """Pasted; verified by logging in as `docker login` does."""

    remedy = "revoke the old token at the registry (Docker Hub: Account settings, Personal access tokens)"

    @guarded
    def verify(self, block: DockerRegistry) -> Verified:
        what, url = block.reference or block.host, f"{_base(block.host)}/v2/"
        scheme, _, challenge = _challenge(ask(url, what, seconds=_SECONDS)).partition(" ")
        if scheme.lower() == "bearer":
            answer = ask(
                url, what, headers={"Authorization": f"Bearer {_token(block, what, challenge)}"}, seconds=_SECONDS
            )
        else:
            answer = ask(url, what, headers=_login(block), seconds=_SECONDS)
        good(answer, what, _REMEDY)
        return Verified("GET /v2/", block.username or "anybody", _PROVES if block.username else _OPEN)


_REMEDY = "is the password or token revoked, or of another user?"


def _base(host: str) -> str:
    """As docker itself, which speaks plain HTTP to this machine alone."""
    name = "registry-1.docker.io" if host in _HUB else host
    return f"http://{name}" if host.partition(":")[0] in ("localhost", "127.0.0.1") else f"https://{name}"


def _challenge(answer: Answer) -> str:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return headers.get("www-authenticate", "") if answer.status == 401 else ""


def _token(block: DockerRegistry, what: str, challenge: str) -> str:
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = fields.get("realm", "")
    if urlsplit(realm).scheme != "https" and not _same_machine(block.host, realm):
        raise ServiceUnavailable(f"{what} asks for the login at an address that is not https: nothing was sent")
    query = {"service": fields.get("service", "")} | ({"account": block.username} if block.username else {})
    found: dict[str, Any] = good(
        ask(f"{realm}?{urlencode(query)}", what, headers=_login(block), seconds=_SECONDS), what, _REMEDY
    ).json(what)
    return str(found.get("token") or found.get("access_token") or "")


def _same_machine(host: str, realm: str) -> bool:
    here = ("localhost", "127.0.0.1")
    return host.partition(":")[0] in here and urlsplit(realm).scheme == "http" and urlsplit(realm).hostname in here


def _login(block: DockerRegistry) -> dict[str, str]:
    if not (block.username and block.password):
        return {}
    pair = f"{block.username}:{block.password.get_secret_value()}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


docker_registry = DockerRegistries()
