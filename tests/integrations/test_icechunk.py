"""Commits by the name of a repository: once for each key, none lost, and each says where it came from."""

import base64
import json
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

import cloudpickle
import icechunk.xarray
import numpy as np
import pytest
import xarray as xr
import zarr

from bondstone.blocks import (
    AccessDenied,
    Block,
    Conflict,
    InvalidBlock,
    InvalidName,
    NotFound,
    ServiceUnavailable,
)
from bondstone.integrations.icechunk import IcechunkCommit, connect
from bondstone.integrations.receipts import Changes, CommitReceipt
from bondstone.integrations.s3 import S3Upload
from tests.integrations.conftest import Account, both, elsewhere, save
from tests.integrations.failing import fails
from tests.integrations.versions import at_once, loaded, messages, read

pytestmark = pytest.mark.filterwarnings("ignore:.*consolidated.*:RuntimeWarning")

REPOS = ("local", "ocean", "arraylake-repo/ocean")


@pytest.fixture(params=REPOS)
def repo(request: pytest.FixtureRequest, reports: Account) -> str:
    """The name of a repository in a local folder, of one in a bucket, and of one that Arraylake keeps there."""
    if request.param.startswith("arraylake-repo/"):
        request.getfixturevalue("lake")
    return str(request.param)


class TestCommitting:
    """What is committed is what is read."""

    def test_what_was_committed_is_read(self, repo: str) -> None:
        """Values, coordinates and attributes; by the vendor's own repository."""
        dataset = sea(1).assign_attrs(title="ä", version=2)

        receipt = IcechunkCommit(repo)(dataset, group="xarray/means", message="first")

        xr.testing.assert_identical(read(repo, "xarray/means"), dataset)
        assert receipt.snapshot == connect(repo).lookup_branch("main")
        assert (receipt.block, receipt.version, receipt.branch) == (reference(repo), 1, "main")
        assert (receipt.group, receipt.key, receipt.already) == ("xarray/means", None, False)
        places = {
            "local": "file:///",
            "ocean": "s3://reports/ocean-",
            "arraylake-repo/ocean": "arraylake://earthmover/ocean",
        }
        assert receipt.uri.startswith(places[repo])

    def test_a_commit_replaces_the_group(self, repo: str) -> None:
        """Nothing of the former version is left in it; the former version itself is."""
        commit = IcechunkCommit(repo)
        first = commit(sea(1).assign_attrs(old=True), group="g", message="first")

        second = commit(xr.Dataset({"ice": ("y", [1.0, 2.0])}), group="g", message="second")

        assert set(read(repo, "g").variables) == {"ice"}
        assert read(repo, "g").attrs == {}
        assert second.parent == first.snapshot
        before = connect(repo).readonly_session(snapshot_id=first.snapshot)
        xr.testing.assert_identical(loaded(before, "g"), sea(1).assign_attrs(old=True))

    def test_other_groups_stay(self, repo: str) -> None:
        """Beside it, above it and inside it."""
        commit = IcechunkCommit(repo)
        groups = ("a", "a/b", "a/b/c", "z")
        for number, group in enumerate(groups):
            commit(sea(number), group=group, message=group)

        commit(sea(9), group="a/b", message="again")

        for group, number in zip(groups, (0, 9, 2, 3), strict=True):
            xr.testing.assert_identical(read(repo, group), sea(number))

    def test_the_root_is_a_group(self, repo: str) -> None:
        """A commit without a group leaves every group where it is, and what proves the keys."""
        commit = IcechunkCommit(repo)
        first = commit(sea(1), group="g", message="first", key="2026-11")

        commit(sea(2), message="root", key="root")

        xr.testing.assert_identical(read(repo, None), sea(2))
        xr.testing.assert_identical(read(repo, "g"), sea(1))
        assert commit(sea(1), group="g", message="again", key="2026-11").snapshot == first.snapshot

    @pytest.mark.parametrize("group", ["..", "a/../b", "a//b", ".", ".bondstone", "a/.bondstone/b"])
    def test_a_group_that_is_no_path(self, group: str, reports: Account) -> None:
        """Zarr would take some of these for other groups."""
        with pytest.raises(InvalidName, match="a group is a path such as 'xarray/means'"):
            IcechunkCommit("local")(sea(1), group=group, message="m")

    def test_another_branch(self, repo: str) -> None:
        """Of the block; one that does not exist is not made up."""
        connect(repo).create_branch("draft", connect(repo).lookup_branch("main"))
        draft, none = beside(repo, "draft", branch="draft"), beside(repo, "none", branch="none")

        receipt = IcechunkCommit(draft)(sea(1), group="g", message="m")

        assert receipt.branch == "draft"
        assert receipt.snapshot == connect(repo).lookup_branch("draft") != connect(repo).lookup_branch("main")
        text = fails(NotFound, lambda: IcechunkCommit(none)(sea(1), group="g", message="m"))
        assert (
            text == f"there is no branch 'none' in the repository of {reference(none)}: create it, or correct the block"
        )

    def test_an_error_of_the_callers_data_is_theirs(self, repo: str) -> None:
        """It is not told as a failure of the storage, and nothing is committed."""
        before = connect(repo).lookup_branch("main")

        with pytest.raises((TypeError, ValueError)):
            IcechunkCommit(repo)(xr.Dataset({"a": ("x", [object()])}), group="g", message="m")

        assert connect(repo).lookup_branch("main") == before

    @pytest.mark.parametrize(("level", "told"), [(None, False), ("warn", True)])
    def test_no_false_alarm(
        self, level: str | None, told: bool, reports: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Icechunk warns that folders are not safe, which under our lock they are; who asks for its log gets all of it."""
        monkeypatch.delenv("ICECHUNK_LOG", raising=False)
        if level:
            monkeypatch.setenv("ICECHUNK_LOG", level)
        program = "from bondstone.integrations.icechunk import connect\nconnect('local')"

        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

        assert done.stdout == ""
        assert ("not safe for concurrent commits" in done.stderr) is told
        assert bool(done.stderr) is told


class TestWriting:
    """What a function writes is committed like a dataset."""

    def test_a_function(self, repo: str) -> None:
        """It is given the session, and once for each key."""
        calls: list[int] = []

        def write(session: icechunk.Session) -> None:
            calls.append(1)
            icechunk.xarray.to_icechunk(sea(1), session, group="g")

        receipts = [IcechunkCommit(repo)(write, group="g", message="m", key="k") for _ in range(2)]

        xr.testing.assert_identical(read(repo, "g"), sea(1))
        assert [receipt.already for receipt in receipts] == [False, True]
        assert calls == [1]

    def test_nothing_written(self, repo: str) -> None:
        """It is no failure and no commit, and the receipt says so."""
        before = IcechunkCommit(repo)(sea(1), group="g", message="m")

        receipt = IcechunkCommit(repo)(lambda session: None, message="nothing")

        assert (receipt.changed, receipt.snapshot) == (False, before.snapshot)
        assert messages(repo) == ["m"]

    def test_what_changed(self, repo: str) -> None:
        """In numbers: the root, the group, its three arrays, a chunk of each; markers of keys do not count."""
        receipt = IcechunkCommit(repo)(sea(1), group="g", message="m", key="k")

        assert receipt.changed
        assert receipt.changes == Changes(added=5, deleted=0, updated=0, chunks=3)


class TestManifests:
    """Where the chunks of an array are written down in parts, a commit writes those that it touches."""

    @pytest.mark.parametrize(("chunks", "expected"), [(10, 3), (None, 1)])
    def test_as_the_block_says(self, chunks: int | None, expected: int, repo: str) -> None:
        """Twenty-five chunks are in three manifests of ten, or in one."""
        name = beside(repo, "split", chunks_per_manifest=chunks)

        receipt = IcechunkCommit(name)(rows, message="rows")

        assert manifests(repo, receipt.snapshot) == expected
        assert Block.load(reference(repo)).chunks_per_manifest == 1000  # type: ignore[attr-defined]

    def test_what_the_repository_says_counts(self, repo: str) -> None:
        """Whoever saved it there meant it for all."""
        repository = connect(repo)
        config = repository.config
        config.manifest = icechunk.ManifestConfig(splitting=splitting(5))
        repository.reopen(config).save_config()

        receipt = IcechunkCommit(beside(repo, "split", chunks_per_manifest=10))(rows, message="rows")

        assert manifests(repo, receipt.snapshot) == 5


class TestProvenance:
    """Each version says for ever where it came from, in names and ids."""

    def test_metadata(self, repo: str, reports: Account) -> None:
        """Block and version, key, engine; for a bucket the credentials in their version."""
        reports.rotate()

        receipt = IcechunkCommit(repo)(sea(1), group="g", message="first", key="2026-11")

        snapshot = next(connect(repo).ancestry(branch="main"))
        assert (snapshot.id, snapshot.message) == (receipt.snapshot, "first")
        ours = {name: value for name, value in snapshot.metadata.items() if name.startswith("bondstone.")}
        signers = {"ocean": "aws-credentials/prod@2", "arraylake-repo/ocean": "arraylake-token/prod@1"}
        signer = {"bondstone.credentials": signers[repo]} if repo in signers else {}
        ours.pop("bondstone.code", None)  # the program is pytest's
        assert ours == signer | {
            "bondstone.marker": ours["bondstone.marker"],
            "bondstone.block": reference(repo),
            "bondstone.version": 1,
            "bondstone.key": "2026-11",
            "bondstone.engine": "python",
            "bondstone.bondstone": version("bondstone"),
            "bondstone.call": ours["bondstone.call"],
        }
        assert not reports.shown_in(json.dumps(snapshot.metadata).encode())


class TestOnce:
    """A key is committed once, whatever is retried, raced or started anew."""

    def test_a_repeated_key(self, repo: str) -> None:
        """The second call writes nothing and returns the first one's snapshot, also after other commits."""
        commit = IcechunkCommit(repo)
        first = commit(sea(1), group="g", message="first", key="2026-11")
        other = commit(sea(2), group="other", message="other")

        again = commit(sea(1), group="g", message="again", key="2026-11")

        assert (again.already, again.snapshot) == (True, first.snapshot)
        assert connect(repo).lookup_branch("main") == other.snapshot
        xr.testing.assert_identical(read(repo, "g"), sea(1))

    @pytest.mark.parametrize(
        ("other", "what"),
        [
            (lambda: sea(2), "values of 'sst'"),
            (lambda: sea(1).isel(time=slice(3)), "shape of 'sst'|shape of 'time'"),
            (lambda: sea(1).assign(ice=1), "variable 'ice'"),
            (lambda: sea(1).assign_attrs(title="x"), "attributes"),
            (lambda: sea(1).assign(sst=sea(1).sst.assign_attrs(units="K")), "attributes of 'sst'"),
            (lambda: sea(1).transpose("x", "time"), "shape of 'sst'"),
        ],
        ids=["values", "shape", "variable", "attributes", "units", "order"],
    )
    def test_a_repeated_key_with_other_content(self, other: Callable[[], xr.Dataset], what: str, repo: str) -> None:
        """It is refused, with the name of what differs; the first commit stays."""
        IcechunkCommit(repo)(sea(1), group="g", message="first", key="2026-11")

        with pytest.raises(Conflict, match=f"this key has committed other content \\(({what})\\)"):
            IcechunkCommit(repo)(other(), group="g", message="again", key="2026-11")

        assert messages(repo) == ["first"]

    def test_a_repeated_key_for_another_group(self, repo: str) -> None:
        """It is refused, however alike the content."""
        IcechunkCommit(repo)(sea(1), group="g", message="first", key="2026-11")

        with pytest.raises(Conflict, match="this key has committed the group 'g': use another key for 'h'"):
            IcechunkCommit(repo)(sea(1), group="h", message="again", key="2026-11")

    def test_a_repeated_key_of_packed_data(self, repo: str) -> None:
        """What was lost in packing is no difference; times, texts and missing values are compared as they are stored."""
        packed = sea(1).assign(
            sst=sea(1).sst.where(sea(1).sst > 0),
            when=("time", np.arange("2020-01", "2020-05", dtype="datetime64[M]").astype("datetime64[ns]")),
            who=("x", ["ä", "b", "c"]),
        )
        packed.sst.encoding = {"dtype": "int16", "scale_factor": 0.01, "_FillValue": -9999}
        IcechunkCommit(repo)(packed, group="g", message="first", key="2026-11")

        assert IcechunkCommit(repo)(packed, group="g", message="again", key="2026-11").already
        with pytest.raises(Conflict, match="values of 'sst'"):
            IcechunkCommit(repo)(packed.assign(sst=packed.sst + 0.1), group="g", message="again", key="2026-11")

    def test_only_the_newest_keys_are_remembered(self, repo: str) -> None:
        """At least `keep_keys`, at most a quarter more and those since the last look."""
        commit = IcechunkCommit(repo, keep_keys=8)
        for number in range(40):
            commit(sea(number), group="g", message=str(number), key=str(number))

        assert all(commit(sea(n), group="g", message="again", key=str(n)).already for n in range(32, 40))
        assert not commit(sea(0), group="g", message="again", key="0").already

    def test_a_key_outlives_the_history(self, repo: str) -> None:
        """Expired snapshots take their metadata along; the key still counts."""
        commit = IcechunkCommit(repo)
        commit(sea(1), group="g", message="first", key="2026-11")
        last = commit(sea(2), group="other", message="other")
        repository = connect(repo)
        repository.expire_snapshots(older_than=next(repository.ancestry(branch="main")).written_at)

        again = commit(sea(1), group="g", message="again", key="2026-11")

        assert (again.already, again.snapshot) == (True, last.snapshot)
        xr.testing.assert_identical(read(repo, "g"), sea(1))

    @pytest.mark.parametrize("key", ["", "a/../b", "ä" * 300])
    def test_any_text_is_a_key(self, key: str, repo: str) -> None:
        """It is never part of a path."""
        first = IcechunkCommit(repo)(sea(1), group="g", message="first", key=key)

        assert IcechunkCommit(repo)(sea(1), group="g", message="again", key=key).snapshot == first.snapshot

    def test_a_commit_that_landed_and_was_not_acknowledged(self, repo: str) -> None:
        """A process that died after its commit is started again with the same key."""
        program = (
            "import os, xarray\n"
            "commit, values = it\n"
            "dataset = xarray.Dataset({'sst': ('x', values)})\n"
            "commit(dataset, group='g', message='m', key='2026-11')\n"
            "os._exit(0)  # with no word to anybody"
        )

        elsewhere(program, (IcechunkCommit(repo), [1.0, 2.0]))
        elsewhere(program, (IcechunkCommit(repo), [1.0, 2.0]))

        assert messages(repo) == ["m"]
        assert read(repo, "g").sst.values.tolist() == [1.0, 2.0]

    def test_threads_that_race_with_one_key(self, repo: str) -> None:
        """One of them commits."""
        receipts = at_once(lambda _: IcechunkCommit(repo)(sea(1), group="g", message="m", key="one"), 6)

        assert len({receipt.snapshot for receipt in receipts}) == 1
        assert sorted(receipt.already for receipt in receipts) == [False, *[True] * 5]
        assert messages(repo) == ["m"]


class TestNoneIsLost:
    """Every acknowledged commit is in the history."""

    def test_a_first_commit_of_many(self, reports: Account) -> None:
        """A repository is created once, whoever is first; opening it counts too."""
        for round_ in range(4):
            save("icechunk-repo/new", bucket="s3-bucket/reports", prefix=f"new-{round_}-{reports.user}")

            at_once(
                lambda number: connect("new") if number % 2 else IcechunkCommit("new")(sea(1), message="m", key="k"), 8
            )

            assert messages("new") == ["m"]

    def test_a_place_that_is_taken(self, reports: Account) -> None:
        """By objects that are no repository: they stay."""
        S3Upload("reports")(b"1", key=f"taken-{reports.user}/x.csv")
        save("icechunk-repo/taken", bucket="s3-bucket/reports", prefix=f"taken-{reports.user}")

        text = fails(InvalidBlock, lambda: connect("taken"))

        assert text.startswith("the place of icechunk-repo/taken holds something that is no repository")

    @both
    @pytest.mark.parametrize("groups", [1, 6])
    def test_threads(self, groups: int, repo: str) -> None:
        """In one group, or in one each."""
        receipts = at_once(
            lambda number: IcechunkCommit(repo)(sea(number), group=f"g{number % groups}", message=str(number)), 6
        )

        assert sorted(messages(repo)) == sorted(map(str, range(6)))
        history = {item.id: item.parent_id for item in connect(repo).ancestry(branch="main")}
        assert all(history[receipt.snapshot] == receipt.parent for receipt in receipts)
        for group in range(groups if groups > 1 else 0):
            xr.testing.assert_identical(read(repo, f"g{group}"), sea(group))

    def test_processes(self, repo: str) -> None:
        """Icechunk alone loses some of these in a local folder, for want of a compare-and-swap."""
        program = (
            "import sys, xarray\n"
            "from bondstone.integrations.icechunk import IcechunkCommit\n"
            "for i in range(8):\n"
            "    dataset = xarray.Dataset({'a': ('x', [float(i)])})\n"
            "    name = f'{sys.argv[2]}-{i}'\n"
            "    IcechunkCommit(sys.argv[1])(dataset, group=name, message=name, key=name)\n"
        )
        connect(repo)
        processes = [
            subprocess.Popen([sys.executable, "-c", program, repo, who], stderr=subprocess.PIPE) for who in "abc"
        ]
        said = [process.communicate(timeout=60)[1].decode() for process in processes]

        assert [process.returncode for process in processes] == [0, 0, 0], said
        expected = sorted(f"{who}-{i}" for who in "abc" for i in range(8))
        assert sorted(messages(repo)) == expected
        assert [float(read(repo, name).a[0]) for name in expected] == [float(i) for _ in "abc" for i in range(8)]


class TestRotation:
    """A key that is replaced while a repository is open stops nobody."""

    @both
    def test_between_commits(self, reports: Account) -> None:
        """The old key is deleted at the server, and the same task goes on."""
        commit = IcechunkCommit("ocean")
        commit(sea(1), group="a", message="first")

        reports.rotate()

        assert not commit(sea(2), group="b", message="second").already
        xr.testing.assert_identical(read("ocean", "a"), sea(1))

    @both
    def test_under_an_open_repository(self, reports: Account) -> None:
        """The vendor's own repository, read session and write session, made with the old key."""
        IcechunkCommit("ocean")(sea(1), group="a", message="first")
        repository = connect("ocean", ttl=0)
        reading, writing = repository.readonly_session("main"), repository.writable_session("main")

        reports.rotate()

        xr.testing.assert_identical(loaded(reading, "a"), sea(1))
        icechunk.xarray.to_icechunk(sea(2), writing, group="b")
        snapshot = writing.commit("second")
        assert repository.lookup_branch("main") == snapshot
        xr.testing.assert_identical(read("ocean", "b"), sea(2))

    @both
    def test_in_the_middle_of_a_commit(self, reports: Account) -> None:
        """While the data is computed the key goes that icechunk would keep for minutes: the commit is done again with the new one."""
        IcechunkCommit("ocean", ttl=300)(sea(1), group="a", message="first")
        rotations: list[int] = []

        def computed(block: np.ndarray) -> np.ndarray:
            if block.size and not rotations:  # xarray tries it on nothing first
                rotations.append(1)
                reports.rotate()
            return block + 1

        lazy = (
            sea(2).chunk().map_blocks(lambda dataset: dataset.map(lambda array: array.copy(data=computed(array.data))))
        )
        IcechunkCommit("ocean", ttl=300)(lazy, group="b", message="second", key="2026-11")

        assert rotations == [1]
        xr.testing.assert_equal(read("ocean", "b").sst, sea(2).sst + 1)
        assert messages("ocean") == ["second", "first"]

    def test_in_the_middle_of_a_race(self, reports: Account) -> None:
        """Eight commits by four threads, two rotations meanwhile: none fails."""
        one_at_a_time = Lock()

        def commit(number: int) -> CommitReceipt:
            if number % 3 == 2:
                with one_at_a_time:
                    reports.rotate()
            return IcechunkCommit("ocean")(sea(number), group=f"g{number}", message=str(number), key=str(number))

        at_once(commit, 8, threads=4)

        assert sorted(messages("ocean")) == sorted(map(str, range(8)))


class TestFailing:
    """One line that names the block to correct, nothing of the vendor's text."""

    @both
    def test_a_revoked_key(self, reports: Account) -> None:
        """For a commit, and for opening."""
        commit = IcechunkCommit("ocean")
        commit(sea(1), group="a", message="first")

        reports.revoke()

        for call in (lambda: commit(sea(2), group="a", message="second"), lambda: connect("ocean")):
            text = fails(AccessDenied, call)
            assert text == (
                "the storage of icechunk-repo/ocean refused the request (InvalidAccessKeyId): "
                "save a new version of aws-credentials/prod"
            )

    def test_a_missing_bucket(self, reports: Account) -> None:
        """Nothing is made up."""
        save("s3-bucket/none", bucket="no-bucket", endpoint=reports.server.endpoint, credentials="aws-credentials/prod")
        save("icechunk-repo/none", bucket="s3-bucket/none", prefix="ocean")

        text = fails(NotFound, lambda: IcechunkCommit("none")(sea(1), message="m"))

        assert text == "the bucket of icechunk-repo/none does not exist: create it, or correct the block"

    def test_the_root_of_a_bucket(self, reports: Account) -> None:
        """Icechunk wants a prefix."""
        save("icechunk-repo/root", bucket="s3-bucket/reports")

        text = fails(InvalidBlock, lambda: IcechunkCommit("root")(sea(1), message="m"))

        assert text.endswith("give icechunk-repo/root a prefix")

    def test_nobody_listens(self, reports: Account) -> None:
        """Told within 10 s."""
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        save("s3-bucket/down", bucket="reports", endpoint=endpoint, credentials="aws-credentials/prod")
        save("icechunk-repo/down", bucket="s3-bucket/down", prefix="ocean")
        start = time.monotonic()

        text = fails(ServiceUnavailable, lambda: IcechunkCommit("down")(sea(1), message="m"))

        assert text.startswith("the storage of icechunk-repo/down failed (")
        assert time.monotonic() - start < 10

    def test_a_folder_that_cannot_be_made(self, reports: Account, tmp_path: Path) -> None:
        """The path is in the block, and the block is named."""
        (tmp_path / "closed").touch()
        save("icechunk-repo/closed", path=str(tmp_path / "closed/repo"))

        fails(ServiceUnavailable, lambda: IcechunkCommit("closed")(sea(1), message="m"))


class TestTravelling:
    """What is sent to a worker holds the name of the block; what arrives there works."""

    @pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps], ids=["pickle", "cloudpickle"])
    def test_pickles_hold_no_key(self, dumps: Callable[[object], bytes], reports: Account) -> None:
        """Repository, session, fork, and the task: after use, so that each has met the key."""
        IcechunkCommit("ocean")(sea(1), group="a", message="first")
        repository = connect("ocean")
        session = repository.readonly_session("main")
        xr.testing.assert_identical(loaded(session, "a"), sea(1))
        things = [
            repository,
            session,
            session.store,
            repository.writable_session("main").fork(),
            IcechunkCommit("ocean"),
        ]

        for thing in things:
            assert not reports.shown_in(dumps(thing)), thing
            assert not reports.shown_in(repr(thing).encode()), thing

    def test_distributed_writing(self, reports: Account) -> None:
        """A fork that is written in another process, after a rotation, is merged and committed here."""
        IcechunkCommit("ocean")(sea(1), group="a", message="first")
        session = connect("ocean", ttl=0).writable_session("main")
        fork = session.fork()
        reports.rotate()

        told = elsewhere(
            "import base64, zarr\n"
            "zarr.open_array(it.store, path='a/sst')[0, 0] = 42\n"
            "print(base64.b64encode(pickle.dumps(it)).decode())",
            fork,
        )
        session.merge(pickle.loads(base64.b64decode(told)))
        session.commit("merged")

        assert read("ocean", "a").sst[0, 0] == 42

    def test_a_task_in_another_process(self, repo: str) -> None:
        """It needs the name, and the registry of its own environment."""
        told = elsewhere(
            "import xarray; print(it(xarray.Dataset(), group='a', message='m').snapshot)", IcechunkCommit(repo)
        )

        assert told.splitlines()[-1] == connect(repo).lookup_branch("main")


