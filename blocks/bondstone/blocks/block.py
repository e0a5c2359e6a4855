"""`Block`: a typed, frozen, described value with a name, saved encrypted and loaded by that name."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PrivateAttr,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)
from pydantic_core import CoreSchema, core_schema

from bondstone.blocks import document
from bondstone.blocks.annotations import shows_secrets
from bondstone.blocks.catalog import find, register
from bondstone.blocks.errors import InvalidClass, NotLoaded, Refused, bare, guarded, scrubbed, told
from bondstone.blocks.loading import Origin, load
from bondstone.blocks.marks import MARKS, REF, REGISTRY, UNSAVED, meant
from bondstone.blocks.secret_values import MASK
from bondstone.registry import (
    BondstoneError,
    InvalidBlock,
    InvalidName,
    InvalidSettings,
    NoRegistry,
    NotSaved,
    Reference,
    Version,
    current_registry,
    registry_at,
)
from bondstone.registry.names import kebab

if TYPE_CHECKING:
    from bondstone.blocks.rotated import Rotated


_building: ContextVar[frozenset[type[BaseModel]]] = ContextVar("building", default=frozenset())


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

    _origin: Origin | None = PrivateAttr(None)

    def __init__(self, /, **fields: Any) -> None:
        for mark in MARKS:  # of the JSON of a block: here its masks are refused as such
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
            if shows_secrets(field.annotation, Block):
                raise InvalidClass(
                    f"{cls.__name__}.{name}: pydantic's own secret types show their value in vars, pickles and copies; "
                    "use bondstone.blocks.SecretStr"
                )
        register(cls)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # Of a kind that it has not built by itself pydantic takes names at the first place only, where it stands at several.
        if cls not in _building.get():
            cls.model_rebuild(raise_errors=False)
        return core_schema.no_info_wrap_validator_function(cls._validate, handler(source))

    @classmethod
    def model_rebuild(cls, *, _parent_namespace_depth: int = 2, **options: Any) -> bool | None:
        """As pydantic's."""
        before = _building.set(_building.get() | {cls})
        try:
            return super().model_rebuild(_parent_namespace_depth=_parent_namespace_depth + 1, **options)
        finally:
            _building.reset(before)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """As a parameter or a field, a block is given by its name."""
        from bondstone.blocks.named_in_json import schema_of

        return schema_of(cls, schema, handler)

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """As pydantic's: the fields of this block, and names in the place of blocks inside it."""
        from bondstone.blocks.named_in_json import fields_of_its_own

        with fields_of_its_own(cls):
            return super().model_json_schema(*args, **options)

    @model_serializer(mode="wrap")
    def _dumped(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo):  # type: ignore[no-untyped-def]
        """As JSON, masks alone would make two blocks look the same, to a cache for instance: what they stand for is named."""
        from bondstone.blocks.storing import told_apart

        if self.is_saved and "include_secrets" in (
            info.context or {}
        ):  # Prefect's, when it sends a flow's parameters to Dask
            return self._named()
        fields: dict[str, Any] = handler(self)
        if info.mode == "json" and MASK in str(fields):
            fields |= self._named() if self.is_saved else {UNSAVED: told_apart(self)}
        return fields

    def _named(self) -> dict[str, Any]:
        """What stands for a saved block: its version, and the registry, since another has other values by the same names."""
        return {REF: f"{self.reference}@{self.version}", REGISTRY: self._origin and self._origin.home[1]}

    @classmethod
    def _validate(cls, value: Any, handler: core_schema.ValidatorFunctionWrapHandler) -> Any:
        """Let a reference stand for a block, and keep the input out of pydantic's errors."""
        fault: Exception
        try:
            return handler(meant(cls, value))
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
        changes = {name: value for name, value in (update or {}).items() if value != MASK and name not in MARKS}
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

    def fingerprint(self) -> str:
        """16 hex digits that stand for the fields in logs and cache keys: the same for equal blocks in one registry, until its root key is
        rotated. Without that key nobody can try values against it.
        """
        from bondstone.blocks.storing import canonical

        return current_registry(create=True).fingerprint(canonical(self))

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
        from bondstone.blocks.storing import children, stored_form

        target = self._target(name)
        registry = current_registry(create=True)
        mine = self._origin if self._origin and self._origin.home == registry.address else None
        base = mine.version if mine and mine.reference == target and overwrite else None
        if any(child.reference == target and child.is_saved for child in children(self)):
            raise InvalidBlock(f"{target} would contain itself: leave it out of its own fields")
        content = document.dumps(stored_form(self, registry.address))
        saved = registry.save(target.kind, target.name, content, overwrite=overwrite, base=base)
        self._origin = Origin(target, saved.version, registry.address)
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
        return cast("Self", load(find(reference.kind) if cls is Block else cls, reference, current_registry()))

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
        return await in_thread(partial(self.save, name, overwrite=overwrite))

    @classmethod
    async def aload(cls, name: str, version: int | None = None) -> Self:
        """`load`, without blocking the event loop."""
        return await in_thread(partial(cls.load, name, version))

    @classmethod
    async def adelete(cls, name: str) -> None:
        """`delete`, without blocking the event loop."""
        await in_thread(partial(cls.delete, name))

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


async def in_thread[T](call: Callable[[], T]) -> T:
    import asyncio  # 16 ms, which a plain load need not pay

    return await asyncio.to_thread(call)


def _unpickled(cls: type[Block], name: str, version: int, home: tuple[str, str], pinned: bool) -> Block:
    """The very version that was sent, loaded where it arrived, from the registry that it was in."""
    registry = registry_at(*home)
    block = load(cls, Reference(cls.kind, name, version), registry)
    block._origin = Origin(Reference(cls.kind, name), version, registry.address, pinned)
    return block
