"""What is deleted, and what never is: neither a version that somebody keeps, nor what a session is about to commit."""

import os
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import icechunk
import numpy as np
import pytest
import zarr

from bondstone.blocks import Conflict, IcechunkRepo
from bondstone.integrations.icechunk import (
    IcechunkCommit,
    IcechunkGarbageCollect,
    IcechunkRetention,
    connect,
    cutoffs,
    write_session,
)
from bondstone.integrations.icechunk.policy import KEPT, Policy, planned
from bondstone.integrations.icechunk.versions import Versions
from bondstone.integrations.receipts import Freed
from bondstone.registry.log import actor
from tests.integrations.conftest import Account, elsewhere, save
from tests.integrations.oceans import messages, put, sea, values

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(params=["local", "ocean"])
def repo(request: pytest.FixtureRequest, reports: Account) -> str:
    """The name of a repository in a local folder, and of one in a bucket."""
    return str(request.param)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Storage dates what is written by its own clock: without the ten minutes of waiting, tests can see something go."""
    monkeypatch.setattr(cutoffs, "FLOOR", timedelta(0))
    monkeypatch.setattr(cutoffs, "SKEW", timedelta(0))


def write(repo: str, name: str, number: int, rows: int = 4) -> str:
    """The snapshot of a commit that writes one array."""
    with write_session(repo, message=f"{name} {number}") as session:
        put(session, name, number, rows)
    return session.snapshot_id


def discard(repo: str) -> None:
    """Leave four chunks behind that nobody needs."""
    session = connect(repo).writable_session("main")
    put(session, "gone", 9)
    session.discard_changes()


class TestOpenSessions:
    """What was written is there when it is committed."""

    def test_icechunk_alone(self, repo: str) -> None:
        """Its collection takes the chunks; the commit succeeds, and reading fails: this is what is guarded against."""
        session = connect(repo).writable_session("main")
        put(session, "a", 1)

        connect(repo).garbage_collect(datetime.now(UTC))

        session.commit("succeeds")
        with pytest.raises(icechunk.StorageError, match="not found"):
            values(repo, "a")

    @pytest.mark.usefixtures("at_once")
    def test_a_collection_is_refused(self, repo: str) -> None:
        """With who writes and since when; a moment before is not, and the commit is whole."""
        began = datetime.now(UTC)
        with write_session(repo) as session:
            put(session, "a", 1)
            for dry_run in (True, False):
                with pytest.raises(Conflict) as caught:
                    IcechunkGarbageCollect(repo)(older_than=datetime.now(UTC), dry_run=dry_run)
            IcechunkGarbageCollect(repo)(older_than=began)

        assert str(caught.value).startswith(
            f"{actor()} has been writing into icechunk-repo/{repo} since {began:%Y-%m-%d }"
        )
        np.testing.assert_array_equal(values(repo, "a"), sea(1).sst)

    def test_from_another_process(self, repo: str) -> None:
        """The registry tells it."""
        program = (
            "import datetime\n"
            "from bondstone.blocks import Conflict\n"
            "try:\n"
            "    it(older_than=datetime.timedelta(hours=-1))\n"
            "except Conflict as error:\n"
            "    print(error)\n"
        )
        with write_session(repo) as session:
            put(session, "a", 1)
            told = elsewhere(program, IcechunkGarbageCollect(repo))

        assert told.startswith(f"{actor()} has been writing into icechunk-repo/{repo} since 20")
        np.testing.assert_array_equal(values(repo, "a"), sea(1).sst)

    @pytest.mark.usefixtures("at_once")
    def test_by_another_name(self, repo: str) -> None:
        """Two blocks that lead to one place; sessions of other places count for nothing."""
        block = IcechunkRepo.load(repo)
        place = {"path": block.path} if block.path else {"bucket": block.bucket, "prefix": block.prefix}
        save("icechunk-repo/alias", **place)
        save("icechunk-repo/other", path=f"{os.environ['HOME']}/other")

        with write_session("other"):
            IcechunkGarbageCollect(repo)(older_than=timedelta(0))
        with write_session("alias"), pytest.raises(Conflict, match="has been writing into icechunk-repo/alias since"):
            IcechunkGarbageCollect(repo)(older_than=timedelta(0))

    def test_short_sessions_need_no_lease(self, repo: str) -> None:
        """Nothing younger than ten minutes is collected, nor expired."""
        text = f"a session of icechunk-repo/{repo} that began 10 min ago may be open: collect what is older than that"
        with pytest.raises(Conflict) as caught:
            IcechunkGarbageCollect(repo)(older_than=timedelta(minutes=9))
        with pytest.raises(Conflict) as caught_too:
            IcechunkRetention(repo, keep_for=timedelta(minutes=9))()

        assert str(caught.value) == str(caught_too.value) == text
        assert IcechunkGarbageCollect(repo)(older_than=timedelta(minutes=10)).freed == Freed()

    def test_icechunk_alone_expires_what_a_session_began_with(self, repo: str) -> None:
        """Then it cannot read what it is about to change, however old the cutoff of the collection: this is guarded against, too."""
        write(repo, "a", 1)
        session = connect(repo).writable_session("main")
        array = zarr.open_array(session.store, path="a")
        began = datetime.now(UTC)
        write(repo, "a", 2)

        connect(repo).expire_snapshots(datetime.now(UTC))
        connect(repo).garbage_collect(began)

        with pytest.raises(icechunk.StorageError, match="not found"):
            array[:]

    @pytest.mark.usefixtures("at_once")
    def test_what_a_session_began_with_is_kept(self, repo: str) -> None:
        """Though it is older than the policy says, and others have committed since."""
        base = write(repo, "a", 1)
        old_enough = datetime.now(UTC)
        with write_session(repo, message="late") as session:
            array = zarr.open_array(session.store, path="a")
            write(repo, "a", 2)
            done = IcechunkRetention(repo, keep_for=datetime.now(UTC) - old_enough, keep_last=1)()
            put(session, "b", np.asarray(array[:]))

        assert done.expired == ()
        assert base in {item.id for item in connect(repo).ancestry(branch="main")}
        np.testing.assert_array_equal(values(repo, "b"), sea(1).sst)


@pytest.mark.usefixtures("at_once")
class TestCollecting:
    """What nobody needs goes."""

    def test_what_was_discarded(self, repo: str) -> None:
        """A dry run tells the same and deletes nothing."""
        write(repo, "a", 1)
        discard(repo)
        collect = IcechunkGarbageCollect(repo)

        dry = collect(older_than=timedelta(0), dry_run=True)
        done = collect(older_than=timedelta(0))
        again = collect(older_than=timedelta(0))

        assert (dry.dry_run, done.dry_run) == (True, False)
        assert dry.freed == done.freed
        assert done.freed.chunks == 4
        assert done.freed.bytes > 4 * 4096
        assert (done.block, again.freed) == (f"icechunk-repo/{repo}", Freed())
        np.testing.assert_array_equal(values(repo, "a"), sea(1).sst)

    def test_what_is_younger_stays(self, repo: str) -> None:
        """The cutoff is a moment or a span; a moment without a time zone is not one."""
        discard(repo)
        collect = IcechunkGarbageCollect(repo)

        assert collect(older_than=timedelta(hours=1)).freed == Freed()
        assert collect(older_than=datetime.now(UTC) - timedelta(hours=1)).freed == Freed()
        with pytest.raises(ValueError, match="older_than has no time zone"):
            collect(older_than=datetime.now())  # noqa: DTZ005 -- that is what is refused

    def test_a_replaced_key(self, reports: Account) -> None:
        """Is found by asking again."""
        discard("ocean")
        collect = IcechunkGarbageCollect("ocean", ttl=300)
        collect(older_than=timedelta(hours=1))

        reports.rotate()

        assert collect(older_than=timedelta(0)).freed.chunks == 4


@pytest.mark.usefixtures("at_once")
class TestExpiring:
    """Versions go as the plan said."""

    def test_the_plan_is_what_happens(self, repo: str) -> None:
        """Versions, chunks and bytes; of arrays written over, in parts and whole, grown, and removed; with garbage there already."""
        self._some_history(repo)
        discard(repo)
        retention = IcechunkRetention(repo, keep_for=timedelta(0), keep_last=2)
        history = [item.id for item in connect(repo).ancestry(branch="main")]

        plan = retention.plan()
        unchanged = [item.id for item in connect(repo).ancestry(branch="main")]
        done = retention()

        assert unchanged == history
        assert plan.expired == done.expired == tuple(reversed(history[2:-1]))
        assert (plan.freed.snapshots, plan.freed.chunks, plan.freed.bytes) == (
            len(done.expired),
            done.freed.chunks,
            _chunks(repo, plan, done),
        )
        assert [item.id for item in connect(repo).ancestry(branch="main")] == [*history[:2], history[-1]]
        np.testing.assert_array_equal(values(repo, "a")[1:4], sea(4).sst[1:])

    def test_again_after_more_commits(self, repo: str) -> None:
        """What the oldest version inherited from those that went before counts when it goes."""
        self._some_history(repo)
        retention = IcechunkRetention(repo, keep_for=timedelta(0), keep_last=1)
        retention()
        write(repo, "a", 5)
        write(repo, "c", 6)

        plan, done = retention.plan(), retention()

        assert plan.expired == done.expired
        assert plan.freed.chunks == done.freed.chunks == 8

    def test_what_has_a_name_is_kept(self, repo: str) -> None:
        """Tags and other branches: what they show, not what was before it."""
        snapshots = [write(repo, "a", number) for number in range(5)]
        connect(repo).create_tag("released", snapshots[1])
        connect(repo).create_branch("draft", snapshots[2])

        plan = IcechunkRetention(repo, keep_for=timedelta(0), keep_last=1).plan()
        done = IcechunkRetention(repo, keep_for=timedelta(0), keep_last=1)()

        assert plan.expired == done.expired == (snapshots[0], snapshots[3])
        assert plan.freed.chunks == done.freed.chunks == 8
        for number in (1, 2, 4):
            np.testing.assert_array_equal(values(repo, "a", snapshots[number]), sea(number).sst)

    def test_the_last_of_each_day_is_tagged(self, repo: str) -> None:
        """And is let go when it is not wanted any more."""
        snapshots = [write(repo, "a", number) for number in range(3)]
        write(repo, "a", 3)
        first = IcechunkRetention(repo, keep_for=timedelta(0), keep_last=1, daily_for=DAY)
        connect(repo).create_tag("mine", snapshots[0])

        kept = first()
        write(repo, "a", 4)
        assert first.plan().untagged == ()
        dropped = IcechunkRetention(repo, keep_for=timedelta(0), keep_last=1)()

        assert kept.tagged == ()
        assert set(connect(repo).list_tags()) == {"mine"}
        assert snapshots[0] not in (*kept.expired, *dropped.expired)

    def test_keys_outlive_their_versions(self, repo: str) -> None:
        """What was committed with a key is not committed again."""
        commit = IcechunkCommit(repo)
        commit(sea(1), group="g", message="first", key="2026-11")
        last = commit(sea(2), group="other", message="other")

        IcechunkRetention(repo, keep_for=timedelta(0), keep_last=1)()

        again = commit(sea(1), group="g", message="again", key="2026-11")
        assert (again.already, again.snapshot) == (True, last.snapshot)
        assert messages(repo) == ["other"]

    def test_a_reader_of_a_version_that_went(self, repo: str) -> None:
        """Meets an error of the storage, not other data; readers of the newest version notice nothing."""
        old = write(repo, "a", 1)
        reading = connect(repo).readonly_session(snapshot_id=old)
        array = zarr.open_array(reading.store, path="a", mode="r")
        write(repo, "a", 2)

        IcechunkRetention(repo, keep_for=timedelta(0), keep_last=1)()

        with pytest.raises(icechunk.StorageError, match="not found"):
            array[:]
        np.testing.assert_array_equal(values(repo, "a"), sea(2).sst)

    def _some_history(self, repo: str) -> None:
        write(repo, "a", 1)
        write(repo, "b", 2)
        write(repo, "a", 3)
        with write_session(repo) as session:
            zarr.open_array(session.store, path="a")[1:4] = sea(4).sst.values[1:]
        with write_session(repo) as session:
            array = zarr.open_array(session.store, path="a")
            array.append(sea(5, 2).sst.values)
        with write_session(repo) as session:
            del zarr.open_group(session.store)["b"]
        write(repo, "c", 6, 2)


class TestPolicies:
    """Which versions a policy keeps; times by argument."""

    def test_by_age_and_by_number(self) -> None:
        """What is younger, and at least so many."""
        daily = history(*(NOW - number * DAY for number in range(10)))

        assert expired(daily, moment=NOW - 4.5 * DAY, keep_last=1) == ["9", "8", "7", "6", "5"]
        assert expired(daily, moment=NOW - 4.5 * DAY, keep_last=8) == ["9", "8"]
        assert expired(daily, moment=NOW - 4.5 * DAY, keep_last=100) == []

    def test_the_last_of_each_day_and_month(self) -> None:
        """As far back as is said; a day whose last version is kept anyway needs no tag."""
        hours = history(*(NOW - number * timedelta(hours=8) for number in range(12)))

        plan = plan_of(hours, moment=NOW - timedelta(hours=9), policy=Policy(1, 3 * DAY, None))

        assert sorted(plan.tagged.values()) == ["2", "5", "8"]
        assert all(tag.startswith(f"{KEPT}2026-11-") for tag in plan.tagged)
        assert plan.expired == ("11", "10", "9", "7", "6", "4", "3")
        months = history(*(NOW - number * 10 * DAY for number in range(8)))
        assert sorted(plan_of(months, moment=NOW - DAY, policy=Policy(1, None, 365 * DAY)).tagged.values()) == [
            "3",
            "6",
        ]

    def test_what_is_tagged_stays_as_long_as_it_is_wanted(self) -> None:
        """Though it is in no branch's history any more."""
        tags = {f"{KEPT}2026-11-18-x": history(NOW - 3 * DAY, name="old"), "mine": history(NOW - 9 * DAY, name="mine")}

        wanted = plan_of(history(NOW), tags, moment=NOW, policy=Policy(1, 5 * DAY, None))
        not_wanted = plan_of(history(NOW), tags, moment=NOW, policy=Policy(1, 2 * DAY, None))

        assert (wanted.tagged, wanted.untagged, wanted.expired) == ({}, set(), ())
        assert (not_wanted.untagged, not_wanted.expired) == ({f"{KEPT}2026-11-18-x"}, ("old0",))

    def test_the_base_of_a_session(self) -> None:
        """What was the newest version when the oldest session began, of every branch; not where nobody has committed since."""
        daily = history(*(NOW - number * DAY for number in range(10)))

        assert expired(daily, moment=NOW - DAY, oldest=NOW - 4.5 * DAY) == ["9", "8", "7", "6"]
        assert expired(daily[3:], moment=NOW - DAY, oldest=NOW - 2 * DAY) == ["9", "8", "7", "6", "5", "4"]


