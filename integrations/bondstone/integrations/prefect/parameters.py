"""Names of blocks as parameters of flows: checked when the run is asked for, and said to be names in Prefect's forms."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, core_schema

from bondstone.blocks import Block, InvalidName, Reference
from bondstone.blocks.errors import Refused
from bondstone.blocks.named_in_json import by_name

_MASK = "**********"  # what was given may be a token that was pasted here


@dataclass(frozen=True)
class _Name:
    """How pydantic reads a `Reference`."""

    field: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        written = core_schema.to_string_ser_schema()
        return core_schema.no_info_plain_validator_function(self._parsed, serialization=written)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return by_name(Block, field=self.field)

    def _parsed(self, value: Any) -> Reference:
        try:
            reference = Reference.parse(value)
            if self.field or reference.field is None:
                return reference
            fault = Refused(InvalidName(f"'{reference}' names a field: leave '#{reference.field}' out"))
        except InvalidName as error:
            fault = Refused(error)
        line = InitErrorDetails(type="value_error", input=_MASK, ctx={"error": fault})
        raise ValidationError.from_exception_data("Ref", [line], hide_input=True)


Ref = Annotated[Reference, _Name()]
"""A flow parameter that is the name of a block of any kind, ``kind/name``, and stays one: nothing is loaded.

A parameter whose type is a block class takes the same text, and is the block.
"""

FieldRef = Annotated[Reference, _Name(field=True)]
"""As `Ref`, also ``kind/name#field``."""
