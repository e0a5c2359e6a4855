"""A secret value shows only where it is asked for by `get_secret_value` or `get`."""

import copy
import dataclasses
import io
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, NewType, TypedDict

import cloudpickle
import pydantic
import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, field_validator, model_validator
from pydantic_core import PydanticSerializationError
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

from bondstone.blocks import (
    AwsCredentials,
    Block,
    BondstoneError,
    InvalidBlock,
    InvalidName,
    NotFound,
    NotSaved,
    Secret,
    SecretData,
    SecretStr,
)
from bondstone.registry import current_registry
from tests.registry.processes import run

MASK = "**********"
LEAK = "SENT" + "INEL"  # never written out, or the source lines in a traceback would look like leaks


def sentinel() -> str:
    """The secret. A function, so that no frame of a test holds it as a local."""
    return f"{LEAK}-{'x' * 20}"


def wrapped() -> dict[str, Any]:
    return {"user": "u", "password": sentinel(), "pins": [sentinel()]}


class Login(Block):
    """A block with secrets in all places."""

    kind = "resist-login"

    token: SecretStr = Field(description="One.")
    more: dict[str, SecretStr] = Field(default_factory=dict, description="Some, by name.")
    many: list[SecretStr] = Field(default_factory=list, description="Some.")
    child: AwsCredentials | None = Field(None, description="A block.")
    count: int = Field(1, description="A number.")

    @field_validator("count")
    @classmethod
    def _positive(cls, count: int) -> int:
        if count < 0:
            raise ValueError("is negative")
        return count


def login(**fields: Any) -> Login:
    child = AwsCredentials(access_key_id="AKIAEXAMPLE", secret_access_key=SecretStr(sentinel()))
    return Login(
        token=SecretStr(sentinel()),
        more={"a": SecretStr(sentinel())},
        many=[SecretStr(sentinel())],
        child=child,
        **fields,
    )


class Outside(Block):
    """A block that holds one."""

    kind = "resist-outside"

    inner: Secret = Field(description="A block.")


THINGS: dict[str, Callable[[], Any]] = {
    "SecretStr": lambda: SecretStr(sentinel()),
    "SecretData": lambda: SecretData(wrapped()),
    "SecretData of bytes": lambda: SecretData(sentinel().encode()),
    "Secret of a string": lambda: Secret(value=sentinel()),
    "Secret of a mapping": lambda: Secret(value=wrapped()),
    "block with secrets inside": login,
}


def rich_text(thing: object) -> str:
    console = Console(file=io.StringIO(), width=500)
    console.print(thing, {"in a dict": thing})
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def logged(thing: object) -> str:
    stream = io.StringIO()
    logger = logging.Logger("resist")
    logger.addHandler(logging.StreamHandler(stream))
    logger.error("a thing: %s %r", thing, thing)
    return stream.getvalue()


def dumped(thing: object, **options: Any) -> str:
    if isinstance(thing, BaseModel):
        try:
            dumps = [
                thing.model_dump(**options),
                thing.model_dump(mode="json", **options),
                thing.model_dump_json(**options),
            ]
        except PydanticSerializationError as error:  # of a SecretData, which serialize_as_any does not know
            return everything(error)
        return repr(dumps) + str(dumps)
    return repr(thing)


