"""What Arraylake says of a repository, asked for as seldom as its keys allow, and the keys in icechunk's words."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from bondstone.blocks import (
    AccessDenied,
    ArraylakeRepo,
    ArraylakeToken,
    BondstoneError,
    Handle,
    NotFound,
    ServiceUnavailable,
)
from bondstone.integrations.arraylake import DEADLINE, metastore
from bondstone.integrations.extras import need

MARGIN = timedelta(seconds=120)  # in which icechunk asks for others before keys end


@dataclass(frozen=True)
class Answer:
    """What the service said, by which version of the block, and until when it needs not be asked again."""

    block: ArraylakeRepo
    said: Any = field(repr=False)  # arraylake.types.OpenRepoResponse
    due: datetime

    def keys(self, container: str | None = None) -> Any:
        """Of the repository's bucket, or of the virtual chunks at a prefix; None if there is to be no signature."""
        return self.chunks(container).credentials if container else self.said.repo_credentials

    def chunks(self, container: str) -> Any:
        """All that was said of the virtual chunks at a prefix. Raises `AccessDenied` if nothing was, any more."""
        try:
            return self.said.virtual_chunk_credentials[container]
        except KeyError:
            raise AccessDenied(
                f"Arraylake no longer lets {self.block.repo!r} refer to {container}: authorize it there again"
            ) from None


class Inquiry:
    """Asks for one repository; what it was told serves all who ask in this process."""

    def __init__(
        self,
        handle: Handle[ArraylakeRepo],
        deadline: float = DEADLINE,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.handle, self.deadline, self.clock = handle, deadline, clock
        self.fault: BondstoneError | None = None  # what the last question came to, where that is no answer
        self._last: Answer | None = None
        self._asking = Lock()

    def answer(self) -> Answer:
        """Raises `NotFound`, `AccessDenied`, `ServiceUnavailable`."""
        with self._asking:
            block, now, last = self.handle.get(), self.clock(), self._last
            if last is not None and last.block == block and now < last.due:
                return last
            return self._ask(block, now)

    def anew(self) -> Answer:
        """However fresh the last answer is."""
        with self._asking:
            return self._ask(self.handle.refresh(), self.clock())

    def renewed(self, before: Answer, container: str | None = None) -> bool:
        """After a refusal of the keys of `before`: whether there are others, asked for if need be."""
        with self._asking:
            last = self._last
            if last is None or last.keys(container) == before.keys(container):
                last = self._ask(self.handle.refresh(), self.clock())
            return bool(last.keys(container) != before.keys(container))

    def _ask(self, block: ArraylakeRepo, now: datetime) -> Answer:
        self._last = None
        try:
            said = _said(self.handle, block, self.deadline)
        except BondstoneError as error:
            self.fault = error
            raise
        self.fault, self._last = None, Answer(block, said, now + _use(said, now, self.handle.ttl))
        return self._last


_inquiries: WeakKeyDictionary[Handle[ArraylakeRepo], Inquiry] = WeakKeyDictionary()


def inquiry(handle: Handle[ArraylakeRepo]) -> Inquiry:
    """The one of this process."""
    return _inquiries.setdefault(handle, Inquiry(handle))


@dataclass(frozen=True)
class ArraylakeKeys:
    """The keys that Arraylake gives now. Icechunk pickles it, to the name of the block, and unpickles it for every question."""

    handle: Handle[ArraylakeRepo]
    container: str | None = None  # of virtual chunks, by its prefix

    def current(self) -> tuple[Any, datetime]:
        """As Arraylake's client has them, and when to ask again."""
        answer = inquiry(self.handle).answer()
        keys = answer.keys(self.container)
        return keys, _utc(keys.expiration) if keys.expiration else answer.due

    def __call__(self) -> Any:
        vendor, (keys, until) = need("icechunk", "arraylake"), self.current()
        if isinstance(keys, need("arraylake.types", "arraylake").GSCredentials):
            return vendor.GcsBearerCredential(keys.access_token, until)
        pair = keys.aws_access_key_id, keys.aws_secret_access_key
        return vendor.S3StaticCredentials(*pair, keys.aws_session_token, until)


@dataclass(frozen=True)
class ObstoreKeys(ArraylakeKeys):
    """Those of S3 in obstore's words."""

    def __call__(self) -> dict[str, Any]:
        keys, until = self.current()
        pair = {"access_key_id": keys.aws_access_key_id, "secret_access_key": keys.aws_secret_access_key}
        return {**pair, "token": keys.aws_session_token, "expires_at": until}


@dataclass(frozen=True)
class _Token:
    """The token of a repository's block, as a handle shows it."""

    handle: Handle[ArraylakeRepo]

    def get(self) -> ArraylakeToken:
        return self.handle.get().token

    def refresh(self) -> ArraylakeToken:
        return self.handle.refresh().token


def _said(handle: Handle[ArraylakeRepo], block: ArraylakeRepo, deadline: float) -> Any:
    org, _, name = block.repo.partition("/")
    try:
        return need("arraylake.asyn", "arraylake").sync(metastore(_Token(handle), org, deadline).open_repo, name)
    except BondstoneError:
        raise
    except (
        ValueError
    ) as error:  # the vendor's errors of HTTP, and of an answer that it cannot read, whose text would show the keys
        found = _fault(block, error)
    raise found from None


def _fault(block: ArraylakeRepo, error: ValueError) -> BondstoneError:
    status, signer = getattr(error, "status_code", None), block.token.reference or block.reference
    if status == 404:
        return NotFound(
            f"Arraylake has no repository {block.repo!r}: make it with create_repo of arraylake.connect, or correct {block.reference}"
        )
    if status == 403:
        return AccessDenied(
            f"Arraylake does not open {block.repo!r} to the token of {signer}: give it a role there, or correct {block.reference}"
        )
    reason = f"HTTP {status}" if status else "an answer that this version of arraylake cannot read"
    return ServiceUnavailable(f"Arraylake did not open {block.repo!r} of {block.reference} ({reason}): try again later")


def _use(said: Any, now: datetime, ttl: float) -> timedelta:
    """For how long: at most `ttl`, and not into the time in which icechunk wants other keys; short ones for two thirds of their life."""
    given = [said.repo_credentials, *(chunks.credentials for chunks in said.virtual_chunk_credentials.values())]
    lives = [_utc(keys.expiration) - now for keys in given if keys and keys.expiration]
    return min([timedelta(seconds=ttl), *(life - min(MARGIN, life / 3) for life in lives)])


def _utc(moment: datetime) -> datetime:
    """Icechunk knows no other time zone."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
