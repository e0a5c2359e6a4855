"""Commits under what befalls flows: threads and processes at once, kills, lost answers, keys that go. None is lost, none is doubled."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import xarray as xr

from bondstone.blocks import AccessDenied, Conflict
from bondstone.integrations.icechunk import IcechunkCommit, connect
from bondstone.integrations.receipts import CommitReceipt
from tests.integrations.between import Answer, between
from tests.integrations.commits import check, commit, commit_all, commit_when_ready, layer, messages
from tests.integrations.conftest import BUCKET, Account, save
from tests.integrations.forked import begin, ended, wait_for
from tests.integrations.stand_in import Asked

pytestmark = pytest.mark.filterwarnings("ignore:.*consolidated.*:RuntimeWarning")

THREADS, PROCESSES = 12, 4

type Treat = Callable[[Asked, Callable[[], Answer]], Answer | None]


@pytest.fixture(params=["local", "ocean"])
def repo(request: pytest.FixtureRequest, reports: Account) -> str:
    """The name of a repository in a local folder, and of one in a bucket."""
    return str(request.param)


class TestThreads:
    """Twelve at once."""

    @pytest.mark.parametrize("group", ["", "shared"], ids=["a group each", "one group"])
    def test_a_key_each(self, group: str, repo: str) -> None:
        """Each is committed once, and knows which version it made."""
        receipts = at_once(lambda number: commit(repo, number, group))

        history = {
            snapshot.id: (snapshot.parent_id, snapshot.message) for snapshot in connect(repo).ancestry(branch="main")
        }
        assert sorted(messages(repo)) == list(range(THREADS))
        for number, receipt in enumerate(receipts):
            assert history[receipt.snapshot] == (receipt.parent, str(number))
            assert not receipt.already
        if group:
            assert read(repo, group).attrs["number"] == messages(repo)[-1]
        else:
            check(repo, range(THREADS))

    def test_one_key(self, repo: str) -> None:
        """One of them commits, and all are told its snapshot."""
        receipts = at_once(lambda _: commit(repo, 7))

        assert len({receipt.snapshot for receipt in receipts}) == 1
        assert sorted(receipt.already for receipt in receipts) == [False] + [True] * (THREADS - 1)
        check(repo, [7])

    def test_one_key_for_different_data(self, repo: str) -> None:
        """One of them commits, the others are refused."""

        def attempt(number: int) -> CommitReceipt | None:
            with suppress(Conflict):
                return IcechunkCommit(repo)(layer(number), group="g", message=str(number), key="one")
            return None

        (receipt,) = filter(None, at_once(attempt))

        assert [receipt.snapshot] == [snapshot.id for snapshot in connect(repo).ancestry(branch="main")][:-1]
        xr.testing.assert_identical(read(repo, "g"), layer(messages(repo)[0]))


class TestProcesses:
    """Four at once, many commits each."""

    @pytest.mark.parametrize("times", [15, pytest.param(100, marks=pytest.mark.slow)])
    def test_a_key_each(self, times: int, repo: str) -> None:
        """Icechunk alone loses 4 to 7 of 100 in a local folder."""
        connect(repo)
        writers = [begin(commit_all, repo, range(who, PROCESSES * times, PROCESSES)) for who in range(PROCESSES)]

        assert ended(*writers, within=250) == [0] * PROCESSES

        check(repo, range(PROCESSES * times))

    def test_into_one_group(self, repo: str) -> None:
        """Each replaces what the others wrote; the last one is whole."""
        writers = [begin(commit_all, repo, range(who, 12, PROCESSES), "shared") for who in range(PROCESSES)]

        assert ended(*writers) == [0] * PROCESSES

        assert sorted(messages(repo)) == list(range(12))
        xr.testing.assert_identical(read(repo, "shared"), layer(messages(repo)[-1]))

    def test_the_same_keys(self, repo: str) -> None:
        """As of a flow that was started four times."""
        writers = [begin(commit_all, repo, range(6)) for _ in range(PROCESSES)]

        assert ended(*writers) == [0] * PROCESSES

        check(repo, range(6))


class TestKilled:
    """A process that dies has committed or has not; with the same key the next one makes sure."""

    @pytest.mark.parametrize("kills", [5, pytest.param(30, marks=pytest.mark.slow)])
    def test_at_random_moments(self, kills: int, repo: str, tmp_path: Path) -> None:
        """Whatever was under way: each key counts once, what is there can be read, and the next commit goes on."""
        moments, killed = random.Random(kills), 0
        commit(repo, 0)
        started = writer_of(repo, 1, tmp_path)
        start = time.monotonic()
        assert ended(started) == [0]
        usual = time.monotonic() - start

        for number in range(2, kills + 2):
            writer = writer_of(repo, number, tmp_path)
            time.sleep(moments.uniform(0, usual) if number > 2 else 0)  # one kill hits for sure
            writer.kill()
            killed += ended(writer) == [-signal.SIGKILL]
            check(repo, messages(repo))
            commit(repo, number)

        assert killed > 0
        check(repo, range(kills + 2))


class TestLostAnswers:
    """The commit landed, and nobody was told."""

    @pytest.mark.parametrize("key", ["1", None])
    @pytest.mark.parametrize("most", [1, 100], ids=["one answer", "all answers"])
    def test_to_a_process_that_goes_on(self, most: int, key: str | None, reports: Account) -> None:
        """The client sends it again, is refused, or gives up: the commit is found to be its own, also without a key."""
        connect("ocean")
        lost: list[str] = []

        def treat(asked: Asked, forward: Callable[[], Answer]) -> Answer | None:
            answer = forward()
            if not publishes(asked) or len(lost) == most:
                return answer
            lost.append(asked.path)
            return None

        with through(reports, treat):
            receipt = IcechunkCommit("ocean")(layer(1), group="g1", message="1", key=key)

        assert lost
        assert (receipt.already, receipt.snapshot) == (False, connect("ocean").lookup_branch("main"))
        check("ocean", [1])

    def test_to_a_process_that_dies(self, reports: Account) -> None:
        """Whoever comes with the same key is told the snapshot that it made."""
        connect("ocean")
        writers: list[BaseProcess] = []

        def treat(asked: Asked, forward: Callable[[], Answer]) -> Answer | None:
            answer = forward()
            if not publishes(asked):
                return answer
            writers[0].kill()
            return None

        with through(reports, treat):
            writers.append(begin(commit, "ocean", 1))
            assert ended(*writers) == [-signal.SIGKILL]
        landed = connect("ocean").lookup_branch("main")

        receipt = commit("ocean", 1)

        assert (receipt.already, receipt.snapshot) == (True, landed)
        check("ocean", [1])

    def test_while_others_commit(self, reports: Account) -> None:
        """Every third answer is lost: each of twelve keys counts once."""
        connect("ocean")
        asked_for: list[str] = []

        def treat(asked: Asked, forward: Callable[[], Answer]) -> Answer | None:
            answer = forward()
            if publishes(asked) and answer.status == 200:
                asked_for.append(asked.path)
                return None if len(asked_for) % 3 == 1 else answer
            return answer

        with through(reports, treat):
            receipts = at_once(lambda number: commit("ocean", number), threads=4)

        assert not any(receipt.already for receipt in receipts)
        check("ocean", range(THREADS))


class TestKeysThatGo:
    """Rotation and revocation while commits are under way."""

    def test_rotated_while_processes_commit(self, reports: Account) -> None:
        """Three times, the old key deleted at once each time: no commit fails."""
        connect("ocean")
        writers = [begin(commit_all, "ocean", range(who, 40, PROCESSES)) for who in range(PROCESSES)]

        rotations = 0
        while any(writer.exitcode is None for writer in writers) and rotations < 3:
            time.sleep(0.3)
            reports.rotate()
            rotations += 1

        assert ended(*writers) == [0] * PROCESSES
        assert rotations == 3
        check("ocean", range(40))

    def test_revoked_before_the_last_request(self, reports: Account) -> None:
        """It is told, nothing was committed; with a new key the same call commits."""
        connect("ocean")
        revoked: list[int] = []

        def treat(asked: Asked, forward: Callable[[], Answer]) -> Answer | None:
            if publishes(asked) and not revoked:
                revoked.append(1)
                reports.revoke()
            return forward()

        with through(reports, treat), pytest.raises(AccessDenied, match="save a new version of aws-credentials/prod"):
            commit("ocean", 1)
        reports.publish(reports.server.create_key(reports.user))
        assert messages("ocean") == []

        assert not commit("ocean", 1).already
        check("ocean", [1])

    def test_rotated_before_the_last_request(self, reports: Account) -> None:
        """The commit is made again with the new key, by itself."""
        connect("ocean")
        rotations: list[int] = []

        def treat(asked: Asked, forward: Callable[[], Answer]) -> Answer | None:
            if publishes(asked) and not rotations:
                rotations.append(1)
                reports.rotate()
            return forward()

        with through(reports, treat):
            assert not commit("ocean", 1).already

        assert rotations
        check("ocean", [1])


def publishes(asked: Asked) -> bool:
    """Whether it is the request that makes a commit: the conditional put of the object that has the branches."""
    return asked.method == "PUT" and "if-match" in {name.lower() for name in asked.headers}


@contextmanager
def through(reports: Account, treat: Treat) -> Iterator[None]:
    """Meanwhile the repository's bucket is reached through a server that does `treat`."""
    place = {"bucket": BUCKET, "credentials": "aws-credentials/prod"}
    with between(reports.server.endpoint, treat) as endpoint:
        save("s3-bucket/reports", **place, endpoint=endpoint)
        try:
            yield
        finally:
            save("s3-bucket/reports", **place, endpoint=reports.server.endpoint)


def writer_of(repo: str, number: int, folder: Path) -> BaseProcess:
    """A process that commits; it has begun to by now."""
    ready = folder / f"ready-{number}"
    writer = begin(commit_when_ready, ready, repo, number)
    wait_for(ready)
    return writer


def read(repo: str, group: str) -> xr.Dataset:
    store = connect(repo).readonly_session("main").store
    found: xr.Dataset = xr.open_zarr(store, group=group, consolidated=False, chunks=None).load()
    return found


def at_once[T](call: Callable[[int], T], threads: int = THREADS) -> list[T]:
    """What the calls with 0 to 11 give, made by threads at once."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(call, range(THREADS)))
