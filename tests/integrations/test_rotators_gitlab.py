"""GitLab tokens, replaced over HTTP at a stand-in of its documented API."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bondstone.blocks import AccessDenied, Block, GitCredentials, GitRepository, InvalidSettings, ServiceUnavailable
from bondstone.blocks.gitlab import GitlabToken
from bondstone.blocks.rotator import rotator_of
from bondstone.integrations.rotators.gitlab import GitlabTokens
from bondstone.integrations.rotators.testing import RotatorSuite
from tests.integrations.stand_in import Asked, Said, stand_in

MANAGER = "glpat-of-the-manager"


@dataclass
class GitLab:
    """A project's tokens, as GitLab's documentation says that it keeps them."""

    url: str = ""
    tokens: dict[int, dict[str, Any]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    rotator: GitlabTokens = field(default_factory=lambda: GitlabTokens(today=lambda: date(2026, 11, 21)))
    block: Any = None
    manager: str = MANAGER

    def make(self, **fields: Any) -> dict[str, Any]:
        number = len(self.tokens) + 100
        common = {
            "id": number,
            "token": f"glpat-number-{number}",
            "created_at": "2026-11-21T08:00:00.000Z",
            "user_id": 7,
        }
        self.tokens[number] = common | {"active": True, "revoked": False} | fields
        return self.tokens[number]

    def answer(self, asked: Asked) -> Said:
        self.asked.append(asked)
        parts, by = urlsplit(asked.path), asked.headers.get("Private-Token")
        mine = [token for token in self.tokens.values() if token["token"] == by and token["active"]]
        if parts.path.endswith("/personal_access_tokens/self"):
            return Said(content=_told(mine[0])) if mine else Said(401)
        if not (parts.path.startswith("/api/v4/projects/42/access_tokens") and (mine or by == self.manager)):
            return Said(401)
        if by != self.manager:
            return Said(403)
        return self.managed(asked, parts.path.rpartition("/")[2], parse_qs(parts.query))

    def managed(self, asked: Asked, last: str, query: dict[str, list[str]]) -> Said:
        if asked.method == "POST" and last == "access_tokens":
            return Said(201, self.make(**json.loads(asked.body)))
        if last == "access_tokens":
            first, size = (int(query["page"][0]) - 1) * int(query["per_page"][0]), int(query["per_page"][0])
            active = [_told(token) for token in self.tokens.values() if token["active"]]
            return Said(content=active[first : first + size])
        token = self.tokens.get(int(last), {"active": False})
        if asked.method == "GET":
            return Said(content=_told(token)) if token["active"] else Said(404)
        if not token["active"]:
            return Said(404)
        token |= {"active": False, "revoked": True}
        return Said(204)

    def ids(self) -> set[str]:
        return {str(number) for number, token in self.tokens.items() if token["active"]}

    def id_of(self, block: GitlabToken) -> str:
        return str(block.token_id)

    def usable(self, block: GitlabToken) -> bool:
        found = [
            token for token in self.tokens.values() if block.token and token["token"] == block.token.get_secret_value()
        ]
        return bool(found and found[0]["active"])

    def revoke(self, block: GitlabToken) -> None:
        self.tokens[block.token_id]["active"] = False

    def lock_out(self) -> None:
        self.manager = "another"


def _told(token: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in token.items() if key != "token"}


@pytest.fixture
def vendor() -> Iterator[GitLab]:
    gitlab = GitLab()
    with stand_in(gitlab.answer) as url:
        gitlab.url = url
        rights = {"name": "flows", "scopes": ["read_repository"], "access_level": 20, "expires_at": "2026-12-21"}
        made = gitlab.make(**rights)
        manager = GitCredentials(token=MANAGER).save("gitlab-admin")
        gitlab.block = GitlabToken(
            token=made["token"], token_id=made["id"], url=url, owner="projects/42", manager=manager
        ).save("ci")
        yield gitlab


class TestGitlabTokens(RotatorSuite):
    @pytest.fixture
    def vendor(self, vendor: GitLab) -> GitLab:
        return vendor


def test_the_new_one_is_as_the_old_one(vendor: GitLab) -> None:
    """Name, scopes, level, and as many days; the block has its number and its end, and goes where git-credentials go."""
    assert isinstance(rotator_of("gitlab-token"), GitlabTokens)

    new = vendor.rotator.create(vendor.block, {})

    made = vendor.tokens[new.token_id]
    assert [made[key] for key in ("name", "scopes", "access_level")] == ["flows", ["read_repository"], 20]
    assert made["expires_at"] == "2026-12-21"
    assert new.expires_at == datetime(2026, 12, 21, tzinfo=UTC)
    assert (new.owner, new.manager, new.reference) == (vendor.block.owner, vendor.block.manager, vendor.block.reference)
    GitRepository(url=f"{vendor.url}/a/b.git", credentials=new).save("flows")
    assert GitRepository.load("flows").credentials == new


def test_its_own_rotate_is_never_called(vendor: GitLab) -> None:
    """It would revoke the old one at once."""
    new = vendor.rotator.create(vendor.block, {})
    vendor.rotator.verify(new)
    vendor.rotator.disable(vendor.block, new)
    assert vendor.usable(vendor.block)
    vendor.rotator.retire(vendor.block, new)

    assert not [asked for asked in vendor.asked if "rotate" in asked.path]
    assert [asked.method for asked in vendor.asked] == ["GET", "POST", "GET", "DELETE"]


def test_verify_says_until_when(vendor: GitLab) -> None:
    found = vendor.rotator.verify(vendor.block)

    assert found.identity == "token 100 'flows' of user 7"
    assert found.expires_at == datetime(2026, 12, 21, tzinfo=UTC)


@pytest.mark.parametrize("others", [99, 250])
def test_many_tokens(vendor: GitLab, others: int) -> None:
    """Page by page: one that is missed would be deleted when a rotation is undone."""
    for _ in range(others):
        vendor.make()

    assert set(vendor.rotator.existing(vendor.block)) == vendor.ids()
    assert len(vendor.ids()) == others + 1


def test_too_many_tokens(vendor: GitLab) -> None:
    """Told, not cut off."""
    for _ in range(2000):
        vendor.make()

    with pytest.raises(ServiceUnavailable, match="does not tell all tokens"):
        vendor.rotator.existing(vendor.block)


def test_without_a_manager(vendor: GitLab) -> None:
    """Told what is missing."""
    alone: Block = vendor.block.model_copy(update={"manager": None})

    with pytest.raises(InvalidSettings, match=r"gitlab-token/ci has no manager"):
        vendor.rotator.existing(alone)  # type: ignore[arg-type]


def test_a_manager_that_may_not(vendor: GitLab) -> None:
    """A project token cannot make another."""
    itself = vendor.block.model_copy(update={"manager": GitCredentials(token=vendor.tokens[100]["token"])})

    with pytest.raises(AccessDenied, match="maintainer or owner of projects/42"):
        vendor.rotator.create(itself, {})


@pytest.mark.parametrize("content", [None, {}, ["x"], [{"number": 1}]])
def test_an_answer_that_makes_no_sense(content: object) -> None:
    """Of a page that is no GitLab: told, and nothing is made."""
    manager = GitCredentials(token=MANAGER)
    with stand_in(lambda _: Said(content=content)) as url:
        block = GitlabToken(token="glpat-x", token_id=1, url=url, owner="groups/1", manager=manager)
        with pytest.raises(ServiceUnavailable):
            GitlabTokens().existing(block)
        with pytest.raises(ServiceUnavailable):
            GitlabTokens().create(block, {})
