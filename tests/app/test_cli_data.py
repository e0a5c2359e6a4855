"""`log`, `diff` and `rollback-data`."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from bondstone.blocks import IcechunkRepo
from bondstone.integrations.icechunk import IcechunkCommit, IcechunkTag, connect
from bondstone.integrations.receipts import CommitReceipt
from tests.app.program import Ended, bondstone, on_a_terminal

Cli = Callable[..., Ended]
USAGE, NOT_FOUND = 2, 3


@pytest.fixture
def commits(tmp_path: Path) -> list[CommitReceipt]:
    """Three of a local repository `ocean`; the first one is tagged."""
    IcechunkRepo(path=str(tmp_path / "ocean")).save("ocean")
    made = [commit("g", 1, "First\nof all", key="k1")]
    IcechunkTag("ocean")("released/1")
    return [*made, commit("h", 2, "Second"), commit("g", 3, "Third")]


def commit(group: str, number: int, message: str, key: str | None = None) -> CommitReceipt:
    dataset = xr.Dataset({"sst": ("x", np.full(number, float(number)))})
    return IcechunkCommit("ocean")(dataset, group=group, message=message, key=key)


class TestLog:
    """The versions, newest first."""

    def test_a_line_each(self, cli: Cli, commits: list[CommitReceipt]) -> None:
        """Snapshot, time, message, tags, key; icechunk's own first version too."""
        ended = cli("log", "ocean")

        rows = [line.split("\t") for line in ended.out.splitlines()]
        assert ended.code == 0
        assert [row[0] for row in rows[:3]] == [made.snapshot for made in reversed(commits)]
        assert [row[2:] for row in rows] == [
            ["Third", "", ""],
            ["Second", "", ""],
            ["First\\nof all", "released/1", "k1"],
            ["Repository initialized", "", ""],
        ]

    def test_json(self, cli: Cli, commits: list[CommitReceipt]) -> None:
        """With where each came from; no more than was asked for; by the whole name as well."""
        ended = cli("log", "icechunk-repo/ocean", "--limit", "1", "--json")

        (entry,) = json.loads(ended.out)
        assert (entry["snapshot"], entry["parent"]) == (commits[2].snapshot, commits[1].snapshot)
        assert entry["at"].startswith("20")
        assert entry["metadata"]["bondstone.block"] == "icechunk-repo/ocean"

    @pytest.mark.usefixtures("commits")
    def test_icechunk_says_nothing_of_its_own(self) -> None:
        """It warns of local folders, which bondstone locks."""
        ended = bondstone("log", "ocean", "--limit", "1")

        assert (ended.code, ended.err, ended.out.count("\n")) == (0, "", 1)

    @pytest.mark.parametrize(
        "arguments", [("log", "no"), ("diff", "no", "a"), ("rollback-data", "no", "--to", "a", "--yes")], ids=" ".join
    )
    @pytest.mark.usefixtures("commits")
    def test_a_repository_that_is_not_there(self, cli: Cli, arguments: tuple[str, ...]) -> None:
        """It is told, and none is made."""
        ended = cli(*arguments)

        assert ended.code == NOT_FOUND
        assert "there is no icechunk-repo named 'no'" in ended.err

    @pytest.mark.parametrize("command", [("log",), ("diff", "a"), ("rollback-data", "--to", "a", "--yes")])
    def test_a_repository_that_was_never_made(self, command: tuple[str, ...], cli: Cli, tmp_path: Path) -> None:
        """Looking makes none."""
        IcechunkRepo(path=str(tmp_path / "none")).save("none")

        ended = cli(command[0], "none", *command[1:])

        assert ended.code == NOT_FOUND
        assert "there is no repository at the place of icechunk-repo/none yet" in ended.err
        assert not (tmp_path / "none").exists()


class TestDiff:
    """What changed, without the markers of keys."""

    def test_two_versions(self, cli: Cli, commits: list[CommitReceipt]) -> None:
        """By tag and by snapshot; an array that was written anew is one that changed."""
        added = cli("diff", "ocean", "released/1", commits[1].snapshot)
        changed = cli("diff", "ocean", commits[1].snapshot)

        assert added.out == "added\t/h\t0\nadded\t/h/sst\t1\n"
        assert [line for line in changed.out.splitlines() if "sst" in line] == ["changed\t/g/sst\t1"]
        assert cli("diff", "ocean", "released/1", "released/1").out == ""

    def test_a_marker_is_no_change(self, cli: Cli, commits: list[CommitReceipt]) -> None:
        """What proves a key is ours."""
        commit("g", 3, "again", key="k2")

        ended = cli("diff", "ocean", commits[2].snapshot, "--json")

        assert {item["path"].split("/")[1] for item in json.loads(ended.out)} == {"g"}

    def test_the_newer_first(self, cli: Cli, commits: list[CommitReceipt]) -> None:
        """It is told which comes first."""
        ended = cli("diff", "ocean", commits[1].snapshot, "released/1")

        assert ended.code == NOT_FOUND
        assert ended.err == (
            f"bondstone: {commits[1].snapshot} is not in the history of {commits[0].snapshot}: "
            "give the older version first; see 'bondstone log'\n"
        )


class TestRollback:
    """Readers see an earlier version."""

    def test_and_back(self, cli: Cli, commits: list[CommitReceipt]) -> None:
        """As the note says that comes with it."""
        ended = cli("rollback-data", "ocean", "--to", "released/1", "--yes")
        shown = connect("ocean").lookup_branch("main")
        again = cli("rollback-data", "ocean", "--to", commits[0].snapshot, "--yes")
        undo = ended.err.strip().removeprefix("bondstone: to undo that: bondstone ").split()
        cli(*undo)

        assert ended.out == f"icechunk-repo/ocean shows {commits[0].snapshot} again\n"
        assert shown == commits[0].snapshot
        assert again.out == f"icechunk-repo/ocean shows {shown} already\n"
        assert connect("ocean").lookup_branch("main") == commits[2].snapshot

    def test_json(self, cli: Cli, commits: list[CommitReceipt]) -> None:
        """The receipt."""
        ended = cli("rollback-data", "ocean", "--to", "released/1", "--yes", "--json")

        assert json.loads(ended.out)["undo"] == commits[2].snapshot

    def test_nobody_to_ask(self, cli: Cli, commits: list[CommitReceipt]) -> None:
        """It changes nothing without --yes."""
        ended = cli("rollback-data", "ocean", "--to", "released/1")

        assert ended.code == USAGE
        assert "add --yes" in ended.err
        assert connect("ocean").lookup_branch("main") == commits[2].snapshot

    @pytest.mark.parametrize(("answer", "shows"), [("y", 0), ("n", 2)])
    def test_on_a_terminal(self, commits: list[CommitReceipt], answer: str, shows: int) -> None:
        """It lists what is undone, and asks."""
        ended = on_a_terminal("rollback-data", "ocean", "--to", "released/1", answers=(answer,))

        listed = [made.snapshot in ended.out.partition("[y/N]")[0] for made in commits]
        assert listed == [False, True, True]
        assert connect("ocean").lookup_branch("main") == commits[shows].snapshot
