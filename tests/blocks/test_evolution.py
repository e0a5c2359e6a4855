"""Classes change; what was stored by an older one is loaded, upgraded, or refused with advice."""

import json
import warnings
from importlib.metadata import version
from typing import Any

import pytest
from pydantic import BaseModel, Field

from bondstone.blocks import Block, InvalidBlock, Secret, SecretStr, UnsupportedFormat
from bondstone.blocks.errors import InvalidClass
from bondstone.registry import current_registry


class Login(Block):
    """The class as it is today."""

    kind = "test-login"
    schema_version = 3

    user: str = Field(description="User name.")
    token: SecretStr = Field(description="Token.")
    host: str = Field("example.org", description="Came with version 3; has a default.")

    @classmethod
    def upgrade(cls, fields: dict[str, Any], since: int) -> dict[str, Any]:
        if since < 2:
            fields = {"user": fields["name"], "token": fields["password"]}
        return fields


class Unchanged(Block):
    """A class whose author forgot to raise the version."""

    kind = "test-unchanged"

    kept: str = Field("", description="A field.")
    wanted: str = Field(description="A new field, required.")


class Model(BaseModel):
    """A model that is no block."""

    login: Login


class Outer(Block):
    """Holds some."""

    kind = "test-outer"

    label: str = Field("", description="A text.")
    inner: Login | None = Field(None, description="One.")
    listed: list[Login] = Field(default_factory=list, description="Some.")
    named: dict[str, list[Login]] = Field(default_factory=dict, description="By name.")
    either: Secret | Login | None = Field(None, description="One of two.")
    model: Model | None = Field(None, description="In a model.")
    deeper: "Outer | None" = Field(None, description="In a block.")
    referred: Login | None = Field(None, description="One that is saved by itself.")


class Flat(Block):
    """A class whose child became a field."""

    kind = "test-flat"
    schema_version = 3

    token: SecretStr | None = Field(None, description="Token.")
    full_name: str = Field("", alias="fullName", description="Name.")

    @classmethod
    def upgrade(cls, fields: dict[str, Any], since: int) -> dict[str, Any]:
        return {"token": fields["user"].value} if since < 2 else {"fullName": fields["user"]}


def store(kind: str, fields: dict[str, Any], version: int) -> None:
    content = json.dumps({"fields": fields, "schema_version": version}).encode()
    current_registry(create=True).save(kind, "a", content)


def test_an_older_version_is_upgraded() -> None:
    """`upgrade` is given the stored fields and their version; what it makes of them is the block. The stored one stays until a save."""
    store("test-login", {"name": "u", "password": "t"}, 1)

    block = Login.load("a")

    assert (block.user, block.token.get_secret_value(), block.host) == ("u", "t", "example.org")
    assert (block.version, block.is_saved) == (1, True)
    again = block.save(overwrite=True)
    assert again.version == 2
    assert json.loads(current_registry().load("test-login", "a").content)["schema_version"] == 3


def test_the_version_between_needs_no_upgrade() -> None:
    """A field that came later takes its default."""
    store("test-login", {"user": "u", "token": "t"}, 2)

    assert Login.load("a").host == "example.org"


def test_a_child_by_value_is_upgraded() -> None:
    """A block inside a block has a version of its own."""
    inner = {"$kind": "test-login", "fields": {"name": "u", "password": "t"}, "schema_version": 1}
    store("test-outer", {"inner": inner}, 1)

    block = Outer.load("a")

    assert block.inner is not None
    assert block.inner.user == "u"


def test_a_newer_version_is_refused() -> None:
    """What a newer class wrote is not guessed at: UnsupportedFormat, with both versions and where the newer class would come from."""
    store("test-login", {"user": "u", "token": "t"}, 4)
    store("secret", {"value": "x"}, 2)

    with pytest.raises(UnsupportedFormat, match="schema version 4 of Login; this one reads 3: use the newer tests"):
        Login.load("a")
    with pytest.raises(UnsupportedFormat, match=f"install a newer bondstone than {version('bondstone')}"):
        Secret.load("a")


