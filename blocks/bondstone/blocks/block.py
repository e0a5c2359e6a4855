"""`Block`: a typed, frozen, described value with a name, saved encrypted and loaded by that name."""

import hmac
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar
from copy import copy
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn, Self, cast, get_args, get_origin, get_type_hints
from warnings import warn

import pydantic
from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    PrivateAttr,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)
from pydantic_core import CoreSchema, core_schema

from bondstone.blocks import document
from bondstone.blocks.catalog import find, newer, register
from bondstone.blocks.checks import STORED
from bondstone.blocks.errors import InvalidClass, NotLoaded, Refused, bare, guarded, invalid, scrubbed, told
from bondstone.blocks.expiry import CredentialExpired, stored_expiry
from bondstone.blocks.secret_values import MASK, SecretData, SecretStr
from bondstone.registry import (
    BondstoneError,
    InvalidBlock,
    InvalidName,
    InvalidSettings,
    NoRegistry,
    NotFound,
    NotSaved,
    Reference,
    Registry,
    UnsupportedFormat,
    Version,
    current_registry,
    registry_at,
)
from bondstone.registry.names import kebab

if TYPE_CHECKING:
    from bondstone.blocks.rotated import Rotated

_HERE = __file__.removesuffix("block.py")  # a warning is told at the line of the one who called


class _Origin(NamedTuple):
    """Where an instance was saved to or loaded from."""

    reference: Reference
    version: int
    home: tuple[str, str]  # URL and id of the registry
    pinned: bool = False  # loaded by its number, so it stays at it
    changed: bool = False  # a changed copy: it knows what it was made from, and is not that


_loading: ContextVar[tuple[str, ...]] = ContextVar("loading", default=())


