"""Undo, and names for versions."""

import icechunk
import numpy as np
import pytest

from bondstone.blocks import AccessDenied, Conflict, InvalidName, NotFound
from bondstone.integrations.icechunk import (
    IcechunkCommit,
    IcechunkRollback,
    IcechunkTag,
    connect,
    history,
    write_session,
)
from bondstone.integrations.icechunk.repo import Own
from bondstone.integrations.icechunk.repo import repo as repo_of
from tests.integrations.conftest import Account, both, save
from tests.integrations.oceans import messages, put, sea, values


@pytest.fixture(params=["local", "ocean"])
def repo(request: pytest.FixtureRequest, reports: Account) -> str:
    """The name of a repository in a local folder, and of one in a bucket."""
    return str(request.param)


def write(repo: str, number: int) -> str:
    """The snapshot of a commit."""
    with write_session(repo, message=str(number)) as session:
        put(session, "a", number)
    return session.snapshot_id


class TestRollingBack:
    """What readers see is an earlier version again."""

    def test_to_a_snapshot_and_back(self, repo: str) -> None:
        """The undo id of the receipt restores what was there."""
        first, second, third = (write(repo, number) for number in range(3))
        rollback = IcechunkRollback(repo)

        done = rollback(to=first)

        assert (done.snapshot, done.undo, done.branch, done.changed) == (first, third, "main", True)
        assert (done.block, done.version) == (f"icechunk-repo/{repo}", 1)
        assert messages(repo) == ["0"]
        np.testing.assert_array_equal(values(repo, "a"), sea(0).sst)
        assert rollback(to=done.undo).undo == first
        assert messages(repo) == ["2", "1", "0"]
        assert second in {item.id for item in connect(repo).ancestry(branch="main")}

    def test_to_a_tag(self, repo: str) -> None:
        """By its name."""
        first = write(repo, 1)
        IcechunkTag(repo)("released/2026-11")
        write(repo, 2)

        assert IcechunkRollback(repo)(to="released/2026-11").snapshot == first

    def test_to_what_is_shown(self, repo: str) -> None:
        """Changes nothing, and says so."""
        first = write(repo, 1)

        done = IcechunkRollback(repo)(to=first)

        assert (done.changed, done.undo, messages(repo)) == (False, first, ["1"])

    @pytest.mark.parametrize("to", ["nope", "", "ZZZZZZZZZZZZZZZZZZZZ", "../x"])
    def test_to_what_is_not_there(self, to: str, repo: str) -> None:
        """It is told, and nothing moves."""
        first = write(repo, 1)

        with pytest.raises(NotFound, match="there is no such snapshot or tag, or it has expired"):
            IcechunkRollback(repo)(to=to)

        assert connect(repo).lookup_branch("main") == first

    def test_a_commit_since_one_looked(self, repo: str) -> None:
        """It is not undone unseen."""
        first, second = write(repo, 1), write(repo, 2)
        third = write(repo, 3)

        with pytest.raises(Conflict) as caught:
            IcechunkRollback(repo)(to=first, seen=second)

        assert str(caught.value) == f"icechunk-repo/{repo} shows {third} by now: look again at what would be undone"
        assert connect(repo).lookup_branch("main") == third
        assert IcechunkRollback(repo)(to=first, seen=third).undo == third

    def test_a_commit_in_this_moment(self, repo: str) -> None:
        """Between looking and moving: a compare-and-swap, also in a local folder, where the lock is held."""
        first, second = write(repo, 1), write(repo, 2)
        third = write(repo, 3)
        target = repo_of(repo)

        with pytest.raises(Conflict, match=r"somebody has committed to icechunk-repo/\w+ in this moment"):
            history.moved(target, target.open(), first, second)

        assert connect(repo).lookup_branch("main") == third

    def test_an_answer_that_was_lost(self, repo: str) -> None:
        """The branch has moved already: that is no failure."""
        first, second = write(repo, 1), write(repo, 2)
        target = repo_of(repo)
        target.open().reset_branch("main", first)

        history.moved(target, target.open(), first, second)

        assert connect(repo).lookup_branch("main") == first

    def test_a_local_rollback_holds_the_lock(self, reports: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        """As tags do: both write the repository's own file, which icechunk cannot compare and swap there."""
        held: list[str] = []
        real = Own.lock

        def lock(self: Own) -> object:
            held.append(str(self.handle.reference))
            return real(self)

        first = write("local", 1)
        write("local", 2)
        monkeypatch.setattr(Own, "lock", lock)

        IcechunkRollback("local")(to=first)
        IcechunkTag("local")("x")

        assert held == ["icechunk-repo/local"] * 2

    def test_keys_of_what_was_undone(self, repo: str) -> None:
        """They may be committed again: their data is not there any more."""
        commit = IcechunkCommit(repo)
        first = commit(sea(1), group="g", message="first", key="1")
        commit(sea(2), group="g", message="second", key="2")

        IcechunkRollback(repo)(to=first.snapshot)

        assert commit(sea(1), group="g", message="again", key="1").already
        assert not commit(sea(3), group="g", message="corrected", key="2").already

    @both
    def test_a_replaced_and_a_revoked_key(self, reports: Account) -> None:
        """The one is found by asking again; the other is told with the block to renew."""
        first = write("ocean", 1)
        write("ocean", 2)
        rollback = IcechunkRollback("ocean", ttl=300)

        reports.rotate()
        done = rollback(to=first)
        reports.revoke()

        assert done.snapshot == first
        with pytest.raises(AccessDenied, match="save a new version of aws-credentials/prod"):
            IcechunkRollback("ocean")(to=done.undo)

    def test_another_branch(self, repo: str) -> None:
        """Is that of the block; one that is not there is told."""
        write(repo, 1)
        block = repo_of(repo).handle.get()
        place = {"path": block.path} if block.path else {"bucket": block.bucket, "prefix": block.prefix}
        save("icechunk-repo/none", **place, branch="none")

        with pytest.raises(NotFound, match="there is no branch 'none'"):
            IcechunkTag("none")("x")


class TestTagging:
    """A name that is never moved."""

    def test_what_the_branch_shows(self, repo: str) -> None:
        """Or another snapshot, by its id or by another tag."""
        first, second = write(repo, 1), write(repo, 2)
        tag = IcechunkTag(repo)

        newest, older, same = tag("new"), tag("old", snapshot=first), tag("older", snapshot="old")

        assert (newest.tag, newest.snapshot, newest.already) == ("new", second, False)
        assert older.snapshot == same.snapshot == connect(repo).lookup_tag("old") == first

    def test_a_second_time(self, repo: str) -> None:
        """The same is no failure; another snapshot is."""
        first, second = write(repo, 1), write(repo, 2)
        tag = IcechunkTag(repo)
        tag("x", snapshot=first)

        assert tag("x", snapshot=first).already
        with pytest.raises(Conflict) as caught:
            tag("x", snapshot=second)

        assert str(caught.value) == f"'x' is the tag of {first}: use another name"

    def test_a_tag_that_was_deleted(self, repo: str) -> None:
        """Icechunk makes none of that name again."""
        write(repo, 1)
        IcechunkTag(repo)("x")
        connect(repo).delete_tag("x")

        with pytest.raises(Conflict, match="'x' was deleted, and a deleted tag cannot be made again: use another name"):
            IcechunkTag(repo)("x")

    @pytest.mark.parametrize("tag", ["", " ", "../x", "a//b", "/a", "a/", ".", "a\nb", "a/../b"])
    def test_what_is_no_name(self, tag: str, reports: Account) -> None:
        """Icechunk takes these."""
        write("local", 1)
        connect("local").create_tag(tag, connect("local").lookup_branch("main"))

        with pytest.raises(InvalidName, match="a tag is a name such as '2026-11'"):
            IcechunkTag("local")(tag)

    def test_icechunk_alone_takes_any(self, reports: Account) -> None:
        """A reader's tag is what the task made: the vendor's own session opens it."""
        write("local", 1)
        IcechunkTag("local")("released/ä 1")

        session = connect("local").readonly_session(tag="released/ä 1")

        assert isinstance(session, icechunk.Session)
