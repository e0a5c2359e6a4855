"""Git hosts and repositories."""

from pathlib import PurePosixPath
from typing import Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bondstone.blocks.block import Block
from bondstone.blocks.checks import Password, PrivateKey, Token, Word, no_userinfo, opened
from bondstone.blocks.pem import EXAMPLE_KEY


class GitCredentials(Block):
    """A token for HTTPS, a private key for SSH, or a GitHub App.

    Sources: GitHub Docs, "Managing your personal access tokens" and "Authenticating as a GitHub App installation".
    """

    username: Word | None = Field(
        default=None, description="User name that goes with the token.", examples=["x-access-token"]
    )
    token: Token | None = Field(
        default=None, description="Personal, project or deploy token.", examples=["ghp_example"]
    )
    ssh_private_key: PrivateKey | None = Field(
        default=None,
        description="Private key in PEM form (-----BEGIN … PRIVATE KEY-----).",
        examples=[EXAMPLE_KEY],
    )
    ssh_passphrase: Password | None = Field(
        default=None, description="Passphrase of the private key.", examples=["seven wet hens"]
    )
    app_id: Word | None = Field(default=None, description="Id of a GitHub App.", examples=["123456"])
    app_installation_id: Word | None = Field(
        default=None, description="Id of the app's installation.", examples=["7654321"]
    )
    app_private_key: PrivateKey | None = Field(
        default=None,
        description="The app's private key in PEM form.",
        examples=[EXAMPLE_KEY],
    )

    @model_validator(mode="after")
    def _one_way(self, info: ValidationInfo) -> Self:
        if sum(way is not None for way in (self.token, self.ssh_private_key, self.app_private_key)) != 1:
            raise PydanticCustomError("one_way", "give exactly one of token, ssh_private_key and app_private_key")
        if self.app_private_key and not (self.app_id and self.app_installation_id):
            raise PydanticCustomError("app", "app_private_key goes with app_id and app_installation_id")
        if self.ssh_passphrase and not self.ssh_private_key:
            raise PydanticCustomError("one_way", "ssh_passphrase goes with ssh_private_key")
        return opened(self, self.ssh_private_key, self.ssh_passphrase, info)


class GitRepository(Block):
    """A repository at a branch (its head is followed), a tag or a commit (both stay where they are)."""

    url: Word = Field(
        description="URL to clone, without credentials.", examples=["https://github.com/zarr-developers/zarr-python"]
    )
    branch: Word | None = Field(
        default=None,
        description="Branch whose head is followed; the default branch if nothing is given.",
        examples=["main"],
    )
    tag: Word | None = Field(default=None, description="Tag.", examples=["v1.2.0"])
    commit: str | None = Field(
        default=None, description="Full commit id.", examples=["0" * 40], pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$"
    )
    subpath: str | None = Field(
        default=None, description="Folder in the repository, relative.", examples=["flows/daily"]
    )
    credentials: GitCredentials | None = Field(
        default=None, description="Who asks; public repositories need none.", examples=["git-credentials/ci"]
    )

    _clean_url = field_validator("url")(no_userinfo)

    @field_validator("subpath")
    @classmethod
    def _inside(cls, value: str | None) -> str | None:
        if value is not None and (PurePosixPath(value).is_absolute() or ".." in PurePosixPath(value).parts):
            raise PydanticCustomError("subpath", "leads out of the repository: give a relative path without '..'")
        return value

    @model_validator(mode="after")
    def _one_revision(self) -> Self:
        if sum(revision is not None for revision in (self.branch, self.tag, self.commit)) > 1:
            raise PydanticCustomError("revision", "give at most one of branch, tag and commit")
        return self
