"""In JSON schemas a block is asked for by its name: a form made from one never asks for a secret."""

import re
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from bondstone.blocks import AwsCredentials, Block, GitCredentials, GitRepository, Secret


class Settings(BaseModel):
    token: Secret
    git: GitCredentials | None = None


def pattern(cls: type[Block]) -> str:
    schema: dict[str, Any] = TypeAdapter(cls).json_schema()
    return str(schema["pattern"])


def test_a_block_among_other_things_is_a_text() -> None:
    """With an example; none of its fields is named."""
    schema = Settings.model_json_schema()

    assert schema["properties"]["token"]["type"] == "string"
    assert schema["properties"]["token"]["examples"] == ["secret/name"]
    assert "writeOnly" not in str(schema)
    assert "ssh_private_key" not in str(schema)


def test_a_block_by_itself_has_its_fields() -> None:
    """And names in the place of blocks inside it."""
    schema = GitRepository.model_json_schema()

    assert list(schema["properties"]) == list(GitRepository.model_fields)
    assert "git-credentials" in str(schema["properties"]["credentials"])
    assert "ssh_private_key" not in str(schema)


def test_what_is_written_out_has_its_fields() -> None:
    """As in the answers of a web service, where its secrets are masks."""
    schema = Settings.model_json_schema(mode="serialization")

    assert "ssh_private_key" in str(schema)


@pytest.mark.parametrize(
    "text",
    ["git-credentials/ci", "gitlab-token/team/ci@3", "bondstone://git-credentials/ci", "git-credentials/a.b_c-1"],
)
def test_names_that_fit(text: str) -> None:
    """Also of a kind that derives from the one that is wanted."""
    assert re.search(pattern(GitCredentials), text)


@pytest.mark.parametrize(
    "text", ["ci", "secret/ci", "git-credentials/", "git-credentials/ci#token", "x git-credentials/ci"]
)
def test_names_that_do_not(text: str) -> None:
    """No name, another kind, a field."""
    assert not re.search(pattern(GitCredentials), text)


def test_any_block() -> None:
    """`Block` takes every kind."""
    assert re.search(pattern(Block), "aws-credentials/prod")
    assert not re.search(pattern(AwsCredentials), "secret/token")