class Block(BaseModel):
    """A credential or a configuration value with a name.

    Subclass it, with a description for each field; `kind` is the kebab-case form of the class's name unless the class sets it. Raise
    `schema_version` when stored fields no longer fit, and say in `upgrade` how to read the older ones.

    Raises `InvalidBlock` on construction, which names the fields at fault and never their values.
    """

    kind: ClassVar[str] = "block"
    schema_version: ClassVar[int] = 1

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_by_name=True,
        validate_by_alias=True,
        validate_default=True,
        defer_build=True,  # a class costs its validator when it is first used, not at import
    )

    _origin: _Origin | None = PrivateAttr(None)

    def __init__(self, /, **fields: Any) -> None:
        for mark in _MARKS:  # of the JSON of a block: here its masks are refused as such
            fields.pop(mark, None)
        try:
            self.__pydantic_validator__.validate_python(fields, self_instance=self)
            return
        except ValidationError as error:
            fault: BondstoneError = told(type(self), error, self.kind)
        except NotLoaded as error:
            fault = bare(error.fault)
        except BondstoneError as error:  # of a validator
            fault = bare(error)
        finally:
            del fields  # a frame with values in it must not be in the traceback, whatever is raised
        raise fault  # outside the `except`, so that it holds no trace of the input

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # nested blocks are validated without a call of this

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "kind" not in cls.__dict__:
            cls.kind = kebab(cls.__name__)
        if type(cls.schema_version) is not int or cls.schema_version < 1:
            raise InvalidClass(f"{cls.__name__}.schema_version must be a whole number from 1")
        for name, field in cls.model_fields.items():
            if hasattr(Block, name):
                raise InvalidClass(f"{cls.__name__}: a block has its own '{name}'; call the field something else")
            if any(_shows(part) for part in _types(field.annotation)):
                raise InvalidClass(
                    f"{cls.__name__}.{name}: pydantic's own secret types show their value in vars, pickles and copies; "
                    "use bondstone.blocks.SecretStr"
                )
        register(cls)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(cls._validate, handler(source))

    @model_serializer(mode="wrap")
    def _dumped(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo):  # type: ignore[no-untyped-def]
        """As JSON, masks alone would make two blocks look the same, to a cache for instance: what they stand for is named."""
        fields: dict[str, Any] = handler(self)
        if info.mode == "json" and MASK in str(fields):
            fields |= {_REF: f"{self.reference}@{self.version}"} if self.is_saved else {_UNSAVED: _told_apart(self)}
        return fields

    @classmethod
    def _validate(cls, value: Any, handler: core_schema.ValidatorFunctionWrapHandler) -> Any:
        """Let a reference stand for a block, and keep the input out of pydantic's errors."""
        fault: Exception
        try:
            return handler(_meant(cls, value))
        except ValidationError as error:
            fault = scrubbed(error, value)
        except (Refused, NotLoaded) as error:
            fault = type(error)(bare(error.fault))
        finally:
            del value
        raise fault

    @classmethod
    @guarded
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """As pydantic's, but raises `InvalidBlock`."""
        return super().model_validate(obj, **options)

    @classmethod
    @guarded
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """As pydantic's, but raises `InvalidBlock`."""
        return super().model_validate_json(json_data, **options)

    @classmethod
    @guarded
    def model_validate_strings(cls, obj: Any, **options: Any) -> Self:
        """As pydantic's, but raises `InvalidBlock`."""
        return super().model_validate_strings(obj, **options)

    @classmethod
    @guarded
    def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> NoReturn:  # type: ignore[override]
        """Not for blocks: without validation a secret would be a plain string, and show."""
        raise InvalidBlock(f"{cls.__name__}.model_construct would skip validation: call {cls.__name__}(…)")

    @guarded
    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, with the fields of `update` changed and validated. A mask in `update` leaves a field as it is.

        A changed copy is unsaved until `save`, which refuses it (`Conflict`) if its version is no longer the current one.
        """
        changes = {name: value for name, value in (update or {}).items() if value != MASK and name not in _MARKS}
        if not changes:
            return super().model_copy(deep=deep)
        aliases = {field.alias: name for name, field in type(self).model_fields.items() if field.alias}
        fields = {name: getattr(self, name) for name in self.model_fields_set}
        changed = type(self)(**(fields | {aliases.get(name, name): value for name, value in changes.items()}))
        changed._origin = self._origin and self._origin._replace(changed=True)
        return changed

    if not TYPE_CHECKING:  # for checkers the fields are read-only as it is

        def __setattr__(self, name: str, value: Any) -> None:
            """Only private attributes can be set. Pydantic's own error would show `value`."""
            if name.startswith("_"):
                super().__setattr__(name, value)
                return
            del value
            raise InvalidBlock(f"a {self.kind} does not change: make a changed copy with model_copy(update=…)")

    def __eq__(self, other: object) -> bool:
        """Equal in class and fields, wherever they came from."""
        return NotImplemented if type(self) is not type(other) else self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    @property
    def reference(self) -> Reference | None:
        """The name of this block, ``kind/name``; None if it was never saved."""
        return self._origin.reference if self._origin else None

    @property
    def version(self) -> int | None:
        """The version that this instance is, or was made from; None if it was never saved."""
        return self._origin.version if self._origin else None

    @property
    def is_saved(self) -> bool:
        """Whether these very fields are stored under `reference` at `version`."""
        return self._origin is not None and not self._origin.changed

    @guarded
    def save(self, name: str | None = None, *, overwrite: bool = False) -> Self:
        """Save this block as the next version of `name`, or of the name it was loaded by. Returns itself.

        Saved blocks inside it are stored as live references, others by value. Raises `Conflict` if the name is taken
        (without `overwrite`) or if this block was loaded and its version is no longer the current one; `InvalidName`;
        `InvalidBlock` if it would contain itself.
        """
        target = self._target(name)
        registry = current_registry(create=True)
        mine = self._origin if self._origin and self._origin.home == registry.address else None
        base = mine.version if mine and mine.reference == target and overwrite else None
        if any(child.reference == target and child.is_saved for child in _children(self)):
            raise InvalidBlock(f"{target} would contain itself: leave it out of its own fields")
        content = document.dumps(_stored(self, registry.address))
        saved = registry.save(target.kind, target.name, content, overwrite=overwrite, base=base)
        self._origin = _Origin(target, saved.version, registry.address)
        return self

    def _target(self, name: str | None) -> Reference:
        if name is not None:
            return Reference(self.kind, name)
        if self._origin is None:
            raise InvalidName(f"give the {self.kind} a name: save('…')")
        return self._origin.reference

    @classmethod
    @guarded
    def load(cls, name: str, version: int | None = None) -> Self:
        """The current version of a block, or the one asked for. `Block.load` takes a reference and gives the right subclass.

        Raises `NotFound`, `UnknownKind`, `InvalidBlock` if the stored fields no longer fit, `UnsupportedFormat`, `Unreadable`, `WrongKey`.
        """
        reference = cls._reference(name, version)
        return cast("Self", _load(find(reference.kind) if cls is Block else cls, reference, current_registry()))

    @classmethod
    @guarded
    def delete(cls, name: str) -> None:
        """Delete a block: its name is free again, its version numbers are not. Raises `NotFound`."""
        reference = cls._reference(name, None)
        if reference.version is not None:
            raise InvalidName(
                f"a version is not deleted by itself: leave '@{reference.version}' out to delete all of it"
            )
        current_registry().delete(reference.kind, reference.name)

    @classmethod
    @guarded
    def history(cls, name: str) -> list[Version]:
        """Every version, oldest first: `version`, `saved_at`, `deleted`. Raises `NotFound`."""
        reference = cls._reference(name, None)
        return current_registry().history(reference.kind, reference.name)

    @classmethod
    def names(cls, *, prefix: str = "", limit: int | None = None, offset: int = 0) -> list[str]:
        """The names of this kind that begin with `prefix`, in order; of `Block`, the references of all kinds."""
        try:
            registry = current_registry()
        except NoRegistry:
            return []
        if offset < 0 or (limit is not None and limit < 0):
            raise InvalidSettings("limit and offset are whole numbers from 0")
        kind = None if cls is Block else cls.kind
        page = (None, 0) if prefix else (limit, offset)  # a store knows no prefix: all are looked through
        listed = registry.list(kind, limit=page[0], offset=page[1])
        found = [item.reference if cls is Block else item.name for item in listed]
        if not prefix:
            return found
        return [name for name in found if name.startswith(prefix)][offset:][:limit]

    @classmethod
    @guarded
    def rotate(cls, name: str, *, grace: int | None = None, compromised: bool = False, **fields: Any) -> "Rotated":
        """Replace the credential at its source, and promote the new one when it is proved good; see `bondstone.blocks.rotation`.

        `fields` are those of a credential that was made by hand, for a kind whose vendor makes none by itself.
        """
        from bondstone.blocks.rotation import rotate

        return rotate(cls._reference(name, None), grace=grace, compromised=compromised, **fields)

    @classmethod
    @guarded
    def rollback(cls, name: str) -> "Rotated":
        """Make the previous version current again, as long as its credential lives. Raises `Conflict` after that."""
        from bondstone.blocks.rotation import rollback

        return rollback(cls._reference(name, None))

    async def asave(self, name: str | None = None, *, overwrite: bool = False) -> Self:
        """`save`, without blocking the event loop."""
        return await _in_thread(partial(self.save, name, overwrite=overwrite))

    @classmethod
    async def aload(cls, name: str, version: int | None = None) -> Self:
        """`load`, without blocking the event loop."""
        return await _in_thread(partial(cls.load, name, version))

    @classmethod
    async def adelete(cls, name: str) -> None:
        """`delete`, without blocking the event loop."""
        await _in_thread(partial(cls.delete, name))

    @classmethod
    def upgrade(cls, fields: dict[str, Any], since: int) -> dict[str, Any]:
        """The fields as this class wants them, from those that were stored at schema version `since`.

        Override it; the default changes nothing.
        """
        return fields

    @classmethod
    def _reference(cls, name: str, version: int | None) -> Reference:
        if cls is not Block:
            return Reference(cls.kind, name, version)
        parsed = Reference.parse(name)
        if parsed.field is not None:
            raise InvalidName(f"'{parsed}' names a field: leave '#{parsed.field}' out")
        return Reference(parsed.kind, parsed.name, version if version is not None else parsed.version)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, self._travels()

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return self.__reduce__()

    def _travels(self) -> tuple[type[Self], str, int, tuple[str, str], bool]:
        if self._origin is None or self._origin.changed:
            raise NotSaved(f"this {self.kind} is not saved, and only names travel: save it first")
        return type(self), self._origin.reference.name, self._origin.version, self._origin.home, self._origin.pinned