def login(since: int) -> dict[str, Any]:
    """What each version of `Login` stored."""
    stored = {
        1: {"name": "u", "password": "t"},
        2: {"user": "u", "token": "t"},
        3: {"user": "u", "token": "t", "host": "example.org"},
    }
    return {"$kind": "test-login", "fields": stored[since], "schema_version": since}


@pytest.mark.parametrize("since", [1, 2, 3])
def test_every_older_version_loads_wherever_it_lies(since: int) -> None:
    """By itself, and by value in a field, a list, a mapping, a union, a model, and in a block in a block."""
    store("test-login", login(since)["fields"], since)
    inner = {"$kind": "test-outer", "fields": {"inner": login(since)}, "schema_version": 1}
    places = {
        "inner": login(since), "listed": [login(since)], "named": {"x": [login(since)]}, "either": login(since),
        "model": {"login": login(since)}, "deeper": inner, "referred": {"$ref": "test-login/a"},
    }  # fmt: skip
    store("test-outer", places, 1)

    outer = Outer.load("a")

    assert outer.deeper is not None
    assert outer.model is not None
    found = [outer.inner, outer.listed[0], outer.named["x"][0], outer.either, outer.model.login, outer.deeper.inner]
    assert [*found, outer.referred] == [Login(user="u", token=SecretStr("t"))] * 7


@pytest.mark.parametrize("place", ["inner", "listed"])
def test_a_newer_child_is_refused(place: str) -> None:
    """The error says which, and in what."""
    newer = login(3) | {"schema_version": 9}
    store("test-outer", {place: [newer] if place == "listed" else newer}, 1)

    with pytest.raises(
        UnsupportedFormat, match="the test-login in test-outer/a was saved by schema version 9 of Login"
    ):
        Outer.load("a")


def test_a_child_that_no_longer_fits_is_told() -> None:
    """With its kind, the block that it is in, and the field."""
    store("test-outer", {"inner": {"$kind": "test-unchanged", "fields": {}, "schema_version": 1}}, 1)

    with pytest.raises(InvalidBlock, match=r"the test-unchanged in test-outer/a .*: field 'wanted' is missing \(A new"):
        Outer.load("a")


def test_a_removed_field_of_a_child_is_told() -> None:
    """Once, with where it was."""
    old = login(3)
    old["fields"]["pin"] = 1
    store("test-outer", {"inner": old}, 1)

    with pytest.warns(UserWarning, match="the test-login in test-outer/a: Login has no field pin any more") as caught:
        assert Outer.load("a").inner == Login(user="u", token=SecretStr("t"))
    assert len(caught) == 1


@pytest.mark.parametrize("since", [0, 1])
@pytest.mark.parametrize(
    "gone", [{"$ref": "secret/deleted"}, {"$kind": "no-longer", "fields": {}, "schema_version": 1}]
)
def test_a_removed_field_need_not_be_there(gone: dict[str, Any], since: int) -> None:
    """What it referred to was deleted, or its class is gone: the rest still loads, also through an upgrade."""
    Secret(value="x").save("any")
    store("test-outer", {"label": "kept", "old": [gone]}, since)

    with pytest.warns(UserWarning, match="Outer has no field old any more"):
        assert Outer.load("a").label == "kept"


def test_an_upgrade_is_given_blocks() -> None:
    """The children are loaded before it, so that it can take a value out of one."""
    Secret(value="t").save("s")
    store("test-flat", {"user": {"$ref": "secret/s"}}, 1)

    assert Flat.load("a").token == SecretStr("t")