WAYS: dict[str, Callable[[Any], str]] = {
    "repr": repr,
    "str": str,
    "ascii": ascii,
    "format": format,
    "f-string": lambda thing: f"{thing} {thing!r} {thing!s}",
    "percent": lambda thing: "%s %r" % (thing, thing),  # noqa: UP031
    "in a list": lambda thing: str([thing, {"k": thing}, (thing,)]),
    "vars": lambda thing: repr(getattr(thing, "__dict__", None)),
    "vars, all the way down": lambda thing: repr(
        [getattr(v, "__dict__", None) for v in getattr(thing, "__dict__", {}).values()]
    ),
    "dir": lambda thing: repr(dir(thing)),
    "getstate": lambda thing: repr(thing.__getstate__()),
    "pprint": pprint.pformat,
    "rich": rich_text,
    "rich pretty": lambda thing: pretty_repr(thing, expand_all=True),
    "logging": logged,
    "model_dump": dumped,
    "model_dump with options": lambda thing: dumped(thing, by_alias=True, round_trip=True, serialize_as_any=True),
    "json schema": lambda thing: json.dumps(thing.model_json_schema()) if isinstance(thing, BaseModel) else "",
    "json default=vars": lambda thing: json.dumps({"k": thing}, default=lambda o: getattr(o, "__dict__", str(o))),
    "json default=str": lambda thing: json.dumps({"k": thing}, default=str),
    "to_jsonable_python": lambda thing: repr(TypeAdapter(type(thing)).dump_python(thing, mode="json")),
    "dump_json": lambda thing: TypeAdapter(type(thing)).dump_json(thing).decode(),
    "copy": lambda thing: repr(vars(copy.copy(thing)) if isinstance(thing, BaseModel) else copy.copy(thing)),
    "deepcopy": lambda thing: repr(copy.deepcopy(thing)) + str(copy.deepcopy({"k": thing})),
    "hash": lambda thing: str(hash(thing)) if not isinstance(thing, Login) else "",
}


@pytest.mark.parametrize("thing", THINGS.values(), ids=THINGS.keys())
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_a_value_does_not_show(thing: Callable[[], Any], way: Callable[[Any], str]) -> None:
    """No way of printing, dumping or walking a value or a block gives the secret away."""
    shown = way(thing())

    assert LEAK not in shown


@pytest.mark.parametrize("thing", THINGS.values(), ids=THINGS.keys())
@pytest.mark.parametrize(
    "dumps", [pickle.dumps, lambda o: pickle.dumps(o, 0), cloudpickle.dumps], ids=["pickle", "pickle 0", "cloudpickle"]
)
@pytest.mark.parametrize(
    "inside", [lambda o: o, lambda o: {"k": [o]}, lambda o: lambda: o], ids=["bare", "nested", "closure"]
)
def test_what_was_never_saved_is_not_pickled(
    thing: Callable[[], Any], dumps: Callable[[Any], bytes], inside: Callable[[Any], Any]
) -> None:
    """Neither a secret value nor an unsaved block is pickled, alone or inside something; and the refusal does not show it."""
    if dumps is not cloudpickle.dumps and callable(inside(1)):
        return  # pickle knows no closures

    with pytest.raises(NotSaved) as caught:
        dumps(inside(thing()))

    assert LEAK not in everything(caught.value)


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_a_saved_block_travels_as_its_name(dumps: Callable[[Any], bytes]) -> None:
    """The pickle of a saved block holds its name and version; what arrives is the same block."""
    block = login().save("travels")

    sent = dumps({"block": block})

    assert LEAK.encode() not in sent
    assert b"travels" in sent
    arrived = pickle.loads(sent)["block"]
    assert (arrived, arrived.version) == (block, 1)
    assert arrived.token.get_secret_value() == sentinel()


def test_a_block_inside_what_prefect_sends_to_dask() -> None:
    """Its dump of a flow's parameters asks for secrets: the name stands for a saved block, and a new one is not pickled."""

    class Flow(BaseModel):
        parameters: dict[str, Any]

    saved, unsaved = login().save("sent"), login()
    asking = {"include_secrets": True}

    dumped = Flow(parameters={"login": saved, "all": [saved]}).model_dump(context=asking)["parameters"]
    sent = pickle.dumps(dumped)

    assert LEAK.encode() not in sent
    assert dumped["login"] == dumped["all"][0]
    assert Block.model_validate(pickle.loads(sent)["login"]) == saved
    with pytest.raises(NotSaved):
        pickle.dumps(Flow(parameters={"login": unsaved}).model_dump(context=asking))