async def _in_thread[T](call: Callable[[], T]) -> T:
    import asyncio  # 16 ms, which a plain load need not pay

    return await asyncio.to_thread(call)


def _unpickled(cls: type[Block], name: str, version: int, home: tuple[str, str], pinned: bool) -> Block:
    """The very version that was sent, loaded where it arrived, from the registry that it was in."""
    registry = registry_at(*home)
    block = _load(cls, Reference(cls.kind, name, version), registry)
    block._origin = _Origin(Reference(cls.kind, name), version, registry.address, pinned)
    return block


def _load(cls: type[Block], reference: Reference, registry: Registry) -> Block:
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
        block._origin = _Origin(name, stored.version, registry.address, pinned=reference.version is not None)
        again = cls in stored.made  # most documents are loaded once, and a copy has its price
        stored.made[cls] = copy(block) if again and _UNCHANGING.issuperset(map(type, _contents(block))) else None
        if ended := stored_expiry(stored.content):
            _say_if_expired(f"{name}@{stored.version}", ended)
        return block
    raise fault


def _say_if_expired(what: str, ended: datetime) -> None:
    if ended <= datetime.now(UTC):
        warn(
            CredentialExpired(
                f"the credential of {what} expired on {ended:%Y-%m-%d %H:%M}Z: rotate it, or save a new version"
            ),
            skip_file_prefixes=(_HERE,),
        )