def _chunks(repo: str, plan: Any, done: Any) -> int:
    """The bytes of chunks that went; those of versions and their lists, which no plan counts, are less than one chunk's each."""
    extra = done.freed.bytes - plan.freed.bytes
    assert 0 <= extra < 8192 * (done.freed.snapshots + done.freed.manifests)
    return int(plan.freed.bytes)


def history(*times: datetime, name: str = "") -> list[Any]:
    """Versions, newest first, and the one that icechunk makes."""
    items = [SimpleNamespace(id=f"{name}{n}", written_at=time, parent_id="x") for n, time in enumerate(times)]
    return [*items, SimpleNamespace(id="first", written_at=datetime(2020, 1, 1, tzinfo=UTC), parent_id=None)]


def plan_of(
    main: list[Any],
    tags: dict[str, list[Any]] | None = None,
    *,
    policy: Policy,
    moment: datetime,
    oldest: datetime = NOW,
) -> Any:
    return planned(policy, Versions({"main": main}, tags or {}), "main", moment=moment, today=NOW, oldest=oldest)


def expired(main: list[Any], *, moment: datetime, keep_last: int = 1, oldest: datetime = NOW) -> list[str]:
    return list(plan_of(main, policy=Policy(keep_last, None, None), moment=moment, oldest=oldest).expired)
