"""Google Cloud Storage."""

import json
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from bondstone.blocks.block import Block
from bondstone.blocks.checks import STORED, Word
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
