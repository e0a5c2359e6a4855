"""What users see: section by section the contract of the design, as printed there."""

import asyncio
import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from bondstone.blocks import (
    AwsCredentials,
    Block,
    Conflict,
    InvalidBlock,
    InvalidName,
    InvalidSettings,
    NotFound,
    S3Bucket,
    Secret,
    UnknownKind,
)
from bondstone.registry import Reference


def test_save_and_load() -> None:
    """The first save makes version 1, and the registry on the way; load gives back exactly what was stored."""
    saved = Secret(value="ema_XXXXXXXX")

    returned = saved.save("arraylake-token")

    assert returned is saved
    assert (saved.reference, saved.version) == ("secret/arraylake-token", 1)
    assert Secret.load("arraylake-token").get() == "ema_XXXXXXXX"
    assert Secret.load("arraylake-token") == saved


def test_a_taken_name_is_refused_and_nothing_changed() -> None:
    """Without overwrite the second save is Conflict; the stored block, and the refused one, are as before."""
    Secret(value="first").save("a")
    second = Secret(value="second")

    with pytest.raises(Conflict, match="secret/a"):
        second.save("a")

    assert Secret.load("a").get() == "first"
    assert [line.version for line in Secret.history("a")] == [1]
    assert second.reference is None
    assert not second.is_saved


def test_overwrite_makes_the_next_version() -> None:
    """With overwrite it is version 2; version 1 is still there."""
    Secret(value="old").save("a")

    new = Secret(value="new").save("a", overwrite=True)

    assert new.version == 2
    assert Secret.load("a").get() == "new"
    assert Secret.load("a", version=1).get() == "old"
    assert Secret.load("a", version=1).version == 1
    with pytest.raises(NotFound, match="secret/a@3"):
        Secret.load("a", version=3)


def test_block_load_gives_the_right_class() -> None:
    """`Block.load` and `Block.delete` take references, with and without a version and scheme."""
    Secret(value="s").save("a")
    AwsCredentials(profile="p").save("prod/a")

    assert type(Block.load("secret/a")) is Secret
    assert type(Block.load("bondstone://aws-credentials/prod/a@1")) is AwsCredentials
    assert Block.load("secret/a@1").version == 1
    Block.delete("secret/a")
    with pytest.raises(NotFound):
        Secret.load("a")


@pytest.mark.parametrize(
    "text", ["secret/a#value", "secret", "secret/", "/a", "secret/a@0", "secret/a@x", "Secret/a", "secret/a@1#value"]
)
def test_block_load_refuses_what_is_no_block(text: str) -> None:
    """A field's reference, or none at all, is InvalidName."""
    Secret(value="s").save("a")

    with pytest.raises(InvalidName):
        Block.load(text)


def test_a_single_version_is_not_deleted() -> None:
    """`Block.delete("kind/name@1")` must not take the whole name with it."""
    Secret(value="1").save("a")
    Secret(value="2").save("a", overwrite=True)

    with pytest.raises(InvalidName):
        Block.delete("secret/a@1")

    assert Secret.load("a").get() == "2"


def test_unknown_names_and_kinds_are_told() -> None:
    """NotFound names kind and name and suggests the near one; so does UnknownKind."""
    Secret(value="s").save("arraylake-token")

    with pytest.raises(NotFound, match=r"secret.*'arraylake-tokn'.*'arraylake-token'"):
        Secret.load("arraylake-tokn")
    with pytest.raises(UnknownKind, match=r"secrt.*secret"):
        Block.load("secrt/a")
    with pytest.raises(LookupError):
        Secret.load("nothing-like-it")


def test_loading_before_anything_was_saved(data: Path, key_path: Path) -> None:
    """Without a registry: NotFound, no names, and nothing is made on the disk."""
    with pytest.raises(NotFound):
        Secret.load("a")
    with pytest.raises(NotFound):
        Secret.delete("a")
    with pytest.raises(NotFound):
        Secret.history("a")
    assert Secret.names() == []
    assert Block.names() == []

    assert not data.exists()
    assert not key_path.exists()


def test_history_delete_and_names() -> None:
    """History lists every version, deleted ones too; a deleted name is free, its numbers are not."""
    Secret(value="1").save("b")
    Secret(value="2").save("b", overwrite=True)
    Secret(value="x").save("a")

    Secret.delete("b")
    again = Secret(value="3").save("b")

    assert again.version == 3
    assert [(line.version, line.deleted, line.state) for line in Secret.history("b")] == [
        (1, True, ""),
        (2, True, ""),
        (3, False, "current"),
    ]
    assert all(line.saved_at.tzinfo for line in Secret.history("b"))
    assert Secret.names() == ["a", "b"]
    assert Block.names() == ["secret/a", "secret/b"]
    with pytest.raises(NotFound):
        Secret.load("b", version=2)
    with pytest.raises(NotFound):
        Secret.delete("never")


