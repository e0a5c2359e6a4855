"""A reference in the place of a block: what it names is loaded, or the error is the one that a load would raise."""

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from bondstone.blocks import (
    AwsCredentials,
    Block,
    BondstoneError,
    InvalidBlock,
    InvalidName,
    NotFound,
    S3Bucket,
    Secret,
    UnknownKind,
    Unreadable,
    UnsupportedFormat,
    WrongKey,
)
from bondstone.blocks.errors import NotLoaded
from bondstone.registry import current_registry
from tests.blocks.test_loaded_again import tamper

ForgedBy = Callable[[Path], object]


class Chooser(Block):
    """Fields that take a block, or something else."""

    kind = "test-chooser"

    one: Secret | None = Field(None, description="A block.")
    listed: list[Secret] = Field(default_factory=list, description="Some.")
    named: dict[str, Secret | AwsCredentials] = Field(default_factory=dict, description="Of two kinds, by name.")
    or_text: Secret | str | None = Field(None, description="A block or a text.")
    text_or: str | Secret | None = Field(None, description="The same, the other way round.")
    or_number: Secret | int | None = Field(None, description="A block or a number.")
    any_or_text: Block | str | None = Field(None, description="Of any kind.")


class Model(BaseModel):
    """A model that is no block."""

    one: Secret
    count: int = 0


PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "field": lambda text: {"one": text},
    "list": lambda text: {"listed": [text]},
    "mapping and union": lambda text: {"named": {"a": text}},
    "union with text": lambda text: {"or_text": text},
    "union with number": lambda text: {"or_number": text},
}
IN_EVERY_PLACE = pytest.mark.parametrize("place", list(PLACES.values()), ids=list(PLACES))
WAYS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "constructor": lambda fields: Chooser(**fields),
    "model_validate": lambda fields: Chooser.model_validate(fields),
    "a changed copy": lambda fields: Chooser().model_copy(update=fields),
}
IN_EVERY_WAY = pytest.mark.parametrize("way", list(WAYS.values()), ids=list(WAYS))


def wrong_key(data: Path) -> None:
    from bondstone.registry import settings

    path = Path(os.environ["HOME"], ".config/bondstone/key")
    other = Path(os.environ["HOME"], "other")
    text = path.read_text()
    os.environ["BONDSTONE_REGISTRY"] = f"sqlite:///{other}/registry.db"
    try:
        path.unlink()
        Secret(value="of another registry").save("x")
    finally:
        del os.environ["BONDSTONE_REGISTRY"]
    assert path.read_text() != text
    settings._opened.clear()


def unreadable(data: Path) -> None:
    tamper(data, "UPDATE versions SET saved_at = saved_at + 1")


def newer(data: Path) -> None:
    content = b'{"fields":{"value":"x"},"schema_version":99}'
    current_registry().save("secret", "s", content, overwrite=True)


def no_block(data: Path) -> None:
    current_registry().save("secret", "s", b"[]", overwrite=True)


@IN_EVERY_PLACE
@IN_EVERY_WAY
@pytest.mark.parametrize(
    ("happened", "error"),
    [
        (wrong_key, WrongKey),
        (unreadable, Unreadable),
        (newer, UnsupportedFormat),
        (no_block, InvalidBlock),
        (lambda data: Secret.delete("s"), NotFound),
    ],
)
def test_what_a_load_would_raise_is_raised(
    happened: ForgedBy, error: type[BondstoneError], way: Callable[[Any], Any], place: Callable[[str], Any], data: Path
) -> None:
    """The same type and code, not an InvalidBlock made of it; and no union takes the text instead."""
    Secret(value="x").save("s")
    happened(data)

    with pytest.raises(BondstoneError) as caught:
        way(place("secret/s"))

    assert type(caught.value) is error
    assert caught.value.__cause__ is caught.value.__context__ is None
    with pytest.raises(error) as loaded:
        Secret.load("s")
    assert str(loaded.value) == str(caught.value)


@IN_EVERY_WAY
@pytest.mark.parametrize("place", ["field", "list", "mapping and union"])
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("aws-keys/s", UnknownKind),
        ("s3-bucket/s", InvalidName),
        ("secret/s#value", InvalidName),
        ("secret/S P", InvalidName),
        ("secret", InvalidName),
    ],
)
def test_what_is_no_such_reference_is_told_with_its_field(
    text: str, error: type[BondstoneError], way: Callable[[Any], Any], place: str
) -> None:
    """The error that the text deserves, the field before it."""
    Secret(value="value").save("s")

    with pytest.raises(BondstoneError) as caught:
        way(PLACES[place](text))

    assert type(caught.value) is error
    assert str(caught.value).startswith(f"test-chooser: field '{next(iter(PLACES[place]('')))}")