def _contents(block: Block) -> Iterator[Any]:
    """The values of all fields and private attributes."""
    return chain(block.__dict__.values(), (block.__pydantic_private__ or {}).values())


_UNCHANGING = {str, bytes, bool, int, float, type(None), SecretStr, SecretData, _Origin}


def _parsed(content: bytes, what: str) -> dict[str, Any]:
    try:
        stored = json.loads(content)
        if type(stored["schema_version"]) is int and type(stored["fields"]) is dict:
            return stored  # type: ignore[no-any-return]
    except (ValueError, TypeError, KeyError):
        pass
    raise InvalidBlock(f"{what} does not hold a block: something else than bondstone.blocks saved it")


def _revived(cls: type[Block], stored: dict[str, Any], what: str, registry: Registry) -> Block:
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


def _without_gone(cls: type[Block], fields: dict[str, Any], what: str) -> dict[str, Any]:
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


def _upgraded(cls: type[Block], fields: dict[str, Any], since: int, what: str) -> dict[str, Any]:
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


def _children_loaded(cls: type[Block], fields: dict[str, Any], what: str, registry: Registry) -> dict[str, Any]:
    """The fields with their blocks. In a field that the class has no more, a block that is not there is left as it was stored."""

    def child(stored: dict[str, Any]) -> Block:
        outer = _loading.set((*_loading.get(), what))
        try:
            if "$kind" in stored:
                return _revived(find(stored["$kind"]), stored, f"the {stored['$kind']} in {what}", registry)
            reference = Reference.parse(stored["$ref"])
            return _load(find(reference.kind), reference, registry)
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


