"""Sessions of one's own: committed once, at the end, and on record for as long as they last."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import icechunk
import numpy as np
import pytest

from bondstone.blocks import Conflict, IcechunkRepo
from bondstone.integrations.icechunk import connect, write_session
from bondstone.integrations.icechunk.commit import Rebased
from bondstone.integrations.icechunk.committing import Work, commit
from bondstone.integrations.icechunk.leases import WriteLease, leased
from bondstone.integrations.icechunk.repo import repo as repo_of
from bondstone.integrations.icechunk.repository import commit_lock
from bondstone.registry import RegistryUnavailable, current_registry
from bondstone.registry.log import actor
from bondstone.registry.store import Lease
from tests.integrations.conftest import Account
from tests.integrations.oceans import messages, put, sea, values


@pytest.fixture(params=["local", "ocean"])
def repo(request: pytest.FixtureRequest, reports: Account) -> str:
    """The name of a repository in a local folder, and of one in a bucket."""
    return str(request.param)


def leases(repo: str) -> list[Lease]:
    return current_registry().leases.of("icechunk-repo", repo)


class TestCommitting:
    """The end of the block is the commit."""

    def test_what_was_written_is_committed(self, repo: str) -> None:
        """As one version, which says where it came from; the session knows its snapshot."""
        with write_session(repo, message="by hand") as session:
            put(session, "a", 1)
            put(session, "b", 2)

        assert messages(repo) == ["by hand"]
        assert session.snapshot_id == connect(repo).lookup_branch("main")
        np.testing.assert_array_equal(values(repo, "b"), sea(2).sst)
        metadata = next(connect(repo).ancestry(branch="main")).metadata
        assert metadata["bondstone.block"] == f"icechunk-repo/{repo}"

    def test_an_error_discards(self, repo: str) -> None:
        """All of it; and the error is the caller's own."""

        def fail() -> None:
            with write_session(repo) as session:
                put(session, "a", 1)
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            fail()

        assert messages(repo) == []
        assert leases(repo) == []

    def test_nothing_written(self, repo: str) -> None:
        """No commit."""
        with write_session(repo):
            pass

        assert messages(repo) == []

    def test_a_commit_of_ones_own(self, repo: str) -> None:
        """Is not made a second time."""
        with write_session(repo) as session:
            put(session, "a", 1)
            session.commit("mine")

        assert messages(repo) == ["mine"]

    def test_others_who_wrote_elsewhere(self, repo: str) -> None:
        """Both are in the newest version."""
        with write_session(repo, message="first") as session:
            put(session, "root", 0)

        with write_session(repo, message="long") as session:
            put(session, "a", 1)
            with write_session(repo, message="short") as other:
                put(other, "b", 2)

        assert messages(repo) == ["long", "short", "first"]
        np.testing.assert_array_equal(values(repo, "a"), sea(1).sst)
        np.testing.assert_array_equal(values(repo, "b"), sea(2).sst)

    def test_others_who_wrote_to_the_same_place(self, repo: str) -> None:
        """Whoever is second is told, and nothing of theirs is there."""

        def overlap() -> None:
            with write_session(repo, message="long") as session:
                put(session, "a", 1)
                with write_session(repo, message="short") as other:
                    put(other, "a", 2)

        with pytest.raises(Conflict) as caught:
            overlap()

        assert str(caught.value) == (f"others have committed to the same place of icechunk-repo/{repo}: write it again")
        np.testing.assert_array_equal(values(repo, "a"), sea(2).sst)

    def test_a_local_commit_waits_for_the_lock(self, reports: Account) -> None:
        """Icechunk alone would lose one of two."""
        connect("local")
        released: list[float] = []
        held = threading.Event()

        def hold() -> None:
            with commit_lock(IcechunkRepo.load("local")):
                held.set()
                time.sleep(0.3)
                released.append(time.monotonic())

        other = threading.Thread(target=hold)
        with write_session("local") as session:
            put(session, "a", 1)
            other.start()
            held.wait(10)
        ended = time.monotonic()
        other.join()

        assert ended >= released[0]


