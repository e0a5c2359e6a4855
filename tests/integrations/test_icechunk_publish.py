"""Readers never see what was not audited."""

import pickle
import threading
import time
from collections.abc import Callable
from typing import Any

import cloudpickle
import numpy as np
import pytest
import xarray as xr

from bondstone.blocks import AccessDenied, Conflict
from bondstone.integrations.icechunk import (
    IcechunkCommit,
    IcechunkGarbageCollect,
    IcechunkPublish,
    connect,
    cutoffs,
    leases,
)
from bondstone.integrations.icechunk.publish import Check
from tests.integrations.conftest import Account, both, elsewhere
from tests.integrations.oceans import messages, sea, values


@pytest.fixture(params=["local", "ocean"])
def repo(request: pytest.FixtureRequest, reports: Account) -> str:
    """The name of a repository in a local folder, and of one in a bucket."""
    return str(request.param)


def small(dataset: xr.Dataset) -> bool:
    """What the sea with number 99 fails."""
    return bool(abs(dataset.sst).max() < 50)


def bad() -> xr.Dataset:
    return sea(1) * 100


class TestPublishing:
    """What passes is the newest version."""

    def test_what_passes(self, repo: str) -> None:
        """One commit, as IcechunkCommit makes it, which names its checks."""
        receipt = IcechunkPublish(repo, [small])(sea(1), group="g", message="m", key="2026-11")

        assert (receipt.published, receipt.held, receipt.problems, receipt.already) == (True, None, (), False)
        assert receipt.snapshot == connect(repo).lookup_branch("main")
        assert receipt.changes.chunks == 4
        np.testing.assert_array_equal(values(repo, "g/sst"), sea(1).sst)
        (newest, first) = connect(repo).ancestry(branch="main")
        assert (newest.message, receipt.parent) == ("m", first.id)
        assert newest.metadata["bondstone.checks"] == ["small"]
        assert newest.metadata["bondstone.key"] == "2026-11"

    def test_a_function(self, repo: str) -> None:
        """What it wrote into the group is what is checked."""
        seen: list[list[str]] = []

        def check(dataset: xr.Dataset) -> None:
            seen.append([str(name) for name in dataset.variables])

        def write(session: Any) -> None:
            sea(1).to_zarr(session.store, group="g", consolidated=False)

        assert IcechunkPublish(repo, [check])(write, group="g", message="m").published
        assert seen == [["sst"]]

    def test_a_repeated_key(self, repo: str) -> None:
        """It is published once, and not checked again; with other content it is refused."""
        checked: list[int] = []
        publish = IcechunkPublish(repo, [lambda dataset: checked.append(1)])
        first = publish(sea(1), group="g", message="m", key="k")

        again = publish(sea(1), group="g", message="m", key="k")

        assert (again.already, again.published, again.snapshot) == (True, True, first.snapshot)
        assert checked == [1]
        with pytest.raises(Conflict, match="values of 'sst'"):
            publish(sea(2), group="g", message="m", key="k")

    def test_nothing_written(self, repo: str) -> None:
        """Is no commit."""
        receipt = IcechunkPublish(repo, [small])(lambda session: None, group="g", message="m")

        assert (receipt.changed, receipt.published, messages(repo)) == (False, True, [])

    def test_no_checks(self, reports: Account) -> None:
        """Would look like an audit and be none."""
        with pytest.raises(ValueError, match="there is nothing to check"):
            IcechunkPublish("local", [])(sea(1), message="m")

    def test_a_worker(self, repo: str) -> None:
        """It travels by name, with its checks."""
        task = IcechunkPublish(repo, [small])
        program = "import xarray; print(it(xarray.Dataset({'sst': ('x', [1.0])}), group='g', message='m').published)"

        assert elsewhere(program, task).splitlines()[-1] == "True"
        assert pickle.loads(cloudpickle.dumps(task)).repo == repo


