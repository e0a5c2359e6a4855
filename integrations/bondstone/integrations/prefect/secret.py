"""`BondstoneSecret`: for flows that load a Prefect block, and must not find a secret in Prefect's database."""

from typing import Any, ClassVar

from prefect.blocks.core import Block as PrefectBlock
from pydantic import Field

from bondstone.blocks import resolve
from bondstone.integrations.prefect.parameters import FieldRef


class BondstoneSecret(PrefectBlock):
    """A Prefect block that holds the *name* of a secret in bondstone. What it stands for is looked up at each `get`."""

    _block_type_name: ClassVar[str | None] = "Bondstone Secret"
    _block_type_slug: ClassVar[str | None] = "bondstone-secret"
    _description: ClassVar[str | None] = "The name of a secret that is kept in bondstone, not the secret."

    reference: FieldRef = Field(
        description="Name of a secret, or of a field of another block.",
        examples=["secret/token", "aws-credentials/prod#secret_access_key"],
    )

    def get(self) -> Any:
        """The value as it is now, with its type. Raises what `bondstone.blocks.resolve` raises."""
        return resolve(self.reference.uri)
