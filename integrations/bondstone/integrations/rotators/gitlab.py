"""GitLab project and group access tokens: a new one is made beside the old one, which is then revoked.

GitLab's own `rotate` is never called: it revokes the old token at once, and, called again with it, the new one too (GitLab issue 524639).
Source: GitLab Docs, "Project access tokens API", "Group access tokens API", "Personal access tokens API".
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from bondstone.blocks import Conflict, InvalidSettings, NotFound, ServiceUnavailable
from bondstone.blocks.errors import guarded
from bondstone.blocks.git import GitCredentials
from bondstone.blocks.gitlab import GitlabToken
from bondstone.blocks.rotator import DEADLINE, Verified
from bondstone.integrations.https import Answer, ask, good
from bondstone.integrations.within import within

_PROVES = "GitLab knows the token, and it is not revoked; which of its rights are enough is not asked."
_MOST_PAGES = 20  # of 100 tokens
_MOST_DAYS = 365  # GitLab's own limit
_SECONDS = 10.0  # for each request: a step makes a few


class GitlabTokens:
    """A token that its manager replaces by one with the same name, rights and length of life."""

    def guided(self, block: Any) -> bool:
        return False

    def __init__(self, today: Callable[[], date] = lambda: datetime.now(UTC).date()) -> None:
        self._today = today

    @guarded
    def existing(self, block: GitlabToken) -> Sequence[str]:
        return _bounded(block, lambda: sorted(_active(block)))

    @guarded
    def create(self, block: GitlabToken, given: Mapping[str, Any]) -> GitlabToken:
        if given:
            raise InvalidSettings(f"GitLab makes the new token of {_name(block)}: give no fields")
        return _bounded(block, lambda: self._made(block))

    def _made(self, block: GitlabToken) -> GitlabToken:
        model = _managed(block, "GET", f"/{block.token_id}").json(_name(block))
        wanted = {key: model[key] for key in ("name", "scopes", "access_level")} | {"expires_at": self._end(model)}
        made = _managed(block, "POST", "", wanted).json(_name(block))
        end = f"{made['expires_at']}T00:00:00Z" if made.get("expires_at") else None
        return block.model_copy(update={"token": made["token"], "token_id": made["id"], "expires_at": end})

    def install(self, new: GitlabToken, block: GitlabToken) -> None:
        """Nothing: GitLab made it."""

    @guarded
    def verify(self, block: GitlabToken) -> Verified:
        url = f"{block.url.rstrip('/')}/api/v4/personal_access_tokens/self"
        answer = good(
            ask(url, _name(block), headers=_signed(block), seconds=_SECONDS), _name(block), "is it revoked or expired?"
        )
        found = answer.json(_name(block))
        who = f"token {found.get('id')} '{found.get('name')}' of user {found.get('user_id')}"
        return Verified("GitLab GET /personal_access_tokens/self", who, _PROVES, _end_of(found))

    @guarded
    def disable(self, old: GitlabToken, block: GitlabToken) -> None:
        """Nothing: GitLab cannot take a revocation back."""
        _check_not_current(old, block)

    @guarded
    def retire(self, old: GitlabToken, block: GitlabToken) -> None:
        _check_not_current(old, block)
        _bounded(block, lambda: _revoke(block, str(old.token_id)))

    @guarded
    def discard(self, before: Sequence[str], new: GitlabToken | None, block: GitlabToken) -> None:
        made = set(self.existing(block)) - {*before, str(block.token_id)}
        if new is not None:
            made &= {str(new.token_id)}
        for token_id in sorted(made):
            _bounded(block, partial(_revoke, block, token_id))

    def _end(self, model: dict[str, Any]) -> str:
        """As many days from now as the old one had from its beginning."""
        days = _MOST_DAYS
        with suppress(KeyError, TypeError, ValueError):
            days = (date.fromisoformat(model["expires_at"]) - date.fromisoformat(model["created_at"][:10])).days
        return (self._today() + timedelta(days=max(1, min(days, _MOST_DAYS)))).isoformat()


def _bounded[T](block: GitlabToken, call: Callable[[], T]) -> T:
    """A few requests, within the deadline of a step."""
    return within(DEADLINE, f"GitLab ({_name(block)})", call, lambda error: _strange(block, error))


def _strange(block: GitlabToken, error: Exception) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"GitLab's answer for {_name(block)} is not understood ({type(error).__name__}): correct its url"
    )


def _active(block: GitlabToken) -> Iterator[str]:
    """Ids of the tokens of the same project or group that are not revoked."""
    for page in range(1, _MOST_PAGES + 1):
        found = json.loads(_managed(block, "GET", f"?state=active&per_page=100&page={page}").body)
        if not isinstance(found, list):
            break
        yield from (str(token["id"]) for token in found if token.get("active", True))
        if len(found) < 100:
            return
    raise ServiceUnavailable(f"GitLab does not tell all tokens beside {_name(block)}: revoke some that are not needed")


def _revoke(block: GitlabToken, token_id: str) -> None:
    with suppress(NotFound):
        _managed(block, "DELETE", f"/{token_id}")


def _managed(block: GitlabToken, method: str, path: str, fields: Mapping[str, Any] | None = None) -> Answer:
    """One request about the tokens of the block's project or group, by its manager."""
    if block.manager is None:
        raise InvalidSettings(
            f"{_name(block)} has no manager: GitLab's tokens cannot replace themselves; give it the git-credentials of one who may"
        )
    body = json.dumps(fields).encode() if fields else None
    headers = _signed(block.manager) | {"Content-Type": "application/json"}
    url = f"{block.url.rstrip('/')}/api/v4/{block.owner}/access_tokens{path}"
    answer = ask(url, _name(block), headers=headers, method=method, body=body, seconds=_SECONDS)
    manager = block.manager.reference or "its manager"
    return good(answer, _name(block), f"has {manager} the scope api, and is it a maintainer or owner of {block.owner}?")


def _signed(credentials: GitCredentials) -> dict[str, str]:
    return {"PRIVATE-TOKEN": credentials.token.get_secret_value() if credentials.token else ""}


def _check_not_current(old: GitlabToken, block: GitlabToken) -> None:
    if old.token_id == block.token_id:
        raise Conflict(f"{_name(block)} is token {block.token_id} now: it is not revoked")


def _end_of(found: dict[str, Any]) -> datetime | None:
    with suppress(KeyError, TypeError, ValueError):
        return datetime.fromisoformat(found["expires_at"]).replace(tzinfo=UTC)
    return None


def _name(block: GitlabToken) -> str:
    return block.reference or block.kind


gitlab_token = GitlabTokens()
