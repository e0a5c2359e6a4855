"""How a block comes out of a registry: found by its name, opened, and made of the fields that were stored."""

import json
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from copy import copy
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple
from warnings import warn

from pydantic import ValidationError

from bondstone.blocks import document
from bondstone.blocks.catalog import find, newer
from bondstone.blocks.checks import STORED
from bondstone.blocks.errors import bare, invalid
from bondstone.blocks.expiry import CredentialExpired, stored_expiry
from bondstone.blocks.secret_values import SecretData, SecretStr
from bondstone.registry import BondstoneError, InvalidBlock, NotFound, Reference, Registry, UnsupportedFormat

if TYPE_CHECKING:
    from bondstone.blocks.block import Block

_HERE = __file__.removesuffix("loading.py")  # a warning is told at the line of the one who called


class Origin(NamedTuple):
    """Where an instance was saved to or loaded from."""

    reference: Reference
    version: int
    home: tuple[str, str]  # URL and id of the registry
    pinned: bool = False  # loaded by its number, so it stays at it
    changed: bool = False  # a changed copy: it knows what it was made from, and is not that


_loading: ContextVar[tuple[str, ...]] = ContextVar("loading", default=())


def load(cls: "type[Block]", reference: Reference, registry: Registry) -> "Block":
    """The block of a name, at the version of the reference if it has one. Raises what `Block.load` raises."""
    if reference in _loading.get():
        raise InvalidBlock(
            f"{reference} contains itself, through {' and '.join(_loading.get())}: save one of them without the other"
        )
    try:
        stored = registry.load(reference.kind, reference.name, reference.version)
        known: Block | None = stored.made.get(cls)
        if known is not None:
            return copy(known)
        block = _revived(cls, _parsed(stored.content, reference), reference, registry)
    except BondstoneError as error:
        fault = bare(error)
    else:
        name = Reference(reference.kind, reference.name) if reference.version else reference
        block._origin = Origin(name, stored.version, registry.address, pinned=reference.version is not None)
        again = cls in stored.made  # most documents are loaded once, and a copy has its price
        stored.made[cls] = copy(block) if again and _UNCHANGING.issuperset(map(type, _contents(block))) else None
        if ended := stored_expiry(stored.content):
            _say_if_expired(f"{name}@{stored.version}", ended)
        if "prefect.runtime" in sys.modules or "distributed.worker" in sys.modules:
            _mask_logs()
        return block
    raise fault


def _mask_logs() -> None:
    """Engines write logs of flows, and send them on."""
    from bondstone.blocks import redact

    redact.install()


def _say_if_expired(what: str, ended: datetime) -> None:
    if ended <= datetime.now(UTC):
        warn(
            CredentialExpired(
                f"the credential of {what} expired on {ended:%Y-%m-%d %H:%M}Z: rotate it, or save a new version"
            ),
            skip_file_prefixes=(_HERE,),
        )


def _contents(block: "Block") -> Iterator[Any]:
    """The values of all fields and private attributes."""
    return chain(block.__dict__.values(), (block.__pydantic_private__ or {}).values())


_UNCHANGING = {str, bytes, bool, int, float, type(None), SecretStr, SecretData, Origin}


def _parsed(content: bytes, what: str) -> dict[str, Any]:
    try:
        stored = json.loads(content)
        if type(stored["schema_version"]) is int and type(stored["fields"]) is dict:
            return stored  # type: ignore[no-any-return]
    except (ValueError, TypeError, KeyError):
        pass
    raise InvalidBlock(f"{what} does not hold a block: something else than bondstone.blocks saved it")


def _revived(cls: "type[Block]", stored: dict[str, Any], what: str, registry: Registry) -> "Block":
    since = stored["schema_version"]
    if since > cls.schema_version:
        raise UnsupportedFormat(
            f"{what} was saved by schema version {since} of {cls.__name__}; this one reads {cls.schema_version}: {newer(cls)}"
        )
    fields = stored["fields"]
    if since == cls.schema_version:
        fields = _without_gone(cls, fields, what)
    fields = _children_loaded(cls, fields, what, registry)
    if since < cls.schema_version:
        fields = _without_gone(cls, _upgraded(cls, fields, since, what), what)
    try:
        return cls.__pydantic_validator__.validate_python(fields, context=STORED)  # type: ignore[no-any-return]
    except ValidationError as error:
        fault = invalid(cls, error, f"{what} (saved by schema version {since})")
    del fields
    raise InvalidBlock(f"{fault}; give new fields a default, or raise schema_version and write upgrade()")


def _without_gone(cls: "type[Block]", fields: dict[str, Any], what: str) -> dict[str, Any]:
    """The fields that the class has; those that it has no more are named in a warning."""
    if fields.keys() <= cls.model_fields.keys():
        return fields
    known = cls.model_fields.keys() | {field.alias for field in cls.model_fields.values()}
    gone = sorted(fields.keys() - known)
    if gone:
        warn(
            f"{what}: {cls.__name__} has no field {', '.join(gone)} any more; what was stored is dropped",
            skip_file_prefixes=(_HERE,),
        )
    return {name: value for name, value in fields.items() if name in known}


def _upgraded(cls: "type[Block]", fields: dict[str, Any], since: int, what: str) -> dict[str, Any]:
    """What `upgrade` makes of the fields; its own error is told by type and line, since its frames hold values."""
    try:
        upgraded: object = cls.upgrade(fields, since)
        if isinstance(upgraded, dict):
            return upgraded
        where = f"a result that is no dict of fields ({type(upgraded).__name__})"
    except Exception as error:  # noqa: BLE001 -- it may be any: the code is the class's author's
        frame = error.__traceback__
        while frame and frame.tb_next:
            frame = frame.tb_next
        where = f"{type(error).__name__} in line {frame.tb_lineno if frame else '?'}"
    raise InvalidBlock(f"{what}: {cls.__name__}.upgrade() failed on schema version {since} with {where}")


def _children_loaded(cls: "type[Block]", fields: dict[str, Any], what: str, registry: Registry) -> dict[str, Any]:
    """The fields with their blocks. In a field that the class has no more, a block that is not there is left as it was stored."""

    def child(stored: dict[str, Any]) -> "Block":
        outer = _loading.set((*_loading.get(), what))
        try:
            if "$kind" in stored:
                return _revived(find(stored["$kind"]), stored, f"the {stored['$kind']} in {what}", registry)
            reference = Reference.parse(stored["$ref"])
            return load(find(reference.kind), reference, registry)
        finally:
            _loading.reset(outer)

    loaded = {}
    for name, value in fields.items():
        try:
            loaded[name] = document.live(value, child)
        except NotFound:
            if name in cls.model_fields:
                raise
            loaded[name] = value
    return loaded
