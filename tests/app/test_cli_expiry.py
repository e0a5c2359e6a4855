"""What `ls`, `doctor`, `rotations` and loads say of credentials that end."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from bondstone.blocks import AwsCredentials, Secret
from bondstone.registry import current_registry
from tests.app.program import SENTINEL, Ended, bondstone

Cli = Callable[..., Ended]
PAST, FAR = datetime(2020, 1, 2, 3, 4, tzinfo=UTC), datetime(2093, 1, 2, tzinfo=UTC)
KEYS = {"access_key_id": "ASIAEXAMPLEEXAMPLE00", "secret_access_key": SENTINEL, "session_token": SENTINEL}


@pytest.fixture
def three(home: object) -> datetime:
    """One that has ended, one that will soon, one that will not; when the second does."""
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    for name, end in {"old": PAST, "soon": soon, "new": FAR}.items():
        AwsCredentials(**KEYS, expires_at=end).save(name)
    return soon


def test_ls(cli: Cli, three: datetime) -> None:
    """A column, where there is something in it, and a field."""
    Secret(value="x").save("no-end")

    lines = [line.split("\t") for line in cli("ls").out.splitlines()]
    objects = {item["name"]: item["expires_at"] for item in json.loads(cli("ls", "--json").out)}

    ends = {"new": FAR.isoformat(), "old": PAST.isoformat(), "soon": three.isoformat()}
    assert {line[1]: line[-1] for line in lines} == ends | {"no-end": ""}
    assert objects == ends | {"no-end": None}


def test_ls_where_nothing_ends(cli: Cli) -> None:
    """No column."""
    Secret(value="x").save("no-end")

    assert len(cli("ls").out.rstrip("\n").split("\t")) == 5
    assert json.loads(cli("ls", "--json").out)[0]["expires_at"] is None


def test_a_look_is_on_record(cli: Cli, three: datetime) -> None:
    """One row for the whole listing: a time comes out and nothing else, and who loaded what must not be buried."""
    before = [row.action for row in current_registry().audit()]

    cli("ls")
    cli("doctor")
    cli("rotations")

    after = [row.action for row in current_registry().audit()]
    assert after[: len(after) - len(before)] == ["look"] * 3


def test_doctor(cli: Cli, three: datetime) -> None:
    """Two warnings, by name; nothing fails."""
    ended = cli("doctor")

    assert "warn\texpiry\texpired: aws-credentials/old; rotate them, or save new versions\n" in ended.out
    assert f"warn\texpiry\texpire within 14 days: aws-credentials/soon ({three:%Y-%m-%d})\n" in ended.out
    assert "aws-credentials/new" not in ended.out


def test_rotations(cli: Cli, three: datetime) -> None:
    lines = {line["reference"]: line["expires_at"] for line in json.loads(cli("rotations", "--json").out)}

    assert lines["aws-credentials/old"] == PAST.isoformat()
    assert "2020-01-02 03:04:00Z" in cli("rotations").out


def test_a_load_says_so(three: datetime) -> None:
    """One line, on standard error."""
    ended = bondstone("show", "aws-credentials/old")

    assert "the credential of aws-credentials/old@1 expired on 2020-01-02 03:04Z" in ended.err
    assert ended.code == 0