@pytest.mark.parametrize("result", [None, 7])
def test_an_upgrade_that_gives_no_fields_is_told(result: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forgotten `return` is the usual one."""
    store("test-login", {"name": "u", "password": "t"}, 1)
    monkeypatch.setattr(Login, "upgrade", classmethod(lambda cls, fields, since: result))

    with pytest.raises(
        InvalidBlock, match=r"Login\.upgrade\(\) failed on schema version 1 with a result that is no dict"
    ):
        Login.load("a")


def test_an_upgrade_may_use_an_alias() -> None:
    """A field is known by both of its names."""
    store("test-flat", {"user": "u"}, 2)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Flat.load("a").full_name == "u"


def test_a_removed_field_is_dropped_with_a_warning() -> None:
    """The warning names the block and the field, not its value; the rest is loaded."""
    store("test-login", {"user": "u", "token": "t", "pin": "SENTINEL", "old": 1}, 3)

    with pytest.warns(UserWarning, match=r"test-login/a: Login has no field old, pin any more") as caught:
        block = Login.load("a")

    assert block == Login(user="u", token=SecretStr("t"))
    assert "SENTINEL" not in str(caught[0].message)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_a_new_required_field_is_told() -> None:
    """The error names the block, the version, the field with its description, and what the class's author can do."""
    store("test-unchanged", {"kept": "x"}, 1)

    with pytest.raises(
        InvalidBlock, match=r"test-unchanged/a \(saved by schema version 1\): field 'wanted' is missing"
    ) as caught:
        Unchanged.load("a")

    assert "default" in str(caught.value)
    assert "upgrade()" in str(caught.value)


def test_an_upgrade_that_fails_is_told() -> None:
    """Its exception is told by type and line: its own text may hold a value."""
    store("test-login", {"nothing": "SENTINEL"}, 1)

    with pytest.raises(
        InvalidBlock, match=r"test-login/a: Login\.upgrade\(\) failed on schema version 1 with KeyError in line \d+"
    ):
        Login.load("a")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b'{"fields":{}}',
        b'{"fields":[],"schema_version":1}',
        b'{"fields":{},"schema_version":"1"}',
        b'{"fields":{},"schema_version":true}',
    ],
)
def test_what_is_no_block_is_told(content: bytes) -> None:
    """A document that something else saved under a kind of ours."""
    current_registry(create=True).save("secret", "a", content)

    with pytest.raises(InvalidBlock, match="secret/a"):
        Secret.load("a")


def test_loading_needs_no_rights_to_upgrade() -> None:
    """A load changes nothing, upgraded or not."""
    store("test-login", {"name": "u", "password": "t"}, 1)
    before = current_registry().load("test-login", "a")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Login.load("a")

    assert current_registry().load("test-login", "a") == before


@pytest.mark.parametrize("version", [0, -1, "1", 1.0, True, None])
def test_a_schema_version_is_a_whole_number(version: object) -> None:
    """Anything else is refused when the class is defined."""
    with pytest.raises(InvalidClass, match="schema_version"):
        type("Odd", (Block,), {"schema_version": version, "__module__": __name__})


@pytest.mark.parametrize(
    "name", ["kind", "version", "reference", "save", "load", "names", "upgrade", "schema_version", "is_saved"]
)
def test_a_field_does_not_hide_what_a_block_has(name: str) -> None:
    """A field of that name would break the block: refused when the class is defined."""
    warnings.simplefilter("ignore")  # pydantic's own words on it; undone by pytest

    with pytest.raises((InvalidClass, NameError, TypeError, ValueError)):
        type("Odd", (Block,), {"__annotations__": {name: str}, "__module__": __name__})


def test_a_kind_of_ours_is_not_taken_over() -> None:
    """Another class with the kind of one of ours is refused; ours goes on."""
    with pytest.raises(InvalidClass, match="'secret' is taken"):
        type("Secret", (Block,), {"__module__": __name__})

    assert Block.load(Secret(value="x").save("a").reference or "") == Secret(value="x")


def test_a_class_defined_again_takes_its_place() -> None:
    """A notebook's cell that is run twice: the newer class loads what the older one saved."""
    for _ in range(2):
        again: Any = type(
            "Again", (Block,), {"__annotations__": {"x": int}, "kind": "test-again", "__module__": __name__}
        )
    again(x=1).save("a")

    assert type(Block.load("test-again/a")) is again