def test_a_changed_copy_is_not_pickled() -> None:
    """A changed copy is not what its name stands for."""
    block = Secret(value=sentinel()).save("a")

    with pytest.raises(NotSaved):
        pickle.dumps(block.model_copy(update={"value": "changed"}))


def everything(error: BaseException) -> str:
    """All that loggers, crash reporters and notebooks show of an error: text, locals of our frames and of pydantic's, causes."""
    parts = [str(error), repr(error), repr(error.args), repr(vars(error)), repr(getattr(error, "__notes__", ""))]
    seen: list[BaseException] = []
    pending: list[BaseException | None] = [error]
    while pending:
        one = pending.pop()
        if one is not None and one not in seen:
            seen.append(one)
            pending += [one.__cause__, one.__context__]
    for one in seen:
        parts += [str(one), repr(one.args)]
        parts += traceback.TracebackException.from_exception(one, capture_locals=True).format()
        parts += [repr(frame.f_locals) for frame, _ in traceback.walk_tb(one.__traceback__)]
        if isinstance(one, ValidationError):
            parts += [repr(one.errors()), one.json(), repr(one.errors(include_context=True))]
    console = Console(file=io.StringIO(), width=500)
    console.print(
        Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True, locals_max_string=500)
    )
    return "\n".join(parts) + console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


class Stubborn(Block):
    """Validators that fail in the ways that authors of blocks write."""

    kind = "resist-stubborn"

    token: SecretStr = Field(description="One.")
    plain: str = Field("", description="Not a secret, though people paste secrets into it.")
    mode: str = Field("", description="How to fail.")
    choice: Annotated[int | None, Field(description="A number.")] = None

    @model_validator(mode="before")
    @classmethod
    def _early(cls, values: Any) -> Any:
        if values.get("mode") == "before":
            raise ValueError(f"bad values {values}")
        return values

    @field_validator("plain")
    @classmethod
    def _echoes(cls, value: str) -> str:
        if LEAK in value:
            raise ValueError(f"bad value {value}")
        return value

    @model_validator(mode="after")
    def _late(self) -> "Stubborn":
        if self.mode == "after":
            raise ValueError(f"bad token {self.token.get_secret_value()}")
        if self.mode == "assert":
            raise AssertionError(f"bad token {self.token.get_secret_value()}")
        return self


