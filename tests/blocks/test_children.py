"""Blocks inside blocks: saved ones are live references, unsaved ones values; at any depth, in any container."""

import json
import pickle
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from bondstone.blocks import (
    AwsCredentials,
    Block,
    InvalidBlock,
    InvalidName,
    NotFound,
    S3Bucket,
    Secret,
    SecretStr,
    UnknownKind,
)
from bondstone.blocks.describe import displayed
from bondstone.registry import current_registry


class Node(Block):
    """A block that can hold blocks of its own kind."""

    kind = "test-node"

    label: str = Field("", description="A label.")
    child: "Node | None" = Field(None, description="One.")
    children: list["Node"] = Field(default_factory=list, description="Some.")


class Plain(BaseModel):
    """A model that is no block."""

    secret: Secret
    note: str = ""
    token: SecretStr | None = None


class Holder(Block):
    """Blocks in every sort of container."""

    kind = "test-holder"

    label: str = Field("", description="A text.")
    listed: list[Secret] = Field(default_factory=list, description="In a list.")
    named: dict[str, Secret | AwsCredentials] = Field(default_factory=dict, description="By name.")
    pair: tuple[Secret, S3Bucket] | None = Field(None, description="Two.")
    either: Secret | AwsCredentials | str | None = Field(None, description="One of several.")
    deep: dict[str, list[dict[str, Secret]]] = Field(default_factory=dict, description="Far down.")
    numbered: dict[int, Secret] = Field(default_factory=dict, description="By number.")
    model: Plain | None = Field(None, description="In a model.")
    any_block: Block | None = Field(None, description="Of any kind.")


class Special(Node):
    """A block of a class that another class comes from."""

    kind = "test-special"

    more: int = Field(0, description="A number.")


class Kennel(Block):
    """Fields of a base class."""

    kind = "test-kennel"

    animal: Node = Field(description="One.")
    animals: list[Node] = Field(default_factory=list, description="Some.")


class Cat(Block):
    """A block with a tag."""

    kind = "test-cat"

    type: Literal["cat"] = Field("cat", description="Tag.")


class Dog(Block):
    """Another block with a tag."""

    kind = "test-dog"

    type: Literal["dog"] = Field("dog", description="Tag.")


class Owner(Block):
    """A union told apart by a tag, and an alias."""

    kind = "test-owner"

    pet: Annotated[Cat | Dog, Field(discriminator="type", description="One of two.")]
    full_name: str = Field("", alias="fullName", description="A field with an alias.")


def stored(kind: str, name: str = "a") -> Any:
    return json.loads(current_registry().load(kind, name).content)["fields"]


def secret(value: str, name: str | None = None) -> Secret:
    return Secret(value=value).save(name) if name else Secret(value=value)


def test_what_is_stored_of_a_child() -> None:
    """A saved child is `{"$ref": …}` without its value; an unsaved one is there with its kind and schema version."""
    saved = secret("SENTINEL", "s")
    Holder(listed=[saved, secret("inside")]).save("a")

    first, second = stored("test-holder")["listed"]

    assert first == {"$ref": "secret/s"}
    assert second == {"$kind": "secret", "fields": {"value": "inside"}, "schema_version": 1}
    assert b"SENTINEL" not in current_registry().load("test-holder", "a").content


def everywhere(s: Secret) -> Holder:
    return Holder(
        listed=[s],
        named={"a": s, "$ref": s, "aws": AwsCredentials(profile="p")},
        pair=(s, S3Bucket(bucket="reports", credentials=AwsCredentials(profile="q"))),
        either=s,
        deep={"x": [{}, {"y": s}]},
        numbered={7: s},
        model=Plain(secret=s, note="n", token=SecretStr("t")),
        any_block=s,
    )


@pytest.mark.parametrize("saved", [True, False], ids=["saved", "unsaved"])
def test_children_in_every_container(saved: bool) -> None:
    """Lists, mappings, tuples, unions, models: the block that is loaded is the one that was saved."""
    holder = everywhere(secret("value", "s") if saved else secret("value"))
    holder.save("a")

    loaded = Holder.load("a")

    assert loaded == holder
    assert loaded.numbered[7].get() == "value"
    assert type(loaded.named["aws"]) is AwsCredentials
    assert loaded.pair is not None
    assert loaded.pair[1].credentials == AwsCredentials(profile="q")
    assert loaded.listed[0].reference == ("secret/s" if saved else None)
    assert loaded.model is not None
    assert loaded.model.token == SecretStr("t")