def test_what_else_is_wrong_is_told_too() -> None:
    """With another fault beside it, all are in one InvalidBlock."""
    with pytest.raises(InvalidBlock, match=r"field 'bucket': is the name alone.*; field 'credentials': expected a ref"):
        S3Bucket.model_validate({"bucket": "x/y", "credentials": "prod"})


def test_a_field_that_an_inner_block_does_not_have_is_told_as_its() -> None:
    """Not with the fields of the block around it."""
    with pytest.raises(InvalidBlock) as caught:
        S3Bucket.model_validate({"bucket": "reports", "credentials": {"bukket": "p"}})

    assert str(caught.value) == "s3-bucket: field 'credentials': unknown field 'bukket'"


@pytest.mark.parametrize("base", [Block, BaseModel])
def test_a_kind_that_stands_several_times(base: type[BaseModel]) -> None:
    """In classes that nobody has used before, the inner one included."""

    class Inner(Block):
        kind = "test-inner"
        number: int = Field(0, description="A number.")

    class Outer(base):  # type: ignore[misc, valid-type]
        first: Inner = Field(description="One.")
        second: Inner | None = Field(None, description="Another.")
        others: dict[str, list[Inner]] = Field(default_factory=dict, description="More.")

    outer_first = {"first": "test-inner/one", "second": "test-inner/one", "others": {"a": ["test-inner/one"]}}
    Secret(value="x").save("makes-the-registry")
    with pytest.raises((NotFound, NotLoaded), match="there is no test-inner"):
        Outer.model_validate(outer_first)
    Inner(number=1).save("one")

    outer = Outer.model_validate(outer_first)

    assert [outer.first.number, outer.second.number, outer.others["a"][0].number] == [1, 1, 1]
    assert Outer.model_json_schema()["properties"]["first"]["type"] == "string"


def test_kinds_that_stand_in_each_other() -> None:
    """Both can be used."""

    class Left(Block):
        kind = "test-left"
        right: "Right | None" = Field(None, description="The other.")

    class Right(Block):
        kind = "test-right"
        left: Left | None = Field(None, description="The other.")

    Left.model_rebuild(_types_namespace={"Right": Right})
    Left().save("l")
    Right.model_validate({"left": "test-left/l"}).save("r")

    assert Left.model_validate({"right": "test-right/r"}).right == Right.load("r")


def test_a_text_stays_a_text() -> None:
    """Where a field takes texts too, one that names no kind which the field takes is a text."""
    Secret(value="value").save("s")

    for text in ("any", "data/2026", "aws-credentials/s", "secret/No Name", "https://example.org/x", "secret"):
        chosen = Chooser(or_text=text, text_or=text)
        assert (chosen.or_text, chosen.text_or) == (text, text)
    assert Chooser(any_or_text="data/2026").any_or_text == "data/2026"


def test_a_reference_is_a_block_in_a_union_with_text() -> None:
    """One that names a kind which the field takes: the block is meant, and a typing error in the name is told."""
    saved = Secret(value="value").save("s")

    for text in ("secret/s", "secret/s@1", "bondstone://secret/s"):
        chosen = Chooser(or_text=text, any_or_text=text, text_or=text)
        assert (chosen.or_text, chosen.any_or_text) == (saved, saved)
        assert chosen.text_or == text  # in `str | Secret` the text comes first
    with pytest.raises(NotFound, match="no secret named 'typo'"):
        Chooser(or_text="secret/typo")


def test_a_pasted_token_is_not_shown() -> None:
    """A field that takes a block of credentials is where people paste the credential itself."""
    pasted = "hunter" + "two"

    for place in PLACES.values():
        with pytest.raises(BondstoneError) as caught:
            Chooser.model_validate(place(pasted) | {"no_such_field": 1})
        text = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=False).format())
        assert pasted not in text


@pytest.mark.parametrize("data_for", [TypeAdapter(Secret).validate_python, lambda text: Model(one=text, count=1)])
def test_pydantics_own_ways(data_for: Callable[[Any], Any], data: Path) -> None:
    """In models that are no blocks a bad reference is a ValidationError; what keeps a block from being loaded is NotLoaded, with it."""
    Secret(value="x").save("s")
    with pytest.raises(ValidationError, match="expected a reference such as 'secret/name'"):
        data_for("aws-credentials/s")
    with pytest.raises(NotLoaded) as missing:
        data_for("secret/missing")
    unreadable(data)

    with pytest.raises(NotLoaded) as caught:
        data_for("secret/s")

    assert (type(missing.value.fault), type(caught.value.fault)) == (NotFound, Unreadable)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert str(caught.value) == str(caught.value.fault)
