"""`rotate`, `rollback`, `verify` and `rotations`."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from bondstone.blocks import AccessDenied, Secret, live
from bondstone.blocks.rotator import Guided
from bondstone.registry import current_registry
from tests.app.program import SENTINEL, Ended, bondstone, on_a_terminal

pytestmark = pytest.mark.shows_secrets("new")  # files that the tests hand in, or ask for

Cli = Callable[..., Ended]
USAGE, CONFLICT, INVALID_SETTINGS = 2, 5, 8


@pytest.fixture(autouse=True)
def saved(home: Path) -> None:
    """A secret, whose grace is over at once after `soon`."""
    Secret(value="first").save("a")


@pytest.fixture
def new(tmp_path: Path) -> str:
    """The FIELD that gives the new value."""
    (tmp_path / "new").write_text(SENTINEL + "\n")
    return f"value=@{tmp_path / 'new'}"


def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the grace were over."""
    registry = current_registry()
    real = registry.shared_now
    monkeypatch.setattr(registry, "shared_now", lambda: real() + 301_000_000)


def test_rotate_finish(cli: Cli, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new value is current, and it says what comes next; before its time that is refused."""
    begun = cli("rotate", "secret/a", new)
    early = cli("rotate", "secret/a", "--finish")

    assert begun.code == 0
    assert begun.out.startswith("secret/a@2 is current; version 1 is retired by 'bondstone rotate --due' from 20")
    assert begun.err == "bondstone: by hand, then: revoke the old one at its source\n"
    assert Secret.load("a").get() == SENTINEL
    assert (early.code, early.out) == (CONFLICT, "")
    assert "is in its grace until" in early.err

    soon(monkeypatch)
    done = cli("rotate", "secret/a", "--finish")
    assert done.out == "secret/a@2 is current; the credential of version 1 is not used any more\n"
    assert done.err.startswith("bondstone: by hand, now: revoke")
    assert SENTINEL not in begun.out + begun.err + done.out + done.err


def test_due(cli: Cli, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fit for cron: quiet where nothing is due, each in a line, and an exit code that tells of failures."""
    cli("rotate", "secret/a", new)
    assert cli("rotate", "--due") == Ended(0, "", "")

    soon(monkeypatch)
    done = cli("rotate", "--due", "--json")
    assert [(line["reference"], line["step"]) for line in json.loads(done.out)] == [("secret/a", "retired")]

    cli("rotate", "secret/a", new, "--compromised")
    assert cli("rotate", "--due").out == ""


def test_what_is_due_and_must_wait(cli: Cli, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For what was rolled back by hand a new grace begins. That is told, is no failure, and stops nothing else."""
    Secret(value="first").save("b")
    cli("rotate", "secret/a", new)
    cli("rotate", "secret/b", new)
    current_registry().rollback("secret", "a")
    soon(monkeypatch)

    done = cli("rotate", "--due")

    assert done.code == 0
    assert "secret/a@2 is in its grace until" in done.err
    assert done.out.startswith("secret/b@2 is current; the credential of version 1")


def test_what_is_due_and_was_deleted(cli: Cli, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is at its end: that is no failure, is told once, and so is what a person must look after."""
    cli("rotate", "secret/a", new)
    cli("rm", "secret/a", "--yes")
    soon(monkeypatch)

    done = cli("rotate", "--due")

    assert (done.code, done.out) == (0, "secret/a is deleted; its rotation is at its end\n")
    assert "see at its source that none of its credentials is left" in done.err
    assert cli("rotate", "--due") == Ended(0, "", "")


def test_what_is_due_and_fails(cli: Cli, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code tells."""
    cli("rotate", "secret/a", new)
    soon(monkeypatch)

    def refused(self: object, old: object, block: object) -> None:
        raise AccessDenied("the vendor refuses")

    with monkeypatch.context() as patch:
        patch.setattr(Guided, "retire", refused)
        done = cli("rotate", "--due")

    assert (done.code, done.out, done.err) == (1, "", "bondstone: the vendor refuses\n")
    assert cli("rotate", "--due").code == 0
    assert cli("rotations").out.split("\t")[3] == "retired"


def test_rollback(cli: Cli, new: str) -> None:
    """Said in a line, or as JSON."""
    cli("rotate", "secret/a", new)

    assert cli("rollback", "secret/a").out.startswith("secret/a@1 is current again; version 2 is retired")
    again = cli("rollback", "secret/a")
    assert (again.code, again.out) == (CONFLICT, "")
    assert "cannot be rolled back" in again.err


def test_json(cli: Cli, new: str) -> None:
    """Times in ISO 8601."""
    done = json.loads(cli("rotate", "secret/a", new, "--json").out)

    assert {**done, "retire_at": ""} == {
        "reference": "secret/a",
        "step": "current",
        "version": 2,
        "retires": 1,
        "retire_at": "",
        "verified": None,
        "remedy": "revoke the old one at its source",
    }
    assert datetime.fromisoformat(done["retire_at"]).tzinfo is not None
    (line,) = json.loads(cli("rotations", "--json").out)
    assert (line["reference"], line["step"], line["leased_until"]) == ("secret/a", "current", None)


def test_the_table(cli: Cli, new: str) -> None:
    """One line a block; headed on a terminal."""
    cli("rotate", "secret/a", new)

    with live(Secret, "a").lease(60):
        cells = cli("rotations").out.split("\t")
        shown = on_a_terminal("rotations", columns=160).out

    assert cells[:4] == ["secret/a", "2", "today", "current"]
    assert all(cell.strip() for cell in (cells[4], cells[6]))
    assert all(word in shown for word in ("block", "retires after", "leased until", "secret/a"))


def test_compromised(cli: Cli, new: str) -> None:
    """What will break is told first; then the old one is gone."""
    with live(Secret, "a").lease(60):
        done = cli("rotate", "secret/a", new, "--compromised")

    assert done.code == 0
    assert "what holds the old credential fails until it asks again, for up to 300 s" in done.err
    assert "leased version 1 until" in done.err
    assert done.out == "secret/a@2 is current; the credential of version 1 is not used any more\n"


def test_compromised_on_a_terminal_asks(new: str) -> None:
    """A no changes nothing."""
    done = on_a_terminal("rotate", "secret/a", new, "--compromised", answers=("n",))

    assert done.code == 1
    assert Secret.load("a").version == 1


def test_on_a_terminal_the_secret_is_asked_for() -> None:
    """Hidden, where no field is given."""
    done = on_a_terminal("rotate", "secret/a", answers=(SENTINEL,))

    assert done.code == 0
    assert SENTINEL not in done.out
    assert Secret.load("a").get() == SENTINEL


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["rotate"], USAGE, "give the block to rotate, such as aws-credentials/prod, or --due"),
        (["rotate", "secret/a", "--due"], USAGE, "--due takes no name"),
        (["rotate", "secret/a", "--finish", "--grace", "900"], USAGE, "no --grace"),
        (["rotate", "secret/a", "--compromised", "--grace", "900"], USAGE, "leaves no grace"),
        (["rotate", "secret/a"], INVALID_SETTINGS, "replaced by hand"),
        (["rotate", "secret/a", f"value={SENTINEL}"], 7, "'value' is a secret, and a command line is read by others"),
        (["rotate", "secret/b", "value=-"], 3, "there is no secret named 'b'"),
        (["rotate", "secret/a@1", "value=-"], 6, "names a version"),
        (["verify", "secret/b"], 3, "there is no secret named 'b'"),
        (["rollback", "secret/a"], CONFLICT, "no previous version"),
    ],
)
def test_bad_input(cli: Cli, arguments: list[str], code: int, text: str) -> None:
    """One line that says what to do; nothing changes, nothing is echoed."""
    done = cli(*arguments)

    assert (done.code, done.out) == (code, "")
    assert text in done.err
    assert SENTINEL not in done.err
    assert Secret.load("a").version == 1


def test_a_grace_that_is_too_short(cli: Cli, new: str) -> None:
    """Both numbers are told."""
    done = cli("rotate", "secret/a", new, "--grace", "10")

    assert done.code == INVALID_SETTINGS
    assert "a grace of 10 s is too short: secret/a may be in use for 300 s more" in done.err


def test_the_real_program() -> None:
    """In a process of its own, the value from standard input."""
    done = bondstone("rotate", "secret/a", "value=-", stdin=SENTINEL.encode())

    assert (done.code, Secret.load("a").get()) == (0, SENTINEL)
    assert bondstone("verify", "secret/a").out == "secret/a: nobody can be asked whether it is good\n"
