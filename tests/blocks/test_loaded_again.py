"""What a process remembers of its loads must never show: not as an old value, not as a shared one, not past a forgery."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bondstone.blocks import AwsCredentials, Block, NotFound, S3Bucket, Secret, Unreadable


class RememberedLabels(Block):
    """A block with a value that can be changed in place."""

    labels: list[str]


def elsewhere(call: Callable[[], object]) -> None:
    """On another thread, so through another connection."""
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


def tamper(data: Path, statement: str) -> None:
    with closing(sqlite3.connect(data)) as connection, connection:
        assert connection.execute(statement).rowcount == 1


def warmed(name: str) -> None:
    """Three loads: read, found unchanged, and made from what is remembered."""
    for _ in range(3):
        Secret.load(name)


def test_a_new_version_is_seen_at_once() -> None:
    """Also where it is exactly as long as the old one."""
    Secret(value="old").save("a")
    warmed("a")

    elsewhere(lambda: Secret(value="new").save("a", overwrite=True))

    assert Secret.load("a").get() == "new"
    assert Secret.load("a").version == 2


def test_a_deletion_is_seen_at_once() -> None:
    """And a name that is used again does not bring the old value back."""
    Secret(value="old").save("a")
    warmed("a")

    elsewhere(lambda: Secret.delete("a"))

    with pytest.raises(NotFound):
        Secret.load("a")
    Secret(value="new").save("a")
    assert Secret.load("a").get() == "new"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE versions SET sealed = CAST(substr(sealed, 1, length(sealed) - 16) || zeroblob(16) AS BLOB)",
        "UPDATE versions SET saved_at = saved_at + 1",
        "UPDATE heads SET tag = CAST(substr(tag, 1, 4) || zeroblob(32) AS BLOB)",
        "UPDATE heads SET generation = generation + 1",
        "UPDATE heads SET previous = 1, highest = 2",
        "DELETE FROM versions",
    ],
)
def test_a_forgery_is_noticed(data: Path, statement: str) -> None:
    """Nothing remembered stands in for a record that was changed, and nothing forged is remembered."""
    Secret(value="x").save("a")
    warmed("a")

    tamper(data, statement)

    for _ in range(3):
        with pytest.raises(Unreadable):
            Secret.load("a")


def test_a_commit_elsewhere_changes_nothing() -> None:
    """The same bytes give the same block."""
    Secret(value="x").save("a")
    warmed("a")

    elsewhere(lambda: Secret(value="y").save("b"))

    assert Secret.load("a") == Secret(value="x")
    assert Secret.load("a").version == 1


def test_each_load_gives_its_own() -> None:
    """What is done to a loaded block is not seen by those who load it later."""
    RememberedLabels(labels=["a"]).save("a")
    Secret(value="x").save("a")
    warmed("a")

    for _ in range(3):
        RememberedLabels.load("a").labels.append("b")
    one, other = Secret.load("a"), Secret.load("a")
    one.save("elsewhere")

    assert RememberedLabels.load("a").labels == ["a"]
    assert one is not other
    assert other.reference == "secret/a"
    assert Secret.load("a").reference == "secret/a"


def test_a_child_is_the_current_one() -> None:
    """A parent that has not changed still has the child as it is now."""
    aws = AwsCredentials(access_key_id="AKIAEXAMPLE", secret_access_key="old").save("prod")
    S3Bucket(bucket="reports", credentials=aws).save("reports")
    for _ in range(3):
        S3Bucket.load("reports")

    changed = aws.model_copy(update={"secret_access_key": "new"})
    elsewhere(lambda: changed.save(overwrite=True))

    credentials = S3Bucket.load("reports").credentials
    assert credentials is not None
    assert credentials.secret_access_key is not None
    assert credentials.secret_access_key.get_secret_value() == "new"


def test_a_class_defined_anew_is_used() -> None:
    """A notebook cell that is run again takes the place of the earlier one, also for what is remembered."""

    def cell(default: int) -> type[Block]:
        return type("RememberedCell", (Block,), {"__annotations__": {"n": int}, "n": default, "__module__": __name__})

    cell(1)().save("a")
    for _ in range(3):
        Block.load("remembered-cell/a")

    newer = cell(2)

    assert type(Block.load("remembered-cell/a")) is newer