def test_names_by_page() -> None:
    """`names` has a limit, an offset and a stable order, and lists its own kind only."""
    for name in ("c", "a", "prod/b", "b"):
        Secret(value=name).save(name)
    AwsCredentials(profile="p").save("zzz")

    assert Secret.names() == ["a", "b", "c", "prod/b"]
    assert Secret.names(limit=2, offset=1) == ["b", "c"]
    assert Secret.names(offset=9) == []
    assert Secret.names(limit=0) == []
    assert Block.names(limit=1) == ["aws-credentials/zzz"]


def test_names_by_prefix() -> None:
    """Those that begin with it, in the same order, by page too; of `Block`, references."""
    for name in ("prod/b", "test/a", "prod/a", "prod/c", "product"):
        Secret(value="x").save(name)
    AwsCredentials(profile="p").save("prod/a")

    assert Secret.names(prefix="prod/") == ["prod/a", "prod/b", "prod/c"]
    assert Secret.names(prefix="prod/", limit=1, offset=1) == ["prod/b"]
    assert Secret.names(prefix="prod/", limit=0) == Secret.names(prefix="prod/", offset=3) == []
    assert Secret.names(prefix="nothing") == []
    assert Block.names(prefix="secret/prod/") == ["secret/prod/a", "secret/prod/b", "secret/prod/c"]
    assert Block.names(prefix="aws") == ["aws-credentials/prod/a"]
    for wrong in ({"limit": -1}, {"offset": -1}, {"prefix": "x", "limit": -1}, {"prefix": "x", "offset": -1}):
        with pytest.raises(InvalidSettings):
            Secret.names(**wrong)


def test_a_saved_child_is_live_and_an_unsaved_one_is_a_value() -> None:
    """A bucket with saved credentials follows them; with unsaved ones it keeps its own."""
    aws = AwsCredentials(access_key_id="AKIA1", secret_access_key="one").save("prod")
    S3Bucket(bucket="reports", credentials=aws).save("live")
    S3Bucket(bucket="reports", credentials=AwsCredentials(access_key_id="AKIA1", secret_access_key="one")).save("held")

    AwsCredentials(access_key_id="AKIA2", secret_access_key="two").save("prod", overwrite=True)

    live, held = S3Bucket.load("live").credentials, S3Bucket.load("held").credentials
    assert live is not None
    assert held is not None
    assert (live.access_key_id, live.reference, live.version) == ("AKIA2", "aws-credentials/prod", 2)
    assert (held.access_key_id, held.reference) == ("AKIA1", None)


def test_a_loaded_changed_copy_is_saved_back() -> None:
    """`save(overwrite=True)` without a name goes where the block came from, if nobody saved in between."""
    S3Bucket(bucket="reports").save("a")
    mine, theirs = S3Bucket.load("a"), S3Bucket.load("a")

    changed = mine.model_copy(update={"prefix": "2026"})
    assert not changed.is_saved
    saved = changed.save(overwrite=True)

    assert (saved.reference, saved.version, saved.is_saved) == ("s3-bucket/a", 2, True)
    assert S3Bucket.load("a").prefix == "2026"
    with pytest.raises(Conflict):
        theirs.model_copy(update={"prefix": "lost update"}).save(overwrite=True)
    with pytest.raises(Conflict):
        changed.model_copy(update={"prefix": "no overwrite"}).save()
    assert S3Bucket.load("a").prefix == "2026"


def test_an_older_version_is_not_saved_back_by_accident() -> None:
    """A version loaded by its number is not the current one: saving its changed copy back is Conflict."""
    S3Bucket(bucket="reports").save("a")
    S3Bucket(bucket="reports2").save("a", overwrite=True)

    with pytest.raises(Conflict):
        S3Bucket.load("a", version=1).model_copy(update={"prefix": "x"}).save(overwrite=True)


def test_an_unnamed_block_needs_a_name() -> None:
    """`save()` of a block that was never saved says what is missing."""
    with pytest.raises(InvalidName, match="name"):
        Secret(value="x").save()


