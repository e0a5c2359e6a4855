"""Arraylake, Earthmover's service for Icechunk repositories."""

from typing import Self

from pydantic import AwareDatetime, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bondstone.blocks.block import Block
from bondstone.blocks.checks import Token, Url, Word
from bondstone.blocks.secret_values import SecretStr


class ArraylakeToken(Block):
    """An API token of Arraylake. Source: Arraylake documentation, "API tokens"."""

    token: Token = Field(
        description="The token; it starts with ema_ (API token) or ey (a person's).", examples=["ema_EXAMPLE"]
    )
    service_uri: Url = Field(
        default="https://api.earthmover.io", description="URL of the service.", examples=["https://api.earthmover.io"]
    )
    org: Word | None = Field(
        default=None, description="Organization that repositories are looked for in.", examples=["earthmover"]
    )

    expires_at: AwareDatetime | None = Field(
        default=None,
        description="When the token ends, as Arraylake said (see 'bondstone verify'), with its time zone.",
        examples=["2027-01-01T00:00:00Z"],
    )

    @field_validator("token")
    @classmethod
    def _starts_as_tokens_do(cls, token: SecretStr) -> SecretStr:
        if not token.get_secret_value().startswith(("ema_", "ey")):
            raise PydanticCustomError(
                "token_shape", "starts neither with ema_ nor with ey: this is not an Arraylake token"
            )
        return token


class ArraylakeRepo(Block):
    """An Icechunk repository that Arraylake keeps. Source: Arraylake documentation, "Repos"."""

    repo: str = Field(
        description="Organization and repository, as in Arraylake's URL.",
        examples=["earthmover/ocean"],
        pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$",
    )
    token: ArraylakeToken = Field(
        description="Who asks; saved separately it is a live reference.", examples=["arraylake-token/prod"]
    )
    branch: Word = Field(default="main", description="Branch that tasks read and commit to.", examples=["main"])
    chunks_per_manifest: int | None = Field(
        default=1000,
        description="Chunks along each dimension of an array whose places icechunk writes anew together, where the repository does not"
        " say; null for icechunk's own, which is all.",
        examples=[1000],
        ge=1,
    )

    @model_validator(mode="after")
    def _one_organization(self) -> Self:
        if self.token.org and self.token.org != self.repo.partition("/")[0]:
            raise PydanticCustomError("org", "repo is of another organization than the token's org")
        return self
