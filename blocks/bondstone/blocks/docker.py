"""Registries of container images."""

from typing import Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bondstone.blocks.block import Block
from bondstone.blocks.checks import Password, Word


class DockerRegistry(Block):
    """A registry of container images and who logs in. Source: Docker documentation, "docker login"."""

    host: str = Field(
        default="docker.io",
        description="Host name, with the port if it is not 443, without scheme and path.",
        examples=["ghcr.io"],
        pattern=r"^[A-Za-z0-9.-]+(:[0-9]{1,5})?$",
    )
    username: Word | None = Field(default=None, description="User name.", examples=["reader"])
    password: Password | None = Field(
        default=None, description="Password or access token.", examples=["dckr_pat_EXAMPLE"]
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise PydanticCustomError("half", "username and password go together")
        return self