def test_the_same_block_under_two_names() -> None:
    """A block saved under a second name goes by that one from then on; both are stored."""
    block = Secret(value="x").save("a")

    block.save("b")

    assert block.reference == "secret/b"
    assert Secret.names() == ["a", "b"]


def test_a_copy_knows_where_it_comes_from() -> None:
    """An unchanged copy is as saved as its original."""
    block = Secret(value="x").save("a")

    copied = block.model_copy()

    assert copied == block
    assert (copied.reference, copied.version, copied.is_saved) == ("secret/a", 1, True)


@pytest.mark.parametrize(
    "name",
    ["", "A", "a b", "a//b", "/a", "a/", "../a", "a@1", "a#b", "ä", "a" * 256, ".hidden", "AKIAIOSFODNN7EXAMPLE"],
)
def test_illegal_names_are_refused_before_anything_is_made(name: str, data: Path, key_path: Path) -> None:
    """An illegal name is InvalidName, and no registry comes of it."""
    with pytest.raises(InvalidName):
        Secret(value="x").save(name)

    assert not data.exists()
    assert not key_path.exists()


def test_unknown_fields_are_refused() -> None:
    """A misspelt field is named, with the near one."""
    with pytest.raises(InvalidBlock, match="'buckt', did you mean 'bucket'"):
        S3Bucket(bucket="reports", buckt="x")  # type: ignore[call-arg]


def test_blocks_are_frozen() -> None:
    """A field cannot be set, and the block is as before."""
    block = S3Bucket(bucket="reports")

    with pytest.raises(ValueError, match="model_copy"):
        block.bucket = "other"  # type: ignore[misc]

    assert block.bucket == "reports"


def test_blocks_compare_by_class_and_fields() -> None:
    """Where a block came from does not matter to equality, its class does."""
    saved = Secret(value="x").save("a")

    assert saved == Secret(value="x")
    assert saved != Secret(value="y")
    assert AwsCredentials(profile="x") != saved
    assert len({saved, Secret(value="x")}) == 1


def test_a_reference_stands_for_a_block() -> None:
    """A field of a block type takes the block's reference: in Python, and in a flow's JSON parameters."""
    AwsCredentials(profile="p").save("prod")

    by_name = S3Bucket(bucket="reports", credentials="aws-credentials/prod")
    by_json = S3Bucket.model_validate_json(
        json.dumps({"bucket": "reports", "credentials": "bondstone://aws-credentials/prod"})
    )

    assert by_name == by_json
    assert by_name.credentials is not None
    assert by_name.credentials.reference == "aws-credentials/prod"
    with pytest.raises(InvalidName, match="field 'credentials': expected a reference such as 'aws-credentials/name'"):
        S3Bucket(bucket="reports", credentials="secret/prod")


def test_sync_and_async_give_the_same() -> None:
    """asave, aload and adelete do what save, load and delete do."""

    async def flow() -> tuple[Secret, Secret]:
        saved = await Secret(value="x").asave("a")
        with pytest.raises(Conflict):
            await Secret(value="y").asave("a")
        await Secret(value="y").asave("a", overwrite=True)
        loaded, first = await asyncio.gather(Secret.aload("a"), Secret.aload("a", version=1))
        assert (saved.version, first.get()) == (1, "x")
        return loaded, await Block.aload("secret/a")  # type: ignore[return-value]

    loaded, again = asyncio.run(flow())

    assert loaded == again == Secret.load("a")
    asyncio.run(Secret.adelete("a"))
    with pytest.raises(NotFound):
        asyncio.run(Secret.aload("a"))


def test_references_are_strings() -> None:
    """A block's reference is JSON and compares with a string."""
    reference = Secret(value="x").save("a").reference

    assert isinstance(reference, Reference)
    assert json.dumps({"block": reference}) == '{"block": "secret/a"}'
    assert reference is not None
    assert reference.uri == "bondstone://secret/a"


def test_nothing_warns() -> None:
    """The ordinary round trip gives no warning at all."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Secret(value={"a": 1}).save("a")
        loaded: Any = Secret.load("a").get()

    assert loaded == {"a": 1}


def test_the_environment_names_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another BONDSTONE_REGISTRY is another registry, at once, in the same process; setting it back is the first again."""
    Secret(value="default").save("a")

    monkeypatch.setenv("BONDSTONE_REGISTRY", f"sqlite:///{tmp_path}/other.db")
    Secret(value="other").save("a")
    assert Secret.load("a").get() == "other"
    monkeypatch.delenv("BONDSTONE_REGISTRY")

    assert Secret.load("a").get() == "default"
