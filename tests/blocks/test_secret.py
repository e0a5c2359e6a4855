"""`Secret` gives back exactly what it was given: the same value, the same type."""

import enum
import math
import re
import subprocess
import sys
from collections import OrderedDict, deque
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bondstone.blocks import Block, InvalidBlock, Secret
from bondstone.registry import current_registry

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=()), max_size=20).filter(
    lambda text: not re.search("[\ud800-\udbff][\udc00-\udfff]", text)
)
leaves = (
    st.none()
    | st.booleans()
    | numbers
    | texts
    | st.sampled_from(["12e4567", "1", "true", "null", "nan", "", "\ud800", "\0", " "])
)
keys = texts | st.sampled_from(["$ref", "$kind", "$bytes", "$map", "$", "value", "fields", "schema_version"])
json_values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down (1 is not 1.0, and not True)."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return math.copysign(1, one) == math.copysign(1, other) and one == other
    return bool(one == other)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(json_values | st.binary(max_size=50))
def test_any_value_comes_back(home: Path, value: Any) -> None:
    """Any JSON value, string or bytes is loaded as it was saved, and the block is equal to the one that was saved."""
    saved = Secret(value=value).save("any", overwrite=True)

    loaded = Secret.load("any")

    assert same(loaded.get(), value)
    assert same(saved.get(), value)
    assert loaded == saved
    assert hash(loaded) == hash(saved)


@pytest.mark.parametrize(
    "value",
    [
        "12e4567", "1", "007", "true", "", " ", "\n", "x" * 500_000, "\N{GRINNING FACE} \udc80", b"", b"\x00\xff", 0, -1, 10**30, 1e308,
        0.1, -0.0, True, None, [], {}, {"": ""}, [[[]]], {"$ref": "secret/a"}, {"$kind": "secret", "fields": {}, "schema_version": 1},
        {"$bytes": "AA=="}, {"$map": [["a", 1]]}, {"a": {"$ref": "x", "$b": [{"$kind": 1}]}}, {"b": 1, "a": 2},
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_the_awkward_ones(value: Any) -> None:
    """Numbers in strings, and mappings that look like our own stored form, come back untouched; so do they by reference."""
    Secret(value=value).save("a")

    assert same(Secret.load("a").get(), value)
    assert same(Block.load("secret/a").get(), value)  # type: ignore[attr-defined]


class Text(str):
    """A string, and more."""


class Level(enum.IntEnum):
    """A number, and more."""

    HIGH = 1


class Pair(NamedTuple):
    """A tuple, and more."""

    a: int


@pytest.mark.parametrize(
    "value",
    [
        (1, 2), {1, 2}, frozenset(), Pair(1), Text("a"), Level.HIGH, Decimal(1), datetime(2026, 1, 1, tzinfo=UTC), Path("a"), object(),
        bytearray(b"a"), memoryview(b"a"), deque([1]), OrderedDict(a=1), 1j, float("nan"), float("inf"), {1: "a"}, {None: 1}, {("a",): 1},
        "\ud83d\ude00", ["\ud83d\ude00"], {"\ud83d\ude00": 1}, [b"a"], {"a": b"a"}, {"a": [(1,)]}, [Text("a")], {Text("a"): 1}, range(3),
        Text, Ellipsis,
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_would_come_back_as_something_else_is_refused(value: Any) -> None:
    """A tuple would come back as a list, and so on: refused when the block is made, by the type's name."""
    with pytest.raises(InvalidBlock, match="value"):
        Secret(value=value)


def test_nesting_has_an_end() -> None:
    """100 levels come back; more is refused, and so is a list that holds itself."""
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    endless: list[Any] = []
    endless.append(endless)

    Secret(value=deep).save("deep")

    assert Secret.load("deep").get() == deep
    for value in ([deep], endless):
        with pytest.raises(InvalidBlock, match="nested"):
            Secret(value=value)


def test_a_huge_integer_is_refused_or_comes_back() -> None:
    """Python writes no decimal numbers of more than 4300 digits."""
    Secret(value=10**4000).save("a")

    assert Secret.load("a").get() == 10**4000
    with pytest.raises(InvalidBlock):
        Secret(value=10**5000)


def test_a_secret_is_stored_as_canonical_json() -> None:
    """The stored form is that of docs/format.md: sorted keys, no white space, ASCII."""
    Secret(value={"b": "ä", "a": [1, None]}).save("a")
    Secret(value=b"\x00\xff").save("b")

    stored = [current_registry().load("secret", name).content for name in "ab"]

    assert stored == [
        b'{"fields":{"value":{"a":[1,null],"b":"\\u00e4"}},"schema_version":1}',
        b'{"fields":{"value":{"$bytes":"AP8="}},"schema_version":1}',
    ]


def test_a_type_checker_takes_any_value(tmp_path: Path) -> None:
    """pyright takes a field's type for the parameter's: what the README writes must not be flagged, a typing error must be."""
    fine = (
        'from bondstone.blocks import Secret\nSecret(value="text")\nSecret(value={"pins": [1]})\nSecret(value=b"x")\n'
    )
    (tmp_path / "fine.py").write_text(fine)
    (tmp_path / "wrong.py").write_text('from bondstone.blocks import Secret\nSecret(valeu="text")\n')
    checker = Path(sys.executable).with_name("basedpyright")

    ended = [
        subprocess.run([checker, tmp_path / name], capture_output=True, text=True, timeout=120)
        for name in ("fine.py", "wrong.py")
    ]

    assert "0 errors" in ended[0].stdout, ended[0].stdout
    assert 'No parameter named "valeu"' in ended[1].stdout
