"""`show`, `ls`, `history`, `rm`, `audit` and `types`."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from bondstone.blocks import AwsCredentials, Block, S3Bucket, Secret, catalog
from tests.app.program import SENTINEL, Ended, bondstone, on_a_terminal

Cli = Callable[..., Ended]
MASK = "*" * 10
USAGE, NOT_FOUND, UNKNOWN_KIND, INVALID_NAME, UNREADABLE = 2, 3, 4, 6, 14
READERS = [
    *(["show", "aws-credentials/prod"], ["show", "aws-credentials/prod", "--json"], ["show", "s3-bucket/inline"]),
    *(["show", "s3-bucket/inline", "--json"], ["show", "aws-credentials/prod#secret_access_key"], ["ls"], ["doctor"]),
    *(["ls", "--json"], ["history", "aws-credentials/prod"], ["audit"], ["audit", "--json"], ["types", "--json"]),
]


@pytest.fixture
def saved(home: Path) -> AwsCredentials:
    """Credentials, a bucket that refers to them, and one with its own."""
    aws = AwsCredentials(access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key=SENTINEL).save("prod")
    S3Bucket(bucket="reports", credentials=aws).save("reports")
    own = AwsCredentials(access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key=SENTINEL)
    S3Bucket(bucket="reports", credentials=own).save("inline")
    return aws


@pytest.mark.parametrize("arguments", READERS, ids=" ".join)
def test_nothing_but_reveal_shows_a_secret(cli: Cli, saved: AwsCredentials, arguments: list[str]) -> None:
    """Of all commands that read, none shows the value."""
    ended = cli(*arguments)

    assert SENTINEL not in ended.out + ended.err


def test_reveal_shows_it(cli: Cli, saved: AwsCredentials) -> None:
    """Only when asked: in the table, in JSON, and inside another block."""
    table = cli("show", "aws-credentials/prod", "--reveal")
    inside = json.loads(cli("show", "s3-bucket/inline", "--json", "--reveal").out)

    assert f"secret_access_key\t{SENTINEL}\n" in table.out
    assert inside["fields"]["credentials"]["secret_access_key"] == SENTINEL


def test_a_block_in_json(cli: Cli, saved: AwsCredentials) -> None:
    """Kind, name, version, time and fields; a secret is a mask, a saved block inside is its reference."""
    aws = json.loads(cli("show", "aws-credentials/prod@1", "--json").out)
    bucket = json.loads(cli("show", "bondstone://s3-bucket/reports", "--json").out)
    inline = json.loads(cli("show", "s3-bucket/inline", "--json").out)

    assert list(aws) == ["kind", "name", "version", "saved_at", "fields"]
    assert (aws["kind"], aws["name"], aws["version"]) == ("aws-credentials", "prod", 1)
    assert aws["fields"]["secret_access_key"] == MASK
    assert bucket["fields"]["credentials"] == "aws-credentials/prod"
    assert inline["fields"]["credentials"]["kind"] == "aws-credentials"


@pytest.mark.parametrize(
    ("value", "out"), [(SENTINEL, SENTINEL.encode()), (b"\xff\x00", b"\xff\x00"), ({"a": [1]}, b'{"a": [1]}')]
)
def test_one_field_is_fit_for_a_pipe(capfdbinary: pytest.CaptureFixture[bytes], value: object, out: bytes) -> None:
    """Exactly the value, without a line end; what is neither text nor bytes is JSON."""
    from bondstone.cli.program import run

    Secret(value=value).save("x")

    code = run(["show", "secret/x#value", "--reveal"])

    assert (code, capfdbinary.readouterr().out) == (0, out)


def test_a_mask_is_not_a_value(cli: Cli, saved: AwsCredentials) -> None:
    """One secret field without --reveal is refused: in a pipe its mask would be taken for the secret."""
    ended = cli("show", "aws-credentials/prod#secret_access_key")

    assert (ended.code, ended.out) == (USAGE, "")
    assert "--reveal" in ended.err


def test_a_plain_field_needs_no_reveal(cli: Cli, saved: AwsCredentials) -> None:
    """What is no secret is shown."""
    assert cli("show", "aws-credentials/prod#access_key_id").out == "AKIAIOSFODNN7EXAMPLE"


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", f"ema_{SENTINEL}"],
        ["show", f"secret/ema_{SENTINEL}"],
        ["show", "secret/x", SENTINEL],
        ["show", "secret/x", f"--token={SENTINEL}"],
        [SENTINEL],
        [SENTINEL, "ls"],
        ["ls", "--limit", SENTINEL],
        ["ls", f"--json={SENTINEL}"],
        ["demo", "--engine", SENTINEL],
        ["types", f"ema_{SENTINEL}"],
        ["init", "--max-ttl", SENTINEL],
    ],
)
def test_what_was_typed_is_not_echoed(cli: Cli, arguments: list[str]) -> None:
    """It may be a secret in the wrong place."""
    ended = cli(*arguments)

    assert ended.code != 0
    assert SENTINEL not in ended.out + ended.err


@pytest.mark.parametrize("arguments", [["ls"], ["audit"], ["ls", "--kind", "secret"]])
def test_without_a_registry_a_listing_is_empty(cli: Cli, arguments: list[str]) -> None:
    """A first look is no failure, and makes nothing."""
    assert cli(*arguments) == (0, "", "")
    assert cli(*arguments, "--json") == (0, "[]\n", "")


def test_a_listing(cli: Cli, saved: AwsCredentials) -> None:
    """By kind, then name, in tab-separated lines without a heading; by kind, and page by page."""
    names = [line.split("\t")[:3] for line in cli("ls").out.splitlines()]
    page = json.loads(cli("ls", "--kind", "s3-bucket", "--offset", "1", "--limit", "1", "--json").out)

    assert names == [["aws-credentials", "prod", "1"], ["s3-bucket", "inline", "1"], ["s3-bucket", "reports", "1"]]
    assert [item["name"] for item in page] == ["reports"]
    assert list(page[0]) == ["kind", "name", "version", "changed_at", "readable", "expires_at"]


def test_an_unreadable_record_blocks_nothing_but_itself(cli: Cli, saved: AwsCredentials, data: Path) -> None:
    """It is listed as such, shown as such, found by doctor, and can be deleted."""
    with sqlite3.connect(data) as raw:
        raw.execute("UPDATE heads SET current = 7, generation = 'x' WHERE kind = 'aws-credentials'")
    raw.close()

    listed, shown, checked = cli("ls"), cli("show", "aws-credentials/prod"), cli("doctor")
    deleted = cli("rm", "aws-credentials/prod", "--yes")

    assert listed.out.splitlines()[0] == "aws-credentials\tprod\t\t\tunreadable"
    assert len(listed.out.splitlines()) == 3
    assert shown.code == UNREADABLE
    assert checked.code == 1
    assert "fail\tblocks\t1 do not open" in checked.out
    assert deleted == (0, "deleted aws-credentials/prod\n", "")


def test_a_history(cli: Cli, home: Path) -> None:
    """Oldest first, with what each version is now."""
    for value in "abc":
        Secret(value=value).save("x", overwrite=True)

    lines = [line.split("\t") for line in cli("history", "secret/x").out.splitlines()]
    objects = json.loads(cli("history", "secret/x", "--json").out)

    assert [(line[0], line[2]) for line in lines] == [("1", ""), ("2", "previous"), ("3", "current")]
    assert list(objects[0]) == ["version", "saved_at", "deleted", "state"]


def test_deleting_asks_first(saved: AwsCredentials) -> None:
    """On a terminal: anything but yes keeps the block."""
    kept = on_a_terminal("rm", "aws-credentials/prod", answers=("",))
    gone = on_a_terminal("rm", "s3-bucket/inline", answers=("y",))

    assert kept.code == 1
    assert "nothing was deleted" in kept.out
    assert gone.code == 0
    assert Block.names() == ["aws-credentials/prod", "s3-bucket/reports"]


def test_the_audit_log(cli: Cli, saved: AwsCredentials) -> None:
    """Newest first: who, what, which version, how it ended."""
    cli("show", "secret/none")

    lines = [line.split("\t") for line in cli("audit").out.splitlines()]
    newest = json.loads(cli("audit", "--limit", "1", "--json").out)

    assert lines[0][2:] == ["load", "secret/none", "not_found"]
    assert lines[-1][2:] == ["save", "aws-credentials/prod@1", "ok"]
    assert [list(row) for row in newest] == [["time", "actor", "action", "reference", "outcome", "proved"]]


def test_the_kinds(cli: Cli) -> None:
    """Every kind with what it is; one kind with its fields, and which of them are secret."""
    listed = [line.split("\t")[0] for line in cli("types").out.splitlines()]
    described = json.loads(cli("types", "aws-credentials", "--json").out)
    secrets = [field["name"] for field in described["fields"] if field["secret"]]

    assert listed == list(catalog())
    assert secrets == ["secret_access_key", "session_token"]
    assert "secret_access_key\tstr\tsecret\t" in cli("types", "aws-credentials").out


def test_a_terminal_gets_headings(saved: AwsCredentials) -> None:
    """And a mask, as everywhere."""
    ended = on_a_terminal("show", "aws-credentials/prod")

    assert ended.code == 0
    assert "aws-credentials/prod@1, saved 20" in ended.out
    assert MASK in ended.out
    assert SENTINEL not in ended.out


def test_a_name_cannot_command_a_terminal(cli: Cli, saved: AwsCredentials, data: Path) -> None:
    """What others wrote into the registry is shown with its control characters spelt out."""
    with sqlite3.connect(data) as raw:
        raw.execute(
            "INSERT INTO audit (at, actor, action, kind, name, version, outcome) VALUES (1, ?, 'x', 'k', 'n', 0, 'ok')",
            ("a\x1b]0;b\x07\n",),
        )
    raw.close()

    out = bondstone("audit").out

    assert "\x1b" not in out
    assert "\\x1b]0;b\\x07\\n\t" in out
