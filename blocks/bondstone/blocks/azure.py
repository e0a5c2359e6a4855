"""Microsoft Azure storage."""

import base64
import re
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bondstone.blocks.block import Block
from bondstone.blocks.checks import NameAlone, Prefix, Token, Url, Word
from bondstone.blocks.secret_values import SecretStr

_ACCOUNT = r"^[a-z0-9]{3,24}$"
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class AzureCredentials(Block):
    """A storage account by connection string, by account key, by shared access signature or by service principal.

    Sources: Microsoft Learn, "Configure Azure Storage connection strings" and "Grant limited access with shared access signatures".
    """

    account_name: str | None = Field(
        default=None, description="Name of the storage account.", examples=["reports"], pattern=_ACCOUNT
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
    authority_host: Url = Field(
        default="https://login.microsoftonline.com",
        description="Where the application gets its tokens; national clouds have their own.",
        examples=["https://login.microsoftonline.us"],
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


class AzureContainer(Block):
    """A container, or a prefix in one, of Azure Blob Storage.

    Without credentials the environment's are used (AZURE_STORAGE_…, workload or managed identity).
    Source: Microsoft Learn, "Naming and Referencing Containers, Blobs, and Metadata".
    """

    container: Annotated[str, NameAlone] = Field(
        description="Container name.", examples=["reports"], pattern=r"^[a-z0-9](-?[a-z0-9]){2,}$", max_length=63
    )
    prefix: Prefix = Field(
        default="", description="Prefix of every blob, without a slash at either end.", examples=["2026/monthly"]
    )
    account_name: str | None = Field(
        default=None,
        description="Name of the storage account; the credentials' own if left out.",
        examples=["reports"],
        pattern=_ACCOUNT,
    )
    endpoint: Url | None = Field(
        default=None,
        description="URL of the account's blob service; the connection string's, or https://<account>.blob.core.windows.net, if left out.",
        examples=["https://reports.privatelink.blob.core.windows.net"],
    )
    credentials: AzureCredentials | None = Field(
        default=None,
        description="Who signs; saved separately it is a live reference.",
        examples=["azure-credentials/prod"],
    )
    anonymous: bool = Field(
        default=False, description="Send unsigned requests, for public containers.", examples=[True]
    )

    @model_validator(mode="after")
    def _one_way_to_sign(self) -> Self:
        if self.anonymous and self.credentials:
            raise PydanticCustomError("both", "give either credentials or anonymous, not both")
        if not (self.account_name or self.credentials):
            raise PydanticCustomError("account", "give account_name, or credentials that name it")
        return self
