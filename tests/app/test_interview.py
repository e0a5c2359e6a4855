"""`bondstone save` as a conversation on a terminal."""

from pathlib import Path

import pytest

from bondstone.blocks import AwsCredentials, Block, GitCredentials, S3Bucket, Secret
from tests.app.program import SENTINEL, bondstone, on_a_terminal


@pytest.fixture
def saved(home: Path) -> None:
    """What a field that holds credentials may be answered with, and what it may not."""
    AwsCredentials(profile="a").save("prod")
    AwsCredentials(profile="b").save("test")
    Secret(value="v").save("token")


def test_a_field_that_does_not_fit_is_asked_for_again(home: Path) -> None:
    """That one, and not those that were answered before."""
    ended = on_a_terminal(
        "save", "s3-bucket/b", answers=("Not A Bucket", "reports", "a//b", "a/b", "", "", "perhaps", "no", "", "")
    )

    assert ended.code == 0, ended.out
    assert [ended.out.count(f"\n{field} ") for field in ("bucket", "prefix", "region", "path_style")] == [2, 2, 1, 2]
    assert "field 'prefix': has an empty segment" in ended.out
    assert S3Bucket.load("b") == S3Bucket(bucket="reports", prefix="a/b")


def test_the_saved_blocks_are_offered(saved: None) -> None:
    """Those of the kind that the field takes, by number or by name; a wrong one is asked for again."""
    ended = on_a_terminal(
        "save", "s3-bucket/b", answers=("reports", "", "", "", "", "aws-credentials/none", "secret/token", "2", "")
    )

    assert ended.code == 0, ended.out
    assert "\n  1  aws-credentials/prod\n  2  aws-credentials/test\n" in ended.out
    assert "3  " not in ended.out
    assert "there is no aws-credentials named 'none'" in ended.out
    assert S3Bucket.load("b").credentials == AwsCredentials.load("test")


def test_fields_that_do_not_go_together_are_told_at_the_end(home: Path) -> None:
    """And one of them is answered again, as one chooses."""
    answers = ["AKIAIOSFODNN7EXAMPLE", *[""] * (len(AwsCredentials.model_fields) - 1), "secret_access_key", SENTINEL]

    ended = on_a_terminal("save", "aws-credentials/a", answers=tuple(answers))

    assert ended.code == 0, ended.out
    assert "go together" in ended.out
    assert "field to answer again (access_key_id, " in ended.out
    assert SENTINEL not in ended.out
    assert AwsCredentials.load("a").access_key_id == "AKIAIOSFODNN7EXAMPLE"


def test_a_secret_that_does_not_fit_is_asked_for_again_unseen(home: Path) -> None:
    """Its length is told, so that a paste which was cut is noticed, and it never is."""
    ended = on_a_terminal("save", "git-credentials/ci", answers=("me", f"{SENTINEL} {SENTINEL}", SENTINEL, *[""] * 5))

    assert ended.code == 0, ended.out
    assert "white space" in ended.out
    assert f"  {len(SENTINEL)} characters\n" in ended.out
    assert SENTINEL not in ended.out
    token = GitCredentials.load("ci").token
    assert token is not None
    assert token.get_secret_value() == SENTINEL


@pytest.mark.shows_secrets("key")  # the file
def test_a_file_can_be_answered(home: Path, tmp_path: Path) -> None:
    """With @FILE, as on the command line; one that is not there is asked for again."""
    (tmp_path / "key").write_text("line\nline\n")

    ended = on_a_terminal("save", "secret/x", answers=(f"@{tmp_path}/none", f"@{tmp_path}/key"))

    assert ended.code == 0, ended.out
    assert "No such file" in ended.out
    assert Secret.load("x").get() == "line\nline\n"


def test_a_name_is_asked_for(home: Path) -> None:
    """With a kind alone; an illegal one is told with the nearest that is legal."""
    ended = on_a_terminal("save", "secret", answers=("My Token", "my-token", "v"))

    assert ended.code == 0, ended.out
    assert "for example 'my-token'" in ended.out
    assert Secret.load("my-token").get() == "v"


def test_a_kind_is_asked_for(home: Path) -> None:
    """With nothing at all; the kinds are listed, and a misspelt one is told with the nearest."""
    ended = on_a_terminal("save", answers=("secert", "secret", "x", "v"))

    assert ended.code == 0, ended.out
    assert "s3-bucket" in ended.out
    assert "did you mean 'secret'?" in ended.out
    assert Secret.load("x").get() == "v"


@pytest.mark.parametrize(("reply", "code", "value"), [("", 1, "v"), ("y", 0, "new")])
def test_a_taken_name_is_told_before_the_questions(saved: None, reply: str, code: int, value: str) -> None:
    """Not after them."""
    ended = on_a_terminal("save", "secret/token", answers=(reply, "new"))

    assert ended.code == code, ended.out
    assert "secret/token is there already" in ended.out
    assert Secret.load("token").get() == value


def test_a_deleted_name_is_free(saved: None) -> None:
    """Nobody is asked about it."""
    Secret.delete("token")

    ended = on_a_terminal("save", "secret/token", answers=("new",))

    assert ended.code == 0, ended.out
    assert "already" not in ended.out


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["secret"], 6)])
def test_where_nobody_can_be_asked_the_name_is_required(home: Path, arguments: list[str], code: int) -> None:
    """One line says so."""
    ended = bondstone("save", *arguments)

    assert ended.code == code
    assert "KIND/NAME" in ended.err.upper()
    assert Block.names() == []
