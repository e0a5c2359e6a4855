"""A secret of any shape."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from bondstone.blocks.block import Block
from bondstone.blocks.secret_values import MASK, SecretData, SecretStr, mask_refused


def _hidden(value: object) -> SecretStr | SecretData:
    if isinstance(value, SecretStr | SecretData):
        return value
    if value == MASK:
        raise mask_refused()
    return SecretStr(value) if type(value) is str else SecretData(value)


class Secret(Block):
    """One secret value: a string, bytes, or any JSON value."""

    value: Annotated[SecretStr | SecretData, BeforeValidator(_hidden)] = Field(
        description="The value itself.", examples=["ema_EXAMPLE", {"user": "u", "pin": 1}]
    )

    if TYPE_CHECKING:  # checkers that take the field's type for the parameter's would want a SecretStr

        def __init__(self, *, value: Any) -> None: ...

    def get(self) -> Any:
        """The value, with the type that it was saved with."""
        return self.value.get_secret_value()
