"""What a package of somebody else brings: one file, and one line in its pyproject.toml."""

from pydantic import Field

from bondstone.blocks import AwsCredentials, Block, SecretStr


class AcmeAccount(Block):
    """An account at Acme. Source: the imagination."""

    schema_version = 2

    api_key: SecretStr = Field(description="Key of the account.", examples=["acme-EXAMPLE"])
    seats: int = Field(default=1, description="How many may log in.", examples=[3])
    storage: AwsCredentials | None = Field(
        default=None, description="Who reads its storage.", examples=["aws-credentials/acme"]
    )