FAILURES: dict[str, Callable[[], Any]] = {
    "unknown field": lambda: Secret(value=sentinel(), valeu=sentinel()),  # type: ignore[call-arg]
    "a secret as a field's name": lambda: Secret(**{"value": "x", sentinel(): 1}),
    "missing field": lambda: Login(more={"a": SecretStr(sentinel())}, many=[SecretStr(sentinel())]),  # type: ignore[call-arg]
    "plain strings, one field wrong": lambda: Login(token=sentinel(), more={"a": sentinel()}, count="x"),
    "wrong type": lambda: Login(token=[sentinel()], many=sentinel()),
    "validator refuses": lambda: Login(token=sentinel(), count=-1),
    "white space in a token": lambda: AwsCredentials(
        access_key_id="AKIA", secret_access_key=SecretStr(sentinel() + " \n")
    ),
    "half of a pair": lambda: AwsCredentials(secret_access_key=SecretStr(sentinel())),
    "swapped pair": lambda: AwsCredentials(access_key_id=LEAK * 5, secret_access_key=SecretStr("x")),
    "nested block as a mapping": lambda: Login.model_validate(
        {"token": sentinel(), "child": {"secret_access_key": sentinel()}}
    ),
    "child by a missing name": lambda: Login(token=sentinel(), child="aws-credentials/nope"),
    "child by a pasted secret": lambda: Login(token=sentinel(), child=sentinel()),
    "child by a pasted key": lambda: Login(token=sentinel(), child=f"AKIA{LEAK}12345678"),
    "before validator echoes": lambda: Stubborn(token=SecretStr("x"), plain=sentinel(), mode="before"),
    "field validator echoes": lambda: Stubborn(token=SecretStr(sentinel()), plain=sentinel()),
    "after validator echoes": lambda: Stubborn(token=SecretStr(sentinel()), mode="after"),
    "assertion echoes": lambda: Stubborn(token=SecretStr(sentinel()), mode="assert"),
    "model_validate": lambda: Secret.model_validate({"value": sentinel(), "x": sentinel()}),
    "model_validate of something else": lambda: Login.model_validate([sentinel()]),
    "model_validate strict": lambda: Login.model_validate({"token": sentinel(), "count": sentinel()}, strict=True),
    "model_validate_json": lambda: Secret.model_validate_json(json.dumps({"value": wrapped(), "x": sentinel()})),
    "model_validate_json of no JSON": lambda: Secret.model_validate_json("{" + sentinel()),
    "model_validate_strings": lambda: Login.model_validate_strings({"token": sentinel(), "count": sentinel()}),
    "model_construct": lambda: Secret.model_construct(value=sentinel()),  # type: ignore[arg-type]
    "model_copy": lambda: login().model_copy(update={"token": sentinel(), "count": "x"}),
    "model_copy, unknown field": lambda: login().model_copy(update={"tokne": sentinel()}),
    "assignment": lambda: setattr(login(), "token", SecretStr(sentinel())),
    "assignment of a plain string": lambda: setattr(login(), "token", sentinel()),
    "assignment of an unknown field": lambda: setattr(login(), "tokne", sentinel()),
    "a set in a Secret": lambda: Secret(value={"a": {1, 2}, "password": sentinel()}),
    "a set in SecretData": lambda: SecretData({"a": {1, 2}, "password": sentinel()}),
    "a set deep in SecretData": lambda: SecretData([{"password": sentinel(), "a": [sentinel(), {1, 2}]}]),
    "NaN in a Secret": lambda: Secret(value={"password": sentinel(), "a": float("nan")}),
    "bytes inside": lambda: Secret(value=[sentinel().encode()]),
    "nested without end": lambda: Secret(value=endless()),
    "a type that gives no JSON": lambda: Secret(value=Unfriendly()),
    "a name that is a key": lambda: Secret(value=sentinel()).save(f"ema_{LEAK}12"),
    "taken name": lambda: [Secret(value=sentinel()).save("taken"), Secret(value=sentinel()).save("taken")],
    "too large": lambda: Secret(value=sentinel() * 100_000).save("large"),
}


class Unfriendly:
    def __repr__(self) -> str:
        return sentinel()


def endless() -> list[Any]:
    value: list[Any] = [sentinel()]
    value.append(value)
    return value


