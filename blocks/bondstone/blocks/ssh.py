"""SSH."""

from typing import Self

from pydantic import Field, ValidationInfo, model_validator

from bondstone.blocks.block import Block
from bondstone.blocks.checks import Password, PrivateKey, Word, opened
from bondstone.blocks.pem import EXAMPLE_KEY


class SshKey(Block):
    """A private key, and who logs in with it. Source: OpenSSH, ssh-keygen(1)."""

    private_key: PrivateKey = Field(description="Private key in OpenSSH or PEM form.", examples=[EXAMPLE_KEY])
    passphrase: Password | None = Field(
        default=None, description="Passphrase of the private key.", examples=["seven wet hens"]
    )
    username: Word | None = Field(default=None, description="User name on the other side.", examples=["git"])

    @model_validator(mode="after")
    def _opens(self, info: ValidationInfo) -> Self:
        return opened(self, self.private_key, self.passphrase, info)