class TestHolding:
    """What fails is kept, and nobody sees it by a branch."""

    def test_what_fails(self, repo: str) -> None:
        """It has a tag to look at; the key may be used again for what is right."""
        before = IcechunkCommit(repo)(sea(1), group="g", message="before")
        publish = IcechunkPublish(repo, [small, lambda dataset: True])

        held = publish(bad(), group="g", message="m", key="k")

        assert (held.published, held.problems, held.parent) == (False, ("small failed",), before.snapshot)
        assert held.held is not None
        assert held.held.startswith("held/20")
        assert connect(repo).lookup_tag(held.held) == held.snapshot
        assert connect(repo).lookup_branch("main") == before.snapshot
        np.testing.assert_array_equal(values(repo, "g/sst", held.snapshot), bad().sst)
        corrected = publish(sea(2), group="g", message="m", key="k")
        assert (corrected.published, corrected.already) == (True, False)
        assert messages(repo) == ["m", "before"]

    def test_it_is_kept_from_garbage_collection(self, repo: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Until its tag is deleted."""
        monkeypatch.setattr(cutoffs, "FLOOR", cutoffs.SKEW * 0)
        held = IcechunkPublish(repo, [small])(bad(), group="g", message="m")
        assert held.held

        kept = IcechunkGarbageCollect(repo)(older_than=cutoffs.SKEW * 0).freed.chunks
        connect(repo).delete_tag(held.held)
        freed = IcechunkGarbageCollect(repo)(older_than=cutoffs.SKEW * 0).freed.chunks

        assert (kept, freed) == (0, 1)

    @pytest.mark.parametrize(
        ("check", "problems"),
        [
            (lambda _: "cold", ("<lambda>: cold",)),
            (lambda _: ["cold", "wet\n and windy"], ("<lambda>: cold", "<lambda>: wet and windy")),
            (lambda _: False, ("<lambda> failed",)),
            (lambda dataset: (dataset.sst > 1000).any(), ("<lambda> failed",)),
            (lambda dataset: dataset["none"], ("<lambda> raised KeyError",)),
            (lambda dataset: 1 / 0, ("<lambda> raised ZeroDivisionError",)),
            (lambda _: None, ()),
            (lambda _: True, ()),
            (lambda _: [], ()),
            (lambda dataset: (dataset.sst < 1000).all(), ()),
        ],
        ids=["text", "texts", "false", "false-array", "raises", "other", "none", "true", "empty", "true-array"],
    )
    def test_what_a_check_says(self, check: Check, problems: tuple[str, ...], reports: Account) -> None:
        """In words of its own; of an error only the name, since its text may hold data."""
        receipt = IcechunkPublish("local", [check])(sea(1), group="g", message="m")

        assert (receipt.problems, receipt.published) == (problems, not problems)

    def test_readers_never_see_it(self, repo: str) -> None:
        """One that looks all the time, while nine versions are published and every third one fails."""
        publish = IcechunkPublish(repo, [small])
        publish(sea(1), group="g", message="first")
        done, seen = threading.Event(), []

        def look() -> None:
            while not done.is_set():
                seen.append(float(abs(values(repo, "g/sst")).max()))

        reader = threading.Thread(target=look)
        reader.start()
        published = [
            publish(sea(n) * (100 if n % 3 == 0 else 1), group="g", message=str(n)).published for n in range(9)
        ]
        done.set()
        reader.join()

        assert published == [False, True, True] * 3
        assert len(seen) > 3
        assert max(seen) < 50


class TestRacing:
    """What is published was audited as it is."""

    def test_a_commit_during_the_audit(self, repo: str) -> None:
        """It is written and checked anew, on what the other has committed."""
        audits: list[int] = []

        def check(dataset: xr.Dataset) -> None:
            audits.append(dataset.sst.size)
            if len(audits) == 1:
                IcechunkCommit(repo)(sea(7), group="other", message="other")

        receipt = IcechunkPublish(repo, [check])(sea(1), group="g", message="m", key="k")

        assert len(audits) == 2
        assert messages(repo) == ["m", "other"]
        assert receipt.published
        np.testing.assert_array_equal(values(repo, "other/sst"), sea(7).sst)
        np.testing.assert_array_equal(values(repo, "g/sst"), sea(1).sst)

    def test_what_passes_alone_may_fail_together(self, repo: str) -> None:
        """The second audit decides."""

        def write(session: Any) -> None:
            sea(1).to_zarr(session.store, group="g", mode="a", consolidated=False)

        def ice(session: Any) -> None:
            xr.Dataset({"ice": ("y", [1.0])}).to_zarr(session.store, group="g", mode="a", consolidated=False)

        def check(dataset: xr.Dataset) -> bool:
            alone = "ice" not in dataset
            if alone:
                IcechunkCommit(repo)(ice, message="other")
            return alone

        receipt = IcechunkPublish(repo, [check])(write, group="g", message="m")

        assert (receipt.published, receipt.problems) == (False, ("check failed",))
        assert messages(repo) == ["other"]

    def test_two_with_one_key(self, repo: str) -> None:
        """One is published."""
        results: list[bool] = []

        def publish() -> None:
            results.append(IcechunkPublish(repo, [small])(sea(1), group="g", message="m", key="k").already)

        threads = [threading.Thread(target=publish) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(results) == [False, True, True]
        assert messages(repo) == ["m"]

    def test_others_commit_while_a_check_runs(self, reports: Account) -> None:
        """In a local folder, too: the lock is not held for as long as the audit takes."""
        times: list[float] = []

        def check(_: xr.Dataset) -> None:
            if not times:
                start = time.monotonic()
                other = threading.Thread(
                    target=IcechunkCommit("local").__call__, args=(sea(2),), kwargs={"message": "o"}
                )
                other.start()
                other.join(20)
                times.append(time.monotonic() - start)

        IcechunkPublish("local", [check])(sea(1), group="g", message="m")

        assert times[0] < 20
        assert messages("local") == ["m", "o"]

    def test_a_lease_that_lapsed(self, repo: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is written anew, as by any task."""
        answers = [True, False]
        monkeypatch.setattr(leases.WriteLease, "lapsed", lambda _: answers.pop(0))

        assert IcechunkPublish(repo, [small])(sea(1), group="g", message="m").published
        assert answers == []


class TestKeys:
    """A credential that goes is nobody's problem but the storage's."""

    @both
    def test_rotated_during_the_audit(self, reports: Account) -> None:
        """The audit goes on with the new one."""
        rotated: list[int] = []

        def check(dataset: xr.Dataset) -> None:
            if not rotated:
                rotated.append(1)
                reports.rotate()
            assert dataset.sst.load().size

        receipt = IcechunkPublish("ocean", [check], ttl=300)(sea(1), group="g", message="m", key="k")

        assert (receipt.published, receipt.problems) == (True, ())
        assert messages("ocean") == ["m"]

    def test_revoked_during_the_audit(self, reports: Account) -> None:
        """It is told as such, not as a problem of the data."""

        def check(dataset: xr.Dataset) -> None:
            reports.revoke()
            dataset.sst.load()

        publish: Callable[..., object] = IcechunkPublish("ocean", [check])

        with pytest.raises(AccessDenied, match="save a new version of aws-credentials/prod"):
            publish(sea(1), group="g", message="m")