@pytest.mark.parametrize("fail", FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_does_not_show_the_input(fail: Callable[[], Any]) -> None:
    """Whatever is wrong, the error is one of ours, and neither its text nor the locals of its frames nor its causes hold a value."""
    with pytest.raises(BondstoneError) as caught:
        fail()

    assert LEAK not in everything(caught.value)


ADAPTED: dict[str, Callable[[], Any]] = {
    "type adapter": lambda: TypeAdapter(Login).validate_python({"token": sentinel(), "count": "x", "y": sentinel()}),
    "type adapter of a list": lambda: TypeAdapter(list[Login]).validate_python([{"token": sentinel(), "count": "x"}]),
    "type adapter, JSON": lambda: TypeAdapter(Login).validate_json(json.dumps({"token": sentinel(), "count": "x"})),
    "type adapter of a value": lambda: TypeAdapter(SecretStr).validate_python(MASK),
    "type adapter of data": lambda: TypeAdapter(SecretData).validate_python({"a": {1}, "password": sentinel()}),
    "type adapter of a Secret": lambda: TypeAdapter(Secret).validate_python(
        {"value": {"a": {1}, "password": sentinel()}}
    ),
}


@pytest.mark.parametrize(
    "fail", list(ADAPTED.values())[:3] + list(ADAPTED.values())[5:], ids=[*list(ADAPTED)[:3], *list(ADAPTED)[5:]]
)
def test_pydantics_own_errors_hold_no_input(fail: Callable[[], Any]) -> None:
    """Web frameworks and adapters validate without our constructor: what `errors()` and `json()` say holds no value either."""
    with pytest.raises(ValidationError) as caught:
        fail()

    error = caught.value
    assert LEAK not in str(error) + repr(error) + repr(error.errors()) + error.json()


@pytest.mark.parametrize("value", [MASK, {"value": MASK}])
def test_a_mask_is_not_a_value(value: object) -> None:
    """Masks are refused: stored, they would destroy the secret that they stand for."""
    fields: Any = value if isinstance(value, dict) else {"value": value}

    with pytest.raises(InvalidBlock, match="mask"):
        Secret(**fields)
    with pytest.raises(InvalidBlock, match="mask"):
        Secret.model_validate_json(json.dumps(fields))
    with pytest.raises(InvalidBlock, match="mask"):
        Login(token=MASK)
    with pytest.raises(InvalidBlock, match="mask"):
        Login(token=SecretStr(MASK))
    with pytest.raises(InvalidBlock, match="mask"):
        Login(token="x", more={"a": MASK})


def test_writing_a_mask_back_changes_nothing() -> None:
    """A form that was filled from a dump, with one field changed, changes that field only."""
    block = login().save("form")
    form = json.loads(block.model_dump_json(include={"token", "count"}))

    changed = block.model_copy(update=form | {"count": 2})

    assert block.model_copy(update=json.loads(block.model_dump_json(include={"token"}))).is_saved
    assert form["token"] == MASK
    assert (changed.count, changed.token.get_secret_value()) == (2, sentinel())


def test_a_dump_of_a_block_is_not_saved_as_the_block() -> None:
    """model_dump_json → model_validate_json of what was never saved is refused, not stored as asterisks."""
    with pytest.raises(InvalidBlock, match="mask"):
        Login.model_validate_json(login().model_dump_json())
    with pytest.raises(InvalidBlock, match="mask"):
        Secret(**Secret(value="x").save("a").model_dump(mode="json"))


def test_the_json_of_a_saved_block_is_the_block() -> None:
    """By name and version, as its pickle is: in a flow's parameters, in a kept result, inside another block."""
    saved = Secret(value=sentinel()).save("a")
    text = saved.model_dump_json()
    Secret(value="newer").save("a", overwrite=True)

    loaded = Secret.model_validate_json(text)

    assert json.loads(text) == {"value": MASK, "$ref": "secret/a@1", "$registry": current_registry().id}
    assert (loaded, loaded.version, loaded.reference) == (saved, 1, "secret/a")
    assert TypeAdapter(list[Secret]).validate_json(f"[{text}]") == [saved]
    assert Outside.model_validate_json(Outside(inner=loaded).model_dump_json()).inner == saved
    Outside(inner=loaded).save("o")
    assert json.loads(current_registry().load("resist-outside", "o").content)["fields"]["inner"] == {"$ref": "secret/a"}
    with pytest.raises(NotFound):
        Secret.model_validate_json(text.replace("secret/a@1", "secret/gone@1"))
    with pytest.raises(InvalidName):
        Login.model_validate_json(text)


def test_json_tells_blocks_apart_that_masks_make_alike() -> None:
    """Equal ones are equal, others are not, whether they are saved or not: caches are keyed by it. What holds no secret has no mark."""
    one, same, other = Secret(value=sentinel()), Secret(value=sentinel()), Secret(value=sentinel() + "x")

    dumps = [block.model_dump_json() for block in (one, same, other)]

    assert dumps[0] == dumps[1] != dumps[2]
    one.save("a"), other.save("b")
    assert one.model_dump_json() != other.model_dump_json()
    changed = one.model_copy(update={"value": "y"})
    assert changed.model_dump_json() not in (one.model_dump_json(), one.model_copy().model_dump_json())
    assert Outside(inner=one).model_dump_json() != Outside(inner=other).model_dump_json()
    assert AwsCredentials(profile="p").model_dump(mode="json", exclude_none=True) == {"profile": "p"}
    assert "$" not in str(one.model_dump())


def test_what_tells_apart_says_nothing_to_others() -> None:
    """Another process marks the same secret differently, so that nobody can try values until one fits."""
    code = "from bondstone.blocks import Secret; print(Secret(value='1234').model_dump_json())"

    assert run(code) != run(code)


type Alias = pydantic.SecretStr
New = NewType("New", pydantic.SecretStr)


@dataclasses.dataclass
class Inside:
    """A dataclass that holds pydantic's own secret."""

    token: pydantic.SecretStr


class Typed(TypedDict):
    """A typed mapping that holds pydantic's own secret."""

    token: pydantic.SecretStr


class Tupled(NamedTuple):
    """A tuple that holds pydantic's own secret."""

    token: pydantic.SecretStr


class Model(BaseModel):
    """A model that holds pydantic's own secret."""

    token: pydantic.SecretStr | None = None


class Looped(BaseModel):
    """A model that holds itself; looking for secrets in it comes to an end."""

    inner: "Looped | None" = None


@pytest.mark.parametrize(
    "annotation",
    [
        pydantic.SecretStr, pydantic.SecretBytes, pydantic.Secret[int], pydantic.SecretStr | None, list[pydantic.SecretStr],
        dict[str, pydantic.SecretStr], Annotated[pydantic.SecretStr, "x"], list[Annotated[pydantic.SecretStr, "x"]],
        Model, list[Model], Alias, list[Alias], New, Inside, list[Inside], Typed, Tupled,
    ],
    ids=str,
)  # fmt: skip
def test_pydantics_own_secrets_are_refused(annotation: Any) -> None:
    """A class with a field of pydantic's secret types, however wrapped, is refused when it is defined."""
    with pytest.raises(InvalidBlock, match=r"bondstone\.blocks\.SecretStr"):
        type("Leaky", (Block,), {"__annotations__": {"token": annotation}, "__module__": __name__})


def test_a_model_that_holds_itself_is_no_endless_search() -> None:
    """A field whose type refers to itself is looked through once."""
    block = type("LoopedHolder", (Block,), {"__annotations__": {"inner": Looped}, "__module__": __name__})

    assert issubclass(block, Block)


class Loose(Block):
    """Fields whose type does not say what is in them."""

    kind = "resist-loose"

    anything: Any = Field(description="Anything.")


@dataclasses.dataclass(frozen=True)
class Pair:
    """A plain dataclass with one of our secrets in it."""

    user: str
    token: SecretStr


class Paired(Block):
    """A dataclass inside a block."""

    kind = "resist-paired"

    pair: Pair = Field(description="Both.")


def test_a_secret_in_a_dataclass_is_stored_whole() -> None:
    """Secrets inside a dataclass are stored as they are, not as their masks."""
    Paired(pair=Pair("u", SecretStr(sentinel()))).save("a")

    assert Paired.load("a").pair.token.get_secret_value() == sentinel()


@pytest.mark.parametrize(
    "value",
    [
        pydantic.SecretStr(LEAK),
        [pydantic.SecretStr(LEAK)],
        {"a": pydantic.SecretBytes(LEAK.encode())},
        Inside(pydantic.SecretStr(LEAK)),
    ],
    ids=str,
)
def test_pydantics_own_secret_is_not_stored_as_its_mask(value: object) -> None:
    """Where the type of a field does not tell, pydantic's secrets are refused on save: their dump would be asterisks."""
    with pytest.raises(InvalidBlock) as caught:
        Loose(anything=value).save("a")

    assert LEAK not in everything(caught.value)
    assert not Loose.names()


def test_what_json_cannot_hold_is_refused_on_save() -> None:
    """A value that would not come back is told as such, by the error that block users catch."""
    for value in (float("inf"), float("nan"), object(), {"a": {"b": object()}}):
        with pytest.raises(InvalidBlock):
            Loose(anything=value).save("a")


class Upgraded(Block):
    """A block whose author's upgrade fails."""

    kind = "resist-upgraded"
    schema_version = 2

    token: SecretStr = Field(description="One.")

    @classmethod
    def upgrade(cls, fields: dict[str, Any], since: int) -> dict[str, Any]:
        return {"token": fields["old_token"]}


def stored(kind: str, fields: str, version: int = 1) -> str:
    current_registry(create=True).save(
        kind, "a", overwrite=True, content=f'{{"fields":{fields},"schema_version":{version}}}'.encode()
    )
    return "a"


def unfit() -> dict[str, Any]:
    return {"$kind": "aws-credentials", "fields": {"secret_access_key": sentinel()}, "schema_version": 1}


LOADS: dict[str, Callable[[], Any]] = {
    "new required field": lambda: Login.load(stored("resist-login", json.dumps({"more": {"a": sentinel()}}))),
    "field no longer fits": lambda: Login.load(stored("resist-login", json.dumps({"token": sentinel(), "count": sentinel()}))),
    "field refused": lambda: Login.load(stored("resist-login", json.dumps({"token": sentinel(), "count": -1}))),
    "upgrade fails": lambda: Upgraded.load(stored("resist-upgraded", json.dumps({"token": sentinel()}))),
    "newer version": lambda: Login.load(stored("resist-login", json.dumps({"token": sentinel()}), version=9)),
    "child is gone": lambda: Login.load(
        stored("resist-login", json.dumps({"token": sentinel(), "more": wrapped(), "child": {"$ref": "aws-credentials/nope"}}))
    ),
    "child's kind is gone": lambda: Login.load(
        stored("resist-login", json.dumps({"token": sentinel(), "child": {"$ref": "no-such-kind/nope"}}))
    ),
    "child inside does not fit": lambda: Login.load(stored("resist-login", json.dumps({"token": sentinel(), "child": unfit()}))),
    "no JSON": lambda: Login.load(stored("resist-login", json.dumps(sentinel())[:-1])),
    "another shape": lambda: Login.load(stored("resist-login", json.dumps([sentinel()]))),
}  # fmt: skip


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS.keys())
def test_a_load_that_fails_does_not_show_what_was_stored(load: Callable[[], Any]) -> None:
    """What does not fit any more is told by field, without values: not in the text, not in locals, not in causes."""
    with pytest.raises(BondstoneError) as caught:
        load()

    assert LEAK not in everything(caught.value)


def test_a_loads_error_says_what_is_missing() -> None:
    """NotFound of a child names the child."""
    with pytest.raises(NotFound, match="aws-credentials"):
        LOADS["child is gone"]()


def test_secrets_compare_by_value() -> None:
    """Equal secrets are equal and hash alike; others, and plain strings, are not."""
    one = SecretStr("one")

    assert one == SecretStr("one")
    assert hash(one) == hash(SecretStr("one"))
    assert one != SecretStr("two")
    assert one != "one"
    assert SecretData({"a": 1, "b": 2}) == SecretData({"b": 2, "a": 1})
    assert hash(SecretData({"a": 1, "b": 2})) == hash(SecretData({"b": 2, "a": 1}))
    assert SecretData(1) != SecretData(1.0)
    assert SecretData(1) != SecretData(True)
    assert SecretData(b"1") != SecretData(1)


def test_what_a_secret_gives_can_be_changed_without_changing_it() -> None:
    """`get` gives a copy; what went in is not held either."""
    given = {"a": [1]}
    secret = Secret(value=given)
    given["a"].append(2)

    secret.get()["a"].append(3)

    assert secret.get() == {"a": [1]}
