"""HTTP: the Authorization header of a block, as it is at each request, for httpx and for requests."""

from base64 import b64encode
from collections.abc import Generator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from bondstone.blocks import Block, Handle, InvalidBlock, InvalidName, Reference, SecretStr, find, live
from bondstone.integrations.extras import need

_FIELDS = ("token", "password", "value")
_REPLAYABLE = (bytes, str, type(None))


def auth(reference: str, *, ttl: float | None = None) -> Any:
    """What httpx and requests take as ``auth=``: the token of a block, read at each request; after a 401 once more.

    `reference` is such as ``secret/api-token``; without ``#field`` the block's `token`, `password` or `value` is sent, with its
    `username` (Basic) where it has one, else as a Bearer token. A request whose body cannot be sent again is not repeated. It pickles
    to the name of the block. Raises `InvalidName`, `InvalidBlock` (no such field), and what loading raises.
    """
    parsed = Reference.parse(reference)
    if parsed.version is not None:
        raise InvalidName(f"'{reference}' is one version: leave '@{parsed.version}' out to follow the current one")
    return _made(live(find(parsed.kind), parsed.name, ttl=ttl), parsed.field)


@dataclass(frozen=True)
class _Header:
    handle: Handle[Any]
    field: str | None

    def now(self) -> str:
        return _header(self.handle.get(), self.field)

    def renewed(self) -> str:
        return _header(self.handle.refresh(), self.field)


def _header(block: Block, field: str | None) -> str:
    field = field or next((name for name in _FIELDS if getattr(block, name, None) is not None), None)
    value: Any = getattr(block, field, None) if field in type(block).model_fields else None
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if not isinstance(value, str):
        raise InvalidBlock(f"{block.reference} has no text to authorize by: name its field, as in {block.kind}/…#field")
    user = getattr(block, "username", None)
    return f"Basic {b64encode(f'{user}:{value}'.encode()).decode()}" if user else f"Bearer {value}"


def _made(handle: Handle[Any], field: str | None) -> Any:
    made = _live_auth()(_Header(handle, field))
    made.header.now()  # a block that cannot be sent is told here
    return made


@lru_cache
def _live_auth() -> Any:
    # httpx asks for a class of its own; requests, and whoever else calls it, does not.
    base: Any = need("httpx", "arraylake").Auth if find_spec("httpx") else object

    class LiveAuth(base):  # type: ignore[misc]
        """The Authorization header of a block."""

        def __init__(self, header: _Header) -> None:
            self.header = header

        def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            """Httpx's way."""
            sent = request.headers["Authorization"] = self.header.now()
            answer = yield request
            if answer.status_code == 401 and _sent(answer.request, sent) and hasattr(request, "_content"):
                renewed = self.header.renewed()
                if renewed != sent:
                    request.headers["Authorization"] = renewed
                    yield request

        def __call__(self, request: Any) -> Any:
            """The way of requests."""
            sent = request.headers["Authorization"] = self.header.now()
            request.register_hook("response", lambda answer, **options: self._answered(answer, sent, options))
            return request

        def _answered(self, answer: Any, sent: str, options: dict[str, Any]) -> Any:
            if answer.status_code != 401 or not _sent(answer.request, sent):
                return answer
            renewed = self.header.renewed()
            if renewed == sent or not isinstance(answer.request.body, _REPLAYABLE):
                return answer
            answer.content  # noqa: B018 -- read, so that the connection can be used again
            answer.close()
            again = answer.request.copy()
            again.headers["Authorization"] = renewed
            second = answer.connection.send(again, **options)
            second.history.append(answer)
            second.request = again
            return second

        def __reduce__(self) -> tuple[Any, ...]:
            return _made, (self.header.handle, self.header.field)

    return LiveAuth


def _sent(request: Any, header: str) -> bool:
    """Whether the refused request carried it. One that was redirected to another host did not, and must not get it by a second try."""
    return bool(request.headers.get("Authorization") == header)