def _stored(block: Block, home: tuple[str, str]) -> dict[str, Any]:
    """The document of a block that goes into the registry `home`. A child that is saved in another one goes along by value."""

    def child(model: BaseModel) -> dict[str, Any] | None:
        if not isinstance(model, Block):
            return None
        if model._origin is None or model._origin.changed or model._origin.home != home:
            return {"$kind": model.kind, **_stored(model, home)}
        return {"$ref": link(model)}

    fields = {name: document.plain(value, child) for name, value in block}
    return {"fields": fields, "schema_version": block.schema_version}


def link(block: Block) -> str:
    """What stands for a saved block inside another: its name, or its version where that was asked for by number."""
    origin = block._origin
    return f"{block.reference}@{block.version}" if origin and origin.pinned else str(block.reference)


def _children(value: Any) -> Iterator[Block]:
    """Every block inside `value`, at any depth, not itself."""
    items: Any = ()
    if isinstance(value, BaseModel):
        items = [item for _, item in value]
    elif isinstance(value, Mapping):
        items = value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        items = value
    for item in items:
        if isinstance(item, Block):
            yield item
        yield from _children(item)


_REF, _UNSAVED = _MARKS = "$ref", "$unsaved"  # what stands beside masks in a block's JSON
_apart = os.urandom(32)


def _told_apart(block: Block) -> str:
    """The same for equal blocks of this process; says nothing of what is in them."""
    return hmac.digest(_apart, document.dumps(_stored(block, ("", ""))), "sha256").hex()


def _meant(cls: type[Block], value: Any) -> Any:
    """The block that a text or the JSON of a saved block names; anything else as it is."""
    if isinstance(value, str):
        return _referred(cls, value)
    if not isinstance(value, dict) or not any(mark in value for mark in _MARKS):
        return value
    if isinstance(value.get(_REF), str):
        block = _referred(cls, value[_REF])
        if block._origin:
            block._origin = block._origin._replace(pinned=False)  # it is sent, not asked for by number
        return block
    return {name: item for name, item in value.items() if name != _UNSAVED}


def _referred(cls: type[Block], text: str) -> Block:
    """The block that a reference in another block's field names. Raises `Refused` or `NotLoaded`."""
    expected = f"expected a reference such as '{'kind' if cls is Block else cls.kind}/name'"
    try:
        if "/" not in text:  # a token that was pasted here, as likely as not: it is not shown
            raise InvalidName(expected)
        reference = Reference.parse(text)
        kind = find(reference.kind)
        if reference.field is not None or not issubclass(kind, cls):
            raise InvalidName(expected)
    except BondstoneError as error:
        raise Refused(error) from None
    try:
        return _load(kind, reference, current_registry())
    except BondstoneError as error:
        raise NotLoaded(error) from None


def _types(annotation: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """Every type that an annotation names, also by an alias and in the fields of models, dataclasses and the like; not inside blocks."""
    seen = set() if seen is None else seen
    if id(annotation) in seen:
        return
    seen.add(id(annotation))
    yield annotation
    inner = [*get_args(annotation), getattr(annotation, "__value__", None), getattr(annotation, "__supertype__", None)]
    if isinstance(annotation, type) and not issubclass(annotation, Block):
        if issubclass(annotation, BaseModel):
            inner += [field.annotation for field in annotation.model_fields.values()]
        elif "__annotations__" in annotation.__dict__ and annotation.__module__.partition(".")[0] != "pydantic":
            with suppress(NameError):  # an annotation of what is not defined yet
                inner += get_type_hints(annotation).values()
    for part in inner:
        yield from _types(part, seen)


def _shows(part: Any) -> bool:
    """Whether it is one of pydantic's own secret types."""
    part = get_origin(part) or part
    secret = (pydantic.SecretStr, pydantic.SecretBytes, pydantic.Secret)
    return isinstance(part, type) and issubclass(part, secret) and not issubclass(part, SecretStr)
