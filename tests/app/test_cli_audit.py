"""`bondstone audit`, `audit verify` and `audit checkpoint`."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bondstone.blocks import Secret
from bondstone.registry import current_registry
from tests.app.program import SENTINEL, Ended, on_a_terminal

Cli = Callable[..., Ended]
FAILED, USAGE, NOT_FOUND, INVALID_NAME, INVALID_SETTINGS = 1, 2, 3, 6, 8


@pytest.fixture
def saved(home: Path) -> None:
    """Three saves: rows 1 to 3."""
    for name in ("a", "b", "a"):
        Secret(value=SENTINEL).save(name, overwrite=True)


def change(data: Path, statement: str) -> None:
    with closing(sqlite3.connect(data, isolation_level=None)) as raw:
        raw.execute(statement)


def references(cli: Cli, *arguments: str) -> list[str]:
    return [line.split("\t")[3] for line in cli("audit", *arguments).out.splitlines()]


def test_a_part_of_the_log(cli: Cli, saved: None, data: Path) -> None:
    """Of one block, from a time on, page by page; in pages the order is the same."""
    change(data, "UPDATE audit SET at = 1700000000000000 WHERE seq = 1")

    assert references(cli) == ["secret/a@2", "secret/b@1", "secret/a@1"]
    assert references(cli, "--ref", "secret/a") == ["secret/a@2", "secret/a@1"]
    assert references(cli, "--ref", "bondstone://secret/a", "--since", "1h") == ["secret/a@2"]
    assert references(cli, "--limit", "1", "--offset", "1") == ["secret/b@1"]
    assert references(cli, "--since", "2023-11-14T22:13:20") == ["secret/a@2", "secret/b@1", "secret/a@1"]
    assert references(cli, "--since", "2023-11-14T23:13:21+01:00") == ["secret/a@2", "secret/b@1"]
    assert references(cli, "--since", "15000d") == references(cli)
    assert references(cli, "--since", "9999-01-01") == references(cli, "--ref", "secret/none") == []


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--since", SENTINEL], USAGE, "--since is a time"),
        (["--since", "-1h"], USAGE, "--since is a time"),
        (["--since", ""], USAGE, "--since is a time"),
        (["--since", "999999999d"], USAGE, "--since is a time"),
        (["--ref", "secret/a@1"], INVALID_NAME, "write secret/a"),
        (["--ref", f"secret/ema_{SENTINEL}"], INVALID_NAME, "looks like a key"),
        (["verify", "--checkpoint", SENTINEL], USAGE, "cannot be read"),
        (["verify", SENTINEL], USAGE, "too many arguments"),
        ([SENTINEL], USAGE, "no such command"),
    ],
)
def test_what_is_wrong_is_told(cli: Cli, saved: None, arguments: list[str], code: int, told: str) -> None:
    """In one line, without what was typed."""
    ended = cli("audit", *arguments)

    assert (ended.code, ended.out) == (code, "")
    assert told in ended.err
    assert SENTINEL not in ended.err


def test_a_whole_log(cli: Cli, saved: None) -> None:
    """Is told as such, with a word on what is not seen."""
    ended, objects = cli("audit", "verify"), json.loads(cli("audit", "verify", "--json").out)

    assert ended.code == 0
    assert ended.out.splitlines()[0] == "ok\t3\tis the last of 3 rows, none of which was changed or deleted"
    assert "--checkpoint" in ended.out.splitlines()[1]
    assert objects == {"whole": True, "rows": 3, "before_chain": 0, "last": 3, "faults": [], "faulty": 0}


@pytest.mark.parametrize(
    ("statement", "unproved"),
    [
        ("UPDATE audit SET actor = 'you@host:1' WHERE seq = 2", [2]),
        ("UPDATE audit SET mac = zeroblob(36) WHERE seq = 2", [2, 3]),
        ("UPDATE audit SET mac = x'' WHERE seq = 1", [1, 2]),
        ("UPDATE audit SET mac = 'text' WHERE seq = 3", [3]),
        ("DELETE FROM audit WHERE seq = 2", [3]),
        (
            "INSERT INTO audit SELECT 4, at, actor, action, kind, name, version, outcome, mac FROM audit WHERE seq = 3",
            [4],
        ),
        (
            "INSERT INTO audit SELECT 0, at, actor, action, kind, name, version, outcome, x'' FROM audit WHERE seq = 3",
            [0],
        ),
        ("SELECT 1", []),
    ],
)
def test_each_row_is_proved_as_it_is_listed(
    cli: Cli, saved: None, data: Path, statement: str, unproved: list[int]
) -> None:
    """What was changed or put in is shown as such, also where a row before it is not in the listing."""
    change(data, statement)
    with closing(sqlite3.connect(data)) as raw:
        numbers = [row[0] for row in raw.execute("SELECT seq FROM audit ORDER BY seq DESC")]

    ended, objects = cli("audit"), json.loads(cli("audit", "--json").out)
    single = [
        json.loads(cli("audit", "--json", "--limit", "1", "--offset", str(n)).out)[0] for n in range(len(numbers))
    ]

    assert [number for number, row in zip(numbers, objects, strict=True) if not row["proved"]] == unproved[::-1]
    assert single == objects
    assert [
        number for number, line in zip(numbers, ended.out.splitlines(), strict=True) if "not proved" in line
    ] == unproved[::-1]
    assert ("bondstone audit verify" in ended.err) == bool(unproved)


def test_a_listing_beside_a_replaced_root_key(cli: Cli, saved: None) -> None:
    """Rows under the old key and the new one are proved alike."""
    assert cli("key", "rotate").code == 0
    Secret(value=SENTINEL).save("a", overwrite=True)

    assert all(row["proved"] for row in json.loads(cli("audit", "--json").out))


def test_a_changed_log(cli: Cli, saved: None, data: Path) -> None:
    """Names the first row that was changed, and the exit code is 1."""
    change(data, "UPDATE audit SET actor = 'you@host:1' WHERE seq = 2")

    ended, objects = cli("audit", "verify"), json.loads(cli("audit", "verify", "--json").out)

    assert ended.code == FAILED
    assert ended.out.startswith("fail\t2\twas changed")
    assert objects["faults"][0]["seq"] == 2


def test_a_checkpoint(cli: Cli, saved: None, data: Path, tmp_path: Path) -> None:
    """One line, which shows a tail that was cut off, and is refused for another registry."""
    line = cli("audit", "checkpoint").out
    (tmp_path / "kept").write_text(line)
    (tmp_path / "other").write_text(line.replace(current_registry().id, "0" * 32))
    kept = ("audit", "verify", "--checkpoint", str(tmp_path / "kept"))
    before = cli(*kept)

    change(data, "DELETE FROM audit WHERE seq = 3")

    assert line.count("\n") == 1
    assert before == (0, "ok\t3\tis the last of 3 rows, none of which was changed or deleted\n", "")
    assert cli("audit", "verify").code == 0
    assert cli(*kept) == (FAILED, "fail\t3\twas cut off the end\n", "")
    assert cli("audit", "verify", "--checkpoint", str(tmp_path / "other")).code == INVALID_SETTINGS


def test_without_a_registry(cli: Cli) -> None:
    """There is nothing to prove."""
    assert cli("audit", "verify").code == cli("audit", "checkpoint").code == NOT_FOUND


@pytest.mark.parametrize("at", ["'x'", "1e300", "x'00'", str(2**62)])
def test_a_planted_time(cli: Cli, saved: None, data: Path, at: str) -> None:
    """Is shown as unreadable, and the other rows are shown."""
    change(data, f"UPDATE audit SET at = {at} WHERE seq = 3")

    assert cli("audit").out.splitlines()[0].startswith("unreadable\t")
    assert json.loads(cli("audit", "--json").out)[0]["time"] == "unreadable"


def test_on_a_terminal(saved: None) -> None:
    """A heading; the bar is gone at the end."""
    ended = on_a_terminal("audit", "verify")

    assert ended.code == 0
    assert "finding" in ended.out
    assert "is the last of 3 rows" in ended.out
