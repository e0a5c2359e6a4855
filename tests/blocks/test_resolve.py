"""References in dicts, lists and texts, and what becomes of them."""

import traceback
from typing import Any, NamedTuple

import pytest

from bondstone.blocks import (
    AwsCredentials,
    Block,
    BondstoneError,
    InvalidBlock,
    InvalidName,
    NotFound,
    S3Bucket,
    Secret,
    aresolve,
    resolve,
)
from bondstone.blocks.resolving import Resolver, as_text
from bondstone.registry import current_registry

SENTINEL = "s3ntinel-Value-9"
KEY = "bondstone://aws-credentials/prod#secret_access_key"


class Pair(NamedTuple):
    """A tuple of a class of its own."""

    user: str
    token: Any


@pytest.fixture(autouse=True)
def saved(home: object) -> None:
    aws = AwsCredentials(access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key=SENTINEL).save("prod")
    S3Bucket(bucket="reports", credentials=aws, path_style=True).save("reports")
    Secret(value="first").save("token")
    Secret(value=SENTINEL).save("token", overwrite=True)
    Secret(value={"user": "u", "pin": 7, "deep": {"x": [1]}}).save("data")
    Secret(value=b"\xff\x00").save("raw")


def test_every_depth_is_replaced_and_keys_stay() -> None:
    """Dicts, lists, tuples and named tuples keep their type; what is no string stays the same object."""
    marker = object()
    given: dict[str, Any] = {
        "bondstone://secret/token": [("bondstone://secret/token", {"a": Pair("u", KEY)}), marker, 1, None]
    }

    resolved = resolve(given)

    assert resolved == {"bondstone://secret/token": [(SENTINEL, {"a": Pair("u", SENTINEL)}), marker, 1, None]}
    assert type(resolved["bondstone://secret/token"][0][1]["a"]) is Pair
    assert given["bondstone://secret/token"][0][0] == "bondstone://secret/token"  # the input is as it was


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("bondstone://secret/token", SENTINEL),
        ("bondstone://secret/token@1", "first"),
        ("bondstone://secret/token@2#value", SENTINEL),
        ("bondstone://secret/data", {"user": "u", "pin": 7, "deep": {"x": [1]}}),
        ("bondstone://secret/data#value.pin", 7),
        ("bondstone://secret/data#value.deep.x", [1]),
        ("bondstone://secret/raw", b"\xff\x00"),
        ("bondstone://s3-bucket/reports#path_style", True),
        ("bondstone://s3-bucket/reports#region", None),
        ("bondstone://s3-bucket/reports#credentials.secret_access_key", SENTINEL),
        ("x-${bondstone://secret/token}-${bondstone://secret/data#value.pin}", f"x-{SENTINEL}-7"),
        ("${bondstone://secret/data#value.pin}", "7"),
        ("secret/token", "secret/token"),
        ("", ""),
        ("${HOME}", "${HOME}"),
    ],
)
def test_a_reference_gives_its_value_with_its_type(text: str, value: object) -> None:
    """By itself the typed value; inside a text its text; without the scheme it is text."""
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("bondstone://secret/none", NotFound, "no secret named 'none'"),
        ("bondstone://secret/token@9", NotFound, "secret/token"),
        ("bondstone://secrt/token", NotFound, "did you mean 'secret'"),
        ("bondstone://aws-credentials/prod", InvalidBlock, "aws-credentials/prod#access_key_id"),
        ("bondstone://aws-credentials/prod#secret", NotFound, "secret_access_key"),
        ("bondstone://secret/data#value.nothing", NotFound, "no such field"),
        ("bondstone://secret/token#value.nothing", NotFound, "no such field"),
        ("bondstone://secret/token#get", NotFound, "no such field"),
        ("bondstone://s3-bucket/reports#credentials", InvalidBlock, "s3-bucket/reports#credentials.access_key_id"),
        ("bondstone://secret", InvalidName, "kind/name"),
        ("bondstone://secret/token ", InvalidName, "illegal name"),
        ("postgres://u:bondstone://secret/token@host", InvalidName, "${bondstone://kind/name#field}"),
        ("a ${bondstone://secret/token} bondstone://secret/token", InvalidName, "${bondstone://"),
        ("a ${bondstone://secret/data} b", InvalidBlock, "no text"),
        ("a ${bondstone://s3-bucket/reports#path_style} b", InvalidBlock, "no text"),
    ],
)
def test_what_cannot_be_resolved_is_told(text: str, error: type[BondstoneError], told: str) -> None:
    """The reference is named, and what to write instead."""
    with pytest.raises(error, match=r".*") as raised:
        resolve({"x": [text]})

    assert told in str(raised.value)


@pytest.mark.parametrize(
    "last", ["bondstone://secret/none", "a ${bondstone://secret/pair}", "bondstone://secret/pair#value.x"]
)
def test_no_failure_shows_what_was_resolved_before_it(last: str) -> None:
    """Neither the text nor the locals of a frame hold the values that were already found."""
    Secret(value={"user": SENTINEL}).save("pair")

    with pytest.raises(BondstoneError) as raised:
        resolve(["bondstone://secret/token", KEY, last])

    trace = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    assert SENTINEL not in "".join(trace.format())
    assert raised.value.__context__ is None


def test_what_a_value_says_is_not_resolved_again() -> None:
    """A secret with a reference in it is a text: whoever writes secrets does not choose which others are read."""
    Secret(value="bondstone://secret/token").save("sly")
    Secret(value="${bondstone://secret/token}").save("slier")

    assert resolve("bondstone://secret/sly") == "bondstone://secret/token"
    assert resolve("a ${bondstone://secret/slier}") == "a ${bondstone://secret/token}"


def test_each_block_is_loaded_once_a_call() -> None:
    """However many of its fields are asked for; another version is another block."""
    loaded: list[str] = []

    def load(reference: str) -> Block:
        loaded.append(reference)
        return Block.load(reference)

    given = [KEY, KEY, "bondstone://aws-credentials/prod#access_key_id", "bondstone://aws-credentials/prod@1#region"]
    Resolver(load)(given)

    assert loaded == ["aws-credentials/prod", "aws-credentials/prod@1"]


async def _both() -> tuple[object, object]:
    return await aresolve({"a": KEY}), resolve({"a": KEY})


def test_async_gives_the_same() -> None:
    """And it can be awaited."""
    import asyncio

    assert asyncio.run(_both()) == ({"a": SENTINEL}, {"a": SENTINEL})


def test_a_load_is_on_record() -> None:
    """As any other load of the block."""
    before = len(current_registry().audit(limit=1000))
    resolve(KEY)

    assert len(current_registry().audit(limit=1000)) > before


def test_the_text_of_a_value() -> None:
    """Strings as they are, bytes as UTF-8, other values as JSON."""
    assert [as_text(value) for value in ("a", b"\xc3\xa4", 7, True, {"a": [1]})] == [
        "a",
        "ä",
        "7",
        "true",
        '{"a": [1]}',
    ]
    with pytest.raises(InvalidBlock, match="no text"):
        as_text(b"\xff")
