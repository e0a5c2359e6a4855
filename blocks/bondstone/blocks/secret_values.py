"""Values that do not show themselves: not in repr, str, dumps, `vars`, pickles or copies; only when asked by `get_secret_value`."""

import hmac
import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn, Self

import pydantic
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from bondstone.blocks.known import note
from bondstone.registry import InvalidBlock, NotSaved, current_registry

MASK = "**********"


class _Resists:
    """What a secret value does not do. The value lies in a closure, so that nothing that walks attributes meets it."""

    __slots__ = ("_reveal",)
    _reveal: Callable[[], Any]

    def _canonical(self) -> bytes:
        raise NotImplementedError

    def fingerprint(self) -> str:
        """16 hex digits that stand for the value in logs and cache keys: the same for the same value in one registry, until its root key is
        rotated. Without that key nobody can try values against it.
        """
        return current_registry(create=True).fingerprint(self._canonical())

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise NotSaved("a secret value is not pickled: save its block, and send the name of the block")


class SecretStr(_Resists, pydantic.SecretStr):
    """A string that is a secret. Pydantic's own shows its value in `vars`, pickles and copies; this one does not."""

    __slots__ = ()

    def __init__(self, secret_value: str) -> None:
        note(secret_value)
        self._reveal = lambda: secret_value

    @property
    def _secret_value(self) -> str:  # type: ignore[override]  # where pydantic's methods look for it
        return str(self._reveal())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretStr):
            return NotImplemented
        return hmac.compare_digest(self._canonical(), other._canonical())

    def _canonical(self) -> bytes:
        return self._secret_value.encode("utf-8", "surrogatepass")

    __hash__ = pydantic.SecretStr.__hash__

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            _no_mask, super().__get_pydantic_core_schema__(source, handler)
        )


def _no_mask(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if value == MASK:
        raise mask_refused()
    if _halves(value):
        raise PydanticCustomError("json_type", _HALVES)
    return secret


def mask_refused() -> PydanticCustomError:
    """A mask that is stored would destroy the secret it stands for."""
    return PydanticCustomError("mask", "this is a mask, not a value: give the value itself")


class SecretData(_Resists):
    """Any JSON value but a string, or bytes, that is a secret. `get_secret_value` gives a new copy each time."""

    __slots__ = ()

    def __init__(self, secret_value: object) -> None:
        fault = _unfit(secret_value)
        if fault:
            del secret_value  # a frame with a value in it must not be in the traceback
            raise InvalidBlock(fault)
        note(secret_value)
        if isinstance(secret_value, bytes):
            self._reveal = lambda: secret_value
        else:
            text = json.dumps(secret_value)
            self._reveal = lambda: json.loads(text)

    def get_secret_value(self) -> Any:
        return self._reveal()

    def __repr__(self) -> str:
        return f"SecretData('{MASK}')"

    def __str__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretData):
            return NotImplemented
        return hmac.compare_digest(self._canonical(), other._canonical())

    def __hash__(self) -> int:
        return hash(self._canonical())

    def _canonical(self) -> bytes:
        value = self._reveal()
        return b"b" + value if isinstance(value, bytes) else b"j" + json.dumps(value, sort_keys=True).encode()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value, info: MASK if info.mode == "json" else value, info_arg=True
            ),
            json_schema_input_schema=core_schema.any_schema(metadata={"pydantic_js_extra": {"writeOnly": True}}),
        )

    @classmethod
    def _validate(cls, value: object) -> "SecretData":
        return value if isinstance(value, SecretData) else cls(value)


_DEEPEST = 100
_HALVES: Final = "holds halves of characters (surrogates) that JSON would join into one"


def _halves(text: str) -> bool:
    return not text.isascii() and re.search("[\ud800-\udbff][\udc00-\udfff]", text) is not None


def _unfit(value: object) -> str | None:
    """Why `value` is refused, if JSON would give it back as something else: the promise is the same value and the same type."""
    pending = [(value, 0)]
    while pending:
        item, depth = pending.pop()
        if depth > _DEEPEST:
            return f"is nested more than {_DEEPEST} deep"
        inner: Iterable[object] = ()
        if type(item) is dict:
            if any(type(key) is not str for key in item):
                return "the keys of a mapping must be strings"
            inner = [*item.keys(), *item.values()]
        elif type(item) is list:
            inner = item
        elif type(item) is str:
            if _halves(item):
                return _HALVES
        elif type(item) is bytes and depth:
            return "bytes can stand alone, not inside a list or mapping"
        elif type(item) is float and not math.isfinite(item):
            return "JSON has no infinity and no NaN"
        elif item is not None and type(item) not in (bytes, bool, int, float):
            name = type(item).__name__
            return f"a {name} does not come back as a {name}: give JSON values, str or bytes"
        pending += [(one, depth + 1) for one in inner]
    return None