def test_saved_children_are_live_everywhere() -> None:
    """When the child changes, every place that holds it gives the new value."""
    everywhere(secret("old", "s")).save("a")

    Secret(value="new").save("s", overwrite=True)

    loaded = Holder.load("a")
    found = [
        loaded.listed[0], loaded.named["a"], loaded.named["$ref"], loaded.either, loaded.deep["x"][1]["y"],
        loaded.numbered[7], loaded.any_block,
    ]  # fmt: skip
    assert [one.get() for one in found if isinstance(one, Secret)] == ["new"] * 7


def test_a_changed_copy_of_a_child_is_a_value() -> None:
    """A child that was changed and not saved is stored as it is, not as the name that it came from."""
    child = secret("saved", "s")
    Holder(listed=[child.model_copy(update={"value": "changed"})]).save("a")

    assert Holder.load("a").listed[0].get() == "changed"
    assert Secret.load("s").get() == "saved"


def test_a_pinned_child_stays() -> None:
    """A child that was loaded by its number is stored with it, and stays pinned through loads and saves."""
    secret("one", "s")
    Secret(value="two").save("s", overwrite=True)
    Holder(listed=[Secret.load("s", version=1), Secret.load("s")]).save("a")

    Holder.load("a").model_copy(update={"either": "changed"}).save(overwrite=True)

    assert stored("test-holder")["listed"] == [{"$ref": "secret/s@1"}, {"$ref": "secret/s"}]
    Secret(value="three").save("s", overwrite=True)
    assert [one.get() for one in Holder.load("a").listed] == ["one", "three"]


def test_saving_a_child_later_does_not_change_what_was_stored() -> None:
    """A child stored by value stays a value, though the same instance is saved afterwards."""
    child = secret("value")
    Holder(listed=[child]).save("a")
    child.save("s")
    Secret(value="new").save("s", overwrite=True)

    assert Holder.load("a").listed[0].get() == "value"


def test_grandchildren() -> None:
    """References inside values inside references: each level keeps what it is."""
    leaf = Node(label="leaf").save("leaf")
    middle = Node(label="middle", child=leaf)
    top = Node(label="top", child=middle, children=[leaf, middle]).save("top")

    Node(label="new leaf").save("leaf", overwrite=True)

    loaded = Node.load("top")
    assert top.child is middle
    assert loaded.child is not None
    assert loaded.child.reference is None
    assert loaded.child.child is not None
    assert (loaded.child.child.label, loaded.child.child.reference) == ("new leaf", "test-node/leaf")
    assert loaded.children[0].label == "new leaf"


def test_diamonds_are_allowed() -> None:
    """Two ways to the same block are no cycle."""
    bottom = Node(label="bottom").save("bottom")
    left, right = Node(child=bottom).save("left"), Node(child=bottom).save("right")

    Node(children=[left, right, bottom]).save("top")

    assert Node.load("top") == Node(children=[left, right, bottom])


def test_a_block_cannot_be_saved_into_itself() -> None:
    """Directly, in a list, or through another block: InvalidBlock, and the stored one is as it was."""
    a = Node(label="a").save("a")
    b = Node(label="b", child=a).save("b")

    for cyclic in (Node(child=a), Node(children=[b]), Node(child=Node(child=b))):
        with pytest.raises(InvalidBlock, match="test-node/a would contain itself"):
            cyclic.save("a", overwrite=True)

    assert Node.load("a") == Node(label="a")


def test_a_cycle_that_two_writers_made_is_told() -> None:
    """Two savers that did not see each other can close a cycle: its load is an error that names it, not a hang or a crash."""
    registry = current_registry(create=True)
    for name, other in (("a", "b"), ("b", "c"), ("c", "a"), ("self", "self"), ("listed", "listed")):
        child = (
            f'"children":[{{"$ref":"test-node/{other}"}}]'
            if name == "listed"
            else f'"child":{{"$ref":"test-node/{other}"}}'
        )
        registry.save("test-node", name, f'{{"fields":{{{child}}},"schema_version":1}}'.encode())

    for name in ("a", "b", "c", "self", "listed"):
        with pytest.raises(InvalidBlock, match=f"test-node/{name} contains itself"):
            Node.load(name)

    assert Node(label="other").save("other").version == 1
    assert Node.load("other").label == "other"


def test_a_missing_child_is_told() -> None:
    """A child that was deleted: NotFound, which names the child."""
    Holder(listed=[secret("x", "s")]).save("a")
    Secret.delete("s")

    with pytest.raises(NotFound, match="secret named 's'"):
        Holder.load("a")
    assert Holder.names() == ["a"]


