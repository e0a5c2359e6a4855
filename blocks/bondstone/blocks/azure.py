"""Microsoft Azure storage."""

import base64
import re
from typing import Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bondstone.blocks.block import Block
from bondstone.blocks.checks import Token, Word
from bondstone.blocks.secret_values import SecretStr

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class AzureCredentials(Block):
    """A storage account by connection string, by account key, by shared access signature or by service principal.

    Sources: Microsoft Learn, "Configure Azure Storage connection strings" and "Grant limited access with shared access signatures".
    """

    account_name: str | None = Field(
        default=None, description="Name of the storage account.", examples=["reports"], pattern=r"^[a-z0-9]{3,24}$"
    )
    connection_string: Token | None = Field(
        default=None,
        description="Connection string, which names the account and its key.",
        examples=["DefaultEndpointsProtocol=https;AccountName=example;AccountKey=ZXhhbXBsZS1rZXk="],
    )
    account_key: Token | None = Field(
        default=None,
        description="One of the account's two access keys (base64).",
        examples=[base64.b64encode(b"an example of sixty-four bytes, which opens nothing at all......").decode()],
    )
    sas_token: Token | None = Field(
        default=None,
        description="Shared access signature, without a question mark before it.",
        examples=["sv=2026-02-06&ss=b&srt=o&sp=r&se=2027-01-01T00:00:00Z&sig=RVhBTVBMRQ%3D%3D"],
    )
    tenant_id: Word | None = Field(
        default=None,
        description="Directory (tenant) id, or its domain.",
        examples=["00000000-0000-0000-0000-000000000001"],
    )
    client_id: Word | None = Field(
        default=None, description="Application (client) id.", examples=["00000000-0000-0000-0000-000000000002"]
    )
    client_secret: Token | None = Field(
        default=None, description="Client secret: its value, not its id.", examples=["ABC8Q~example"]
    )

    @field_validator("connection_string")
    @classmethod
    def _is_a_connection_string(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value() if value else "UseDevelopmentStorage=true"
        names = {part.partition("=")[0].lower() for part in text.split(";")}
        if not (names & {"accountkey", "sharedaccesssignature", "usedevelopmentstorage"}):
            raise PydanticCustomError(
                "connection_string", "has neither AccountKey= nor SharedAccessSignature=: was a part cut off?"
            )
        return value

    @field_validator("account_key")
    @classmethod
    def _is_base64(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            whole = value is None or len(base64.b64decode(value.get_secret_value(), validate=True)) == 64
        except ValueError:
            whole = False
        if not whole:
            raise PydanticCustomError("account_key", "is not the base64 of 64 bytes that an account key is")
        return value

    @field_validator("sas_token")
    @classmethod
    def _is_signed(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.match(r"(?!\?|https?:).*\bsig=", value.get_secret_value()):
            raise PydanticCustomError(
                "sas_token", "is no signature: it has sig= in it, and begins behind the URL's question mark"
            )
        return value

    @field_validator("client_id")
    @classmethod
    def _is_a_guid(cls, value: str | None) -> str | None:
        if value is not None and not _GUID.fullmatch(value):
            raise PydanticCustomError("guid", "is not an id such as 00000000-0000-0000-0000-000000000002")
        return value

    @field_validator("client_secret")
    @classmethod
    def _is_the_value(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and _GUID.fullmatch(value.get_secret_value()):
            raise PydanticCustomError(
                "secret_id", "is the id of a secret: the portal shows its value once, beside the id"
            )
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        principal = (self.tenant_id, self.client_id, self.client_secret)
        ways = (self.connection_string, self.account_key, self.sas_token, any(principal) or None)
        if sum(way is not None for way in ways) != 1:
            raise PydanticCustomError(
                "one_way",
                "give exactly one of connection_string, account_key, sas_token, and tenant_id with client_id and client_secret",
            )
        if any(principal) and not all(principal):
            raise PydanticCustomError("half", "tenant_id, client_id and client_secret go together")
        if (self.account_name is None) == (self.connection_string is None):
            raise PydanticCustomError("account", "give account_name, except with a connection_string, which names it")
        return self