def sea(number: int) -> xr.Dataset:
    """Monthly temperatures, different for each number."""
    values = np.random.default_rng(number).normal(size=(4, 3))
    return xr.Dataset({"sst": (("time", "x"), values)}, {"time": np.arange(4), "x": [10.0, 20.0, 30.0]})


def reference(repo: str) -> str:
    """Of the block that leads there."""
    return repo if "/" in repo else f"icechunk-repo/{repo}"


def rows(session: icechunk.Session) -> None:
    """Twenty-five chunks, too large to be kept inside a manifest."""
    values = np.random.default_rng(0).normal(size=(25, 100))
    zarr.create_array(session.store, name="a", data=values, chunks=(1, 100))


def splitting(chunks: int) -> icechunk.ManifestSplittingConfig:
    dimensions: Any = {icechunk.ManifestSplitDimCondition.Any(): chunks}
    return icechunk.ManifestSplittingConfig.from_dict({icechunk.ManifestSplitCondition.AnyArray(): dimensions})


def manifests(repo: str, snapshot: str) -> int:
    """How many list the chunks of a version."""
    return len(connect(repo).list_manifest_files(snapshot))


def beside(repo: str, name: str, **others: Any) -> str:
    """The name of another block that leads to the same repository, with other fields."""
    kind, _, _ = reference(repo).partition("/")
    block = Block.load(reference(repo))
    fields = {field: getattr(block, field) for field in type(block).model_fields}
    save(f"{kind}/{name}", **fields | others)
    return f"{kind}/{name}"