def test_a_child_of_an_unknown_kind_is_told() -> None:
    """A child whose class is not installed here: UnknownKind, which names the kind."""
    content = b'{"fields":{"any_block":{"$kind":"never-heard-of","fields":{},"schema_version":1}},"schema_version":1}'
    current_registry(create=True).save("test-holder", "a", content)

    with pytest.raises(UnknownKind, match="never-heard-of"):
        Holder.load("a")


def test_references_in_any_field() -> None:
    """Where a block is wanted its reference will do: in lists, mappings and JSON. Where a string is wanted it stays one."""
    secret("value", "s")

    by_python = Holder.model_validate(
        {"listed": ["secret/s", "bondstone://secret/s@1"], "label": "secret/s", "any_block": "secret/s"}
    )
    by_json = Holder.model_validate_json(
        '{"listed": ["secret/s", "secret/s@1"], "label": "secret/s", "any_block": "secret/s"}'
    )

    assert by_python == by_json
    assert by_python.label == "secret/s"
    assert [one.get() for one in by_python.listed] == ["value", "value"]
    by_python.save("a")
    assert stored("test-holder")["listed"] == [{"$ref": "secret/s"}, {"$ref": "secret/s@1"}]


def test_tagged_unions_and_aliases() -> None:
    """A union that is told apart by a tag, and a field with an alias, come back."""
    owner = Owner.model_validate({"pet": Dog(), "fullName": "x"})
    owner.save("a")
    Owner(pet=Cat().save("c")).save("b")

    assert Owner.load("a") == owner
    assert type(Owner.load("a").pet) is Dog
    assert type(Owner.load("b").pet) is Cat
    assert Owner.load("a").model_copy(update={"fullName": "y"}).full_name == "y"
    assert Owner.load("a").model_copy(update={"full_name": "y"}).full_name == "y"


def test_a_child_of_a_subclass_keeps_its_class() -> None:
    """A field that takes any block gives back the class that was saved."""
    Holder(any_block=S3Bucket(bucket="reports")).save("a")

    assert Holder.load("a").any_block == S3Bucket(bucket="reports")


def test_a_base_class_gives_the_class_that_was_saved() -> None:
    """In a field of a base class: by value, by reference, and by the reference as text. By itself: `Block.load`."""
    special = Special(label="x", more=1)
    Kennel(animal=special, animals=[special]).save("by-value")
    saved = special.save("s")
    Kennel(animal=saved).save("by-reference")

    for kennel in (Kennel.load("by-value"), Kennel.load("by-reference"), Kennel(animal="test-special/s")):
        assert kennel.animal == special
        assert type(kennel.animal) is Special
    assert type(Block.load("test-special/s")) is Special
    with pytest.raises(InvalidName):
        Kennel(animal="secret/s")


def test_values_are_revealed_where_they_are_asked_for_and_at_any_depth() -> None:
    """`displayed` masks unless it is told otherwise; of a saved child it shows the reference alone."""
    holder = everywhere(secret("hidden-one"))

    shown, revealed = json.dumps(displayed(holder)), displayed(holder, reveal=True)

    assert "hidden-one" not in shown
    assert revealed["deep"]["x"][1]["y"]["value"] == revealed["model"]["secret"]["value"] == "hidden-one"
    assert revealed["model"]["token"] == "t"
    assert displayed(everywhere(secret("v", "s")), reveal=True)["listed"] == ["secret/s"]


def test_a_child_of_another_registry_goes_along_by_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A reference into a registry that this one cannot see would dangle."""
    aws = AwsCredentials(access_key_id="AKIAEXAMPLE", secret_access_key="s-e-c-r-e-t").save("prod")
    monkeypatch.setenv("BONDSTONE_REGISTRY", f"sqlite:///{tmp_path}/other/registry.db")

    S3Bucket(bucket="reports", credentials=aws).save("reports")

    assert AwsCredentials.names() == []
    assert S3Bucket.load("reports").credentials == aws


def test_a_block_of_another_registry_saves_here_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Version numbers of one registry say nothing about another's."""
    first = Secret(value="one").save("a")
    monkeypatch.setenv("BONDSTONE_REGISTRY", f"sqlite:///{tmp_path}/other/registry.db")
    Secret(value="two").save("a")
    Secret(value="three").save("a", overwrite=True)

    first.save(overwrite=True)

    assert (Secret.load("a").get(), first.version) == ("one", 3)


def test_a_pickle_is_loaded_from_the_registry_it_was_saved_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same name in the registry that happens to be current is another secret."""
    pickled = pickle.dumps(Secret(value="mine").save("a"))
    monkeypatch.setenv("BONDSTONE_REGISTRY", f"sqlite:///{tmp_path}/other/registry.db")
    Secret(value="another's").save("a")

    assert pickle.loads(pickled).get() == "mine"
