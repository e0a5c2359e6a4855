"""Arraylake, Earthmover's service for Icechunk repositories."""

from pydantic import Field, field_validator
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

    @field_validator("token")
    @classmethod
    def _starts_as_tokens_do(cls, token: SecretStr) -> SecretStr:
        if not token.get_secret_value().startswith(("ema_", "ey")):
            raise PydanticCustomError(
                "token_shape", "starts neither with ema_ nor with ey: this is not an Arraylake token"
            )
        return token
