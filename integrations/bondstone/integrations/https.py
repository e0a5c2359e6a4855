"""One question over HTTP, for vendors that need no library: bounded in time and size, and never sent on to another host."""

import json
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from bondstone.blocks import AccessDenied, BondstoneError, NotFound, ServiceUnavailable
from bondstone.blocks.errors import guarded
from bondstone.blocks.rotator import DEADLINE
from bondstone.integrations.within import within

_MOST_BYTES = 1_000_000


class Answer(NamedTuple):
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self, what: str) -> dict[str, Any]:
        """Raises `ServiceUnavailable` if it is no JSON object."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise ServiceUnavailable(f"{what} answered with something that is no JSON object: correct its URL")
        return found


class _Stay(HTTPRedirectHandler):
    """A redirection would be followed with our Authorization header, to whatever host it names."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any) -> None:
        return None


@guarded
def ask(
    url: str,
    what: str,
    *,
    headers: Mapping[str, str] | None = None,
    method: str | None = None,
    body: bytes | None = None,
    context: ssl.SSLContext | None = None,
    seconds: float = DEADLINE,
) -> Answer:
    """The answer to one request. `what` stands for it in errors, since the URL and the headers may be secret.

    The environment's proxies are used. Raises `ServiceUnavailable` if nothing comes back within `seconds`.
    """

    def call() -> Answer:
        opener = build_opener(_Stay, HTTPSHandler(context=context or ssl.create_default_context()))
        request = Request(url, data=body, headers=dict(headers or {}), method=method)  # noqa: S310 -- blocks take http(s) only
        response: Any
        try:
            response = opener.open(request, timeout=seconds)
        except HTTPError as error:  # an answer too
            response = error
        with response:
            return Answer(response.status, dict(response.headers.items()), response.read(_MOST_BYTES))

    return within(seconds, what, call, lambda error: _unanswered(what, error))


def _unanswered(what: str, error: Exception) -> BondstoneError:
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return ServiceUnavailable(f"{what} shows a certificate that is not trusted here: correct its URL, or trust it")
    return ServiceUnavailable(f"{what} did not answer ({type(reason).__name__}): try again, or correct its URL")


def good(answer: Answer, what: str, remedy: str) -> Answer:
    """`answer`, if it is one of success. Raises `AccessDenied` with `remedy`, `NotFound` or `ServiceUnavailable`."""
    if answer.status in (401, 403):
        raise AccessDenied(f"{what} refused the credential ({answer.status}): {remedy}")
    if answer.status == 404:
        raise NotFound(f"{what} knows no such thing (404): correct its URL")
    if 300 <= answer.status < 400:
        raise ServiceUnavailable(f"{what} sends us elsewhere ({answer.status}), which is not followed: correct its URL")
    if not 200 <= answer.status < 300:
        raise ServiceUnavailable(f"{what} failed ({answer.status}): try again")
    return answer