class TestLeases:
    """The registry knows who writes, and since when."""

    def test_while_the_block_lasts(self, repo: str) -> None:
        """Not before, and not afterwards."""
        before = datetime.now(UTC).timestamp()

        with write_session(repo):
            (lease,) = leases(repo)

        assert lease.holder == actor()
        assert before <= lease.taken_at / 1e6 <= datetime.now(UTC).timestamp()
        assert leases(repo) == []

    def test_it_is_renewed(self, reports: Account) -> None:
        """A block lasts longer than what was promised at first."""
        with leased(repo_of("local"), after=0, length=0.3) as lease:
            (first,) = leases("local")
            time.sleep(0.7)
            (now,) = leases("local")

            assert lease.lapsed() is False
        assert (now.id, now.taken_at) == (first.id, first.taken_at)
        assert now.until > first.until

    def test_a_process_that_is_killed(self, reports: Account) -> None:
        """Its lease ends by itself, within 10 min."""
        program = (
            "import os, signal\n"
            "from bondstone.integrations.icechunk import write_session\n"
            "with write_session('local'):\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
        )

        ended = subprocess.run([sys.executable, "-c", program], env=os.environ, timeout=60, check=False)

        (lease,) = leases("local")
        assert ended.returncode == -signal.SIGKILL
        assert 0 < lease.until / 1e6 - time.time() <= 600

    def test_a_short_commit_takes_none(self, reports: Account) -> None:
        """It costs nothing in the registry."""
        with leased(repo_of("local"), after=300):
            time.sleep(0.05)

            assert leases("local") == []

    def test_a_long_commit_takes_one(self, repo: str) -> None:
        """That says since when it writes, which is before the lease."""
        change = _Slow(lambda: _until(lambda: leases(repo)))
        began = time.time()

        commit(Work(repo_of(repo), change, "slow", lease_after=0.5))

        ((lease,),) = change.seen
        assert began <= lease.taken_at / 1e6 < began + 0.4
        assert leases(repo) == []

    def test_a_lease_that_lapsed_under_a_task(self, repo: str) -> None:
        """As when a machine slept: its chunks may have been collected, so it writes them again."""
        change = _Slow(lambda: _lost(repo) if not change.seen else None)

        commit(Work(repo_of(repo), change, "slow", lease_after=0.01))

        assert len(change.seen) == 2
        assert messages(repo) == ["slow"]

    def test_a_lease_that_lapsed_under_a_session(self, repo: str) -> None:
        """What cannot be repeated here is not committed."""

        def sleep() -> None:
            with write_session(repo) as session:
                put(session, "a", 1)
                _lost(repo)

        with pytest.raises(Conflict) as caught:
            sleep()

        assert str(caught.value) == (
            f"the registry did not know of this session in icechunk-repo/{repo} for a while: write it again"
        )
        assert messages(repo) == []

    def test_a_machine_that_slept_before_the_first_lease(self, reports: Account) -> None:
        """Then nobody knew of the session for longer than the floor."""
        lease = WriteLease(repo_of("local"), 600)
        lease._begun -= 3600

        assert lease.lapsed() is True
        lease.release()
        assert leases("local") == []

    def test_a_registry_that_cannot_be_written(self, reports: Account) -> None:
        """The session goes on, and says what must not be done meanwhile."""
        warning = r"the registry takes no lease on icechunk-repo/local \(closed\): collect no garbage there while a session lasts longer"
        with pytest.warns(UserWarning, match=warning), leased(_closed(), after=0) as lease:
            assert lease.lapsed() is False


@dataclass
class _Slow(Rebased):
    """Writes an array, and does something else meanwhile."""

    meanwhile: Callable[[], object]
    seen: list[Any] = field(default_factory=list)

    def write(self, session: icechunk.Session) -> dict[str, Any]:
        put(session, "a", 1)
        self.seen.append(self.meanwhile())
        return {}

    def compare(self, session: icechunk.Session | None, facts: dict[str, Any]) -> None:
        """There is no key."""


def _until(look: Callable[[], list[Lease]]) -> list[Lease]:
    """What is there, as soon as there is something."""
    deadline = time.monotonic() + 20
    while not (there := look()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return there


def _lost(repo: str) -> None:
    """The lease is gone, as one is that nobody renewed."""
    for lease in _until(lambda: leases(repo)):
        current_registry().leases.release(lease)


def _closed() -> Any:
    """A repository whose block lies in a registry that takes no lease."""

    def refuse(*_: object, **__: object) -> None:
        raise RegistryUnavailable("closed")

    real = repo_of("local").handle
    shut = SimpleNamespace(
        leases=SimpleNamespace(take=refuse), shared_now=real.registry.shared_now, store=real.registry.store
    )
    handle = SimpleNamespace(reference=real.reference, get=real.get, registry=shut)
    return cast("Any", SimpleNamespace(handle=handle, lock=nullcontext))
