"""Google Cloud Storage."""

import json
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from bondstone.blocks.block import Block
from bondstone.blocks.checks import STORED, NameAlone, Prefix, Url, Word
from bondstone.blocks.pem import EXAMPLE_KEY, private_key_fault
from bondstone.blocks.secret_values import SecretStr

_EXAMPLE = {
    "type": "service_account",
    "project_id": "example-project",
    "private_key": EXAMPLE_KEY,
    "client_email": "writer@example-project.iam.gserviceaccount.com",
}


def _as_text(value: object) -> object:
    return json.dumps(value) if isinstance(value, dict) else value


def _service_account(secret: SecretStr, info: ValidationInfo) -> SecretStr:
    fault = None if info.context == STORED else _fault(secret.get_secret_value())
    if fault:
        raise PydanticCustomError("key_file", "{fault}", {"fault": fault})
    return secret


def _fault(text: str) -> str | None:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return "is not JSON: give the content of the key file, not its path"
    if not isinstance(fields, dict) or fields.get("type") != "service_account":
        return "is not the key file of a service account ('type' is not 'service_account')"
    missing = [name for name in ("client_email", "private_key") if not isinstance(fields.get(name), str)]
    if missing:
        return f"is a key file without {' and '.join(missing)}"
    return "is a key file whose private_key cannot be read" if private_key_fault(fields["private_key"]) else None


class GcsCredentials(Block):
    """A service account, or without one Google's default credentials (environment, gcloud, metadata server).

    Source: Google Cloud documentation, "Create and delete service account keys".
    """

    service_account: Annotated[SecretStr, BeforeValidator(_as_text), AfterValidator(_service_account)] | None = Field(
        default=None,
        description="Content of the service account's JSON key file, as text or as a mapping.",
        examples=[json.dumps(_EXAMPLE)],
    )
    project: Word | None = Field(
        default=None, description="Project id; the key file's own if left out.", examples=["analytics-123"]
    )


class GcsBucket(Block):
    """A bucket, or a prefix in one, of Google Cloud Storage.

    Without credentials Google's default ones are used (environment, gcloud, metadata server).
    Source: Google Cloud documentation, "About Cloud Storage buckets".
    """

    bucket: Annotated[str, NameAlone] = Field(
        description="Bucket name.", examples=["reports"], pattern=r"^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$"
    )
    prefix: Prefix = Field(
        default="", description="Prefix of every object, without a slash at either end.", examples=["2026/monthly"]
    )
    endpoint: Url | None = Field(
        default=None,
        description="Endpoint URL of the XML API; https://storage.googleapis.com if left out.",
        examples=["https://storage-example.p.googleapis.com"],
    )
    credentials: GcsCredentials | None = Field(
        default=None,
        description="Who signs; saved separately it is a live reference.",
        examples=["gcs-credentials/prod"],
    )
    anonymous: bool = Field(
        default=False, description="Send requests without a token, for public buckets.", examples=[True]
    )

    @model_validator(mode="after")
    def _one_way_to_sign(self) -> Self:
        if self.anonymous and self.credentials:
            raise PydanticCustomError("both", "give either credentials or anonymous, not both")
        return self
