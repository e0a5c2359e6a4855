"""Submodules: fetched with the credential where they are on its host, and from no place that a repository should not name."""

import pickle
from pathlib import Path

import pytest

from bondstone.blocks import AccessDenied, Conflict, NotFound
from bondstone.cli.demo.hunt import hunt
from bondstone.integrations.git import GitCheckout
from bondstone.integrations.receipts import CheckoutReceipt
from tests.integrations.git_host import FIRST, SECRETS, GitHost, commit, fails, git_host, sh

LOCAL = ("-c", "protocol.file.allow=always")


@pytest.fixture
def library(host: GitHost, tmp_path: Path) -> Path:
    """`library.git` on the host, which `flows.git` has as its submodule `lib` by a relative URL; where it is worked on."""
    work = tmp_path / "library"
    work.mkdir()
    sh(work, "init", "-q", "-b", "main")
    commit(work, "one")
    sh(tmp_path, "clone", "-q", "--bare", "library", "root/library.git")
    linked(tmp_path, "../library.git")
    return work


def linked(tmp_path: Path, url: str) -> None:
    """Let `flows.git` have the submodule `lib` at `url`."""
    work = tmp_path / "work"
    sh(work, *LOCAL, "submodule", "--quiet", "add", "--force", str(tmp_path / "root/library.git"), "lib")
    sh(work, "config", "-f", ".gitmodules", "submodule.lib.url", url)
    commit(work, "with lib")
    sh(work, "push", "-q", "../root/flows.git", "main")


def test_they_are_fetched(library: Path, host: GitHost, tmp_path: Path) -> None:
    """And followed; nothing of the token stays in any of the repositories."""
    checkout = GitCheckout("flows", submodules=True)
    checkout(tmp_path / "down")
    commit(library, "two")
    sh(library, "push", "-q", "../root/library.git", "main")
    sh(tmp_path / "work/lib", *LOCAL, "pull", "-q", "origin", "main")
    commit(tmp_path / "work", "newer lib")
    sh(tmp_path / "work", "push", "-q", "../root/flows.git", "main")
    first = (tmp_path / "down/lib/file").read_text()

    checkout(tmp_path / "down")

    assert (first, (tmp_path / "down/lib/file").read_text()) == ("one", "two")
    assert not hunt(SECRETS, tmp_path / "down")


def test_they_are_left_out_unless_asked_for(library: Path, host: GitHost, tmp_path: Path) -> None:
    """Nobody asks their host."""
    GitCheckout("flows")(tmp_path / "down")

    assert not list((tmp_path / "down/lib").iterdir())
    assert not [path for path, _ in host.asked if "library" in path]


def test_another_host_gets_no_token(library: Path, host: GitHost, tmp_path: Path) -> None:
    """A repository of somebody else could name any; nothing half-done is left."""
    with git_host(tmp_path / "root", FIRST) as other:
        linked(tmp_path, f"{other.url}/library.git")

        text = fails(AccessDenied, lambda: GitCheckout("flows", submodules=True)(tmp_path / "down"))

        assert text.startswith(f"a submodule of {host.url}/flows.git refused the request")
        assert other.asked
        assert not [said for _, said in other.asked if said]
        assert not (tmp_path / "down").exists()


def test_a_folder_of_this_machine_is_none(library: Path, host: GitHost, tmp_path: Path) -> None:
    """A private repository of the user's would be copied into a folder that others may read."""
    linked(tmp_path, f"file://{tmp_path}/root/library.git")

    text = fails(AccessDenied, lambda: GitCheckout("flows", submodules=True)(tmp_path / "down"))

    assert "not fetched by that kind of URL" in text
    assert not (tmp_path / "down").exists()


def test_an_empty_folder_stays_empty_after_a_failure(library: Path, host: GitHost, tmp_path: Path) -> None:
    """And is there, as before."""
    linked(tmp_path, f"{host.url}/none.git")
    (tmp_path / "down").mkdir()

    text = fails(NotFound, lambda: GitCheckout("flows", submodules=True)(tmp_path / "down"))

    assert "no repository at a submodule" in text
    assert not list((tmp_path / "down").iterdir())


def test_one_that_lags_behind_is_brought_up_to_date(library: Path, host: GitHost, tmp_path: Path) -> None:
    """After a failure between the two; that is no change of the user's."""
    GitCheckout("flows", submodules=True)(tmp_path / "down")
    commit(library, "two")
    sh(library, "push", "-q", "../root/library.git", "main")
    sh(tmp_path / "work/lib", *LOCAL, "pull", "-q", "origin", "main")
    commit(tmp_path / "work", "newer lib")
    sh(tmp_path / "work", "push", "-q", "../root/flows.git", "main")
    GitCheckout("flows")(tmp_path / "down")

    GitCheckout("flows", submodules=True)(tmp_path / "down")

    assert (tmp_path / "down/lib/file").read_text() == "two"


def test_changes_in_one_are_not_overwritten(library: Path, host: GitHost, tmp_path: Path) -> None:
    """As in the repository itself."""
    GitCheckout("flows", submodules=True)(tmp_path / "down")
    (tmp_path / "down/lib/file").write_text("mine")
    commit(library, "two")
    sh(library, "push", "-q", "../root/library.git", "main")
    sh(tmp_path / "work/lib", *LOCAL, "pull", "-q", "origin", "main")
    commit(tmp_path / "work", "newer lib")
    sh(tmp_path / "work", "push", "-q", "../root/flows.git", "main")

    fails(Conflict, lambda: GitCheckout("flows", submodules=True)(tmp_path / "down"))

    assert (tmp_path / "down/lib/file").read_text() == "mine"


def test_the_task_is_a_name(host: GitHost, tmp_path: Path) -> None:
    """It pickles to that; the receipt is fit for a log."""
    checkout = pickle.loads(pickle.dumps(GitCheckout("flows")))

    receipt = checkout(tmp_path / "down")

    assert checkout == GitCheckout("flows")
    commit_id = sh(tmp_path / "work", "rev-parse", "HEAD")
    uri, folder = f"{host.url}/flows.git", str(tmp_path / "down")
    assert receipt == CheckoutReceipt(uri, "git-repository/flows", 1, commit_id, folder)
