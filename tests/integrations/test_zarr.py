"""Zarr in a bucket that is rewritten as a whole: readers see one snapshot, a key counts once, and a crash leaves what was."""

import json
import pickle
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cloudpickle
import distributed
import numpy as np
import obstore
import pytest
import xarray as xr
from zarr.codecs import BloscCodec

from bondstone.blocks import (
    AccessDenied,
    BondstoneError,
    Conflict,
    InvalidBlock,
    InvalidName,
    InvalidSettings,
    NotFound,
    S3Bucket,
    UnsupportedFormat,
    live,
)
from bondstone.integrations import s3, zarr
from bondstone.integrations.receipts import ZarrReceipt
from bondstone.integrations.zarr import ZarrWrite
from bondstone.integrations.zarr.objects import Objects
from bondstone.integrations.zarr.pointer import Pointer, Snapshot
from bondstone.integrations.zarr.write import _Write
from tests.integrations.between import Answer, between
from tests.integrations.conftest import BUCKET, Account, both, elsewhere, save
from tests.integrations.failing import fails
from tests.integrations.forked import begin, ended, wait_for
from tests.integrations.rewriting import (
    PATH,
    read_until_stopped,
    uniform,
    whole,
    write,
    write_plainly,
    write_several,
)
from tests.integrations.stand_in import Asked
from tests.integrations.versions import at_once

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def folder(reports: Account) -> None:
    """The bucket block leads to a place of each test's own."""
    aim(reports, reports.server.endpoint)


def aim(reports: Account, endpoint: str) -> None:
    place = {"bucket": BUCKET, "prefix": f"zarr-{reports.user}", "endpoint": endpoint}
    save("s3-bucket/reports", **place, credentials="aws-credentials/prod")


class TestWriting:
    """What is written is what is read."""

    @both
    def test_what_was_written_is_read(self, reports: Account) -> None:
        """The receipt has the place, the snapshot, what it holds, and the block in its version."""
        first = ZarrWrite("reports")(sea(1), path=PATH)
        second = ZarrWrite("reports")(sea(2), path=PATH, key="2026-11")

        xr.testing.assert_identical(zarr.open_dataset("reports", path=PATH).load(), sea(2))
        assert second.uri == f"s3://{BUCKET}/zarr-{reports.user}/{PATH}/snapshots/{second.snapshot}"
        assert (second.block, second.version, second.path) == ("s3-bucket/reports", 2, PATH)
        assert (second.previous, second.key, second.already) == (first.snapshot, "2026-11", False)
        assert (first.previous, first.key) == (None, None)
        (codec,) = zarr.open_dataset("reports", path=PATH).sst.encoding["compressors"]
        assert isinstance(codec, BloscCodec)
        assert second.size == sum(stored(f"{PATH}/snapshots/{second.snapshot}").values()) > 0

    def test_nothing_of_the_former_is_left(self) -> None:
        """Neither variables nor attributes."""
        ZarrWrite("reports")(sea(1).assign_attrs(old=True), path=PATH)

        ZarrWrite("reports")(xr.Dataset({"ice": ("y", [1.0, 2.0])}), path=PATH)

        xr.testing.assert_identical(
            zarr.open_dataset("reports", path=PATH).load(), xr.Dataset({"ice": ("y", [1.0, 2.0])})
        )

    def test_an_open_dataset_stays_with_its_snapshot(self) -> None:
        """Until it is opened anew, also where it says which."""
        first = ZarrWrite("reports")(sea(1), path=PATH)
        opened = zarr.open_dataset("reports", path=PATH)

        ZarrWrite("reports")(sea(2), path=PATH)

        xr.testing.assert_identical(opened.load(), sea(1))
        older = zarr.open_dataset("reports", path=PATH, snapshot=first.snapshot)
        xr.testing.assert_identical(older.load(), sea(1))
        store = zarr.connect("reports", path=PATH, snapshot=first.snapshot).with_read_only(True)
        xr.testing.assert_identical(xr.open_zarr(store).load(), sea(1))

    def test_the_pointer_tells_who_wrote(self, reports: Account) -> None:
        """By names and ids; it holds no value."""
        reports.rotate()
        receipt = ZarrWrite("reports")(sea(1), path=PATH)

        snapshot = zarr.current("reports", path=PATH)

        by = {"block": "s3-bucket/reports@2", "credentials": "aws-credentials/prod@2", "engine": "python"}
        assert snapshot.id == receipt.snapshot
        assert by.items() <= snapshot.by.items()
        assert abs(datetime.fromisoformat(snapshot.written_at) - datetime.now(UTC)) < HOUR
        assert not reports.shown_in(download(f"{PATH}/current.json"))

    @pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "..", "a/../b", "a/./b"])
    def test_a_path_that_s3_clients_would_change(self, path: str) -> None:
        """Told by writer and readers alike, before anything is written."""
        for call in (
            lambda: ZarrWrite("reports")(sea(1), path=path),
            lambda: zarr.current("reports", path=path),
            lambda: zarr.connect("reports", path=path, snapshot="x"),
        ):
            fails(InvalidName, call)

        assert stored("") == {}

    def test_nothing_was_written_there(self) -> None:
        """The text has the place."""
        text = fails(NotFound, lambda: zarr.open_dataset("reports", path="none"))

        assert "/none/current.json: write one by ZarrWrite" in text

    def test_a_snapshot_that_is_not_there(self) -> None:
        """It is not an empty dataset."""
        ZarrWrite("reports")(sea(1), path=PATH)

        fails(NotFound, lambda: zarr.open_dataset("reports", path=PATH, snapshot="20260101T000000Z-0"))

    @pytest.mark.parametrize(
        ("content", "kind"),
        [(b"{}", InvalidBlock), (b"\xff", InvalidBlock), (b"[]", InvalidBlock), (b'{"format": 2}', UnsupportedFormat)],
    )
    def test_an_object_that_is_no_pointer_of_ours(self, content: bytes, kind: type[BondstoneError]) -> None:
        """It stays as it is."""
        obstore.put(s3.connect("reports"), f"{PATH}/current.json", content)

        fails(kind, lambda: ZarrWrite("reports")(sea(1), path=PATH))

        assert stored("") == {f"{PATH}/current.json": len(content)}

    @pytest.mark.parametrize("settings", [{"keep": 0}, {"grace": -1.0}])
    def test_settings_that_would_remove_what_is_current(self, settings: dict[str, Any]) -> None:
        """Told when the task is made."""
        fails(InvalidSettings, lambda: ZarrWrite("reports", **settings))

    def test_no_dataset(self) -> None:
        """An array has no name to be stored by."""
        with pytest.raises(TypeError, match=r"to_dataset\(name='…'\)"):
            ZarrWrite("reports")(xr.DataArray([1.0]), path=PATH)  # type: ignore[arg-type]

    def test_an_error_of_the_callers_data_is_theirs(self) -> None:
        """What is current stays; nothing is left of the attempt."""
        ZarrWrite("reports")(sea(1), path=PATH)
        before = stored("")

        with pytest.raises((TypeError, ValueError)):
            ZarrWrite("reports")(sea(2).assign(a=("x", [object()] * 3)), path=PATH)

        assert stored("") == before

    def test_a_source_that_is_gone_is_no_fault_of_the_bucket(self) -> None:
        """The error of a dataset that reads as it is written comes as it is."""

        def computed(block: np.ndarray) -> np.ndarray:
            if block.size:
                raise FileNotFoundError("source.nc")
            return block

        with pytest.raises(FileNotFoundError, match=r"source\.nc"):
            ZarrWrite("reports")(lazily(computed), path=PATH)


class TestOnce:
    """A key is published once, whatever is retried, raced or started anew."""

    def test_a_repeated_key(self) -> None:
        """The second call tells the first one's snapshot and leaves nothing behind, also after other writes."""
        first = ZarrWrite("reports")(sea(1), path=PATH, key="2026-11")
        other = ZarrWrite("reports")(sea(2), path=PATH)
        before = stored("")

        again = ZarrWrite("reports")(sea(1), path=PATH, key="2026-11")

        assert (again.already, again.snapshot, again.size) == (True, first.snapshot, first.size)
        assert zarr.current("reports", path=PATH).id == other.snapshot
        assert stored("") == before

    @pytest.mark.parametrize("other", ["value", "attribute", "variable"])
    def test_a_repeated_key_with_other_data(self, other: str) -> None:
        """A conflict that names the variable, and nothing changes."""
        ZarrWrite("reports")(sea(1), path=PATH, key="2026-11")
        before = stored("")
        changed = {
            "value": sea(1).assign(sst=sea(1).sst + 1e-9),
            "attribute": sea(1).assign_attrs(new=1),
            "variable": sea(1).assign(new=1),
        }[other]

        text = fails(Conflict, lambda: ZarrWrite("reports")(changed, path=PATH, key="2026-11"))

        assert re.fullmatch(
            r"key '2026-11' has published other content \(.*(sst|new|attributes).*\): take another key", text
        )
        assert stored("") == before

    def test_a_key_whose_snapshot_is_gone(self) -> None:
        """It still counts; there is nothing to compare with, and nothing is written."""
        task = ZarrWrite("reports", keep=1, grace=0)
        first = task(sea(1), path=PATH, key="2026-11")
        task(sea(2), path=PATH)
        before = stored("")

        again = task(sea(1), path=PATH, key="2026-11")

        assert (again.already, again.snapshot, again.size) == (True, first.snapshot, 0)
        assert stored("") == before

    def test_threads_that_race_with_one_key_and_other_data(self) -> None:
        """One publishes; the others are told, and leave nothing."""

        def write(number: int) -> ZarrReceipt | None:
            with suppress(Conflict):
                return ZarrWrite("reports")(sea(number), path=PATH, key="one")
            return None

        (receipt,) = filter(None, at_once(write, 4))

        assert not receipt.already
        assert {name.split("/")[3] for name in stored("") if "/snapshots/" in name} == {receipt.snapshot}

    def test_how_many_keys_are_remembered(self) -> None:
        """The newest hundred; the pointer stays small."""
        pointer = Pointer()
        for number in range(105):
            pointer = pointer.moved(
                Snapshot(f"s{number}", "2026-11-21T12:00:00+00:00"), f"k{number}", keep=2, grace=0 * HOUR
            )

        assert [pointer.written_with(f"k{number}") for number in (4, 5, 104)] == [None, "s5", "s104"]
        assert len(pointer.to_json()) < 10_000

    def test_threads_that_race_with_one_key(self) -> None:
        """One of them publishes."""
        receipts = at_once(lambda _: ZarrWrite("reports")(sea(1), path=PATH, key="one"), 4)

        assert len({receipt.snapshot for receipt in receipts}) == 1
        assert sorted(receipt.already for receipt in receipts) == [False, True, True, True]
        assert len(snapshots()) == 1

    @pytest.mark.parametrize("keep", [1, 2])
    def test_a_swap_whose_answer_was_lost(self, keep: int, reports: Account) -> None:
        """It landed: the client's own repetition is refused, and the write is not published twice; nor if others came in between."""
        lost: list[str] = []

        def treat(asked: Asked, forward: Callable[[], Answer]) -> Answer | None:
            answer = forward()
            if asked.method == "PUT" and asked.path.endswith("current.json") and not lost:
                lost.append(asked.path)
                aim(reports, reports.server.endpoint)
                for number in range(2, 4):
                    ZarrWrite("reports", keep=1, grace=0)(sea(number), path=PATH)
                return None
            return answer

        with between(reports.server.endpoint, treat) as endpoint:
            aim(reports, endpoint)
            receipt = ZarrWrite("reports", keep=keep)(sea(1), path=PATH)

        assert lost
        assert not receipt.already
        assert [len(keys()), receipt.snapshot in snapshots()] == [3, False]
        xr.testing.assert_identical(zarr.open_dataset("reports", path=PATH).load(), sea(3))


class TestReaders:
    """Nobody ever reads half of a dataset."""

    def test_a_reader_while_a_writer_rewrites(self, tmp_path: Path) -> None:
        """Another process reads all the time: none of its reads is torn. Of plain Zarr, rewritten beside it, some are."""
        task = ZarrWrite("reports")
        task(uniform(0), path=PATH)
        write_plainly(0)

        with reader(tmp_path) as counts:
            for number in range(1, 26):
                task(uniform(number), path=PATH)
                write_plainly(number)

        assert counts["torn"] == 0, counts
        assert counts["reads"] > 20, counts
        assert counts["plain torn"] > 0, counts

    def test_who_reads_a_snapshot_that_is_removed_is_told(self) -> None:
        """Plain Zarr takes a chunk that is gone for missing values."""
        task = ZarrWrite("reports", keep=1, grace=0)
        task(uniform(1), path=PATH)
        opened = zarr.open_dataset("reports", path=PATH)
        assert float(opened.a[0, 0]) == 1.0

        task(uniform(2), path=PATH)

        with pytest.raises(NotFound, match=r"there is no snapshot .* any more: open the newest"):
            opened.load()

    def test_a_removal_that_ended_half_way(self, reports: Account) -> None:
        """The metadata goes first, so that a reader is told of chunks that went after it."""
        snapshot = ZarrWrite("reports")(uniform(1), path=PATH).snapshot
        opened = zarr.open_dataset("reports", path=PATH)

        def treat(asked: Asked, forward: Callable[[], Answer]) -> Answer | None:
            return Answer(403, b"<Error><Code>AccessDenied</Code></Error>") if "list-type" in asked.path else forward()

        with between(reports.server.endpoint, treat) as endpoint:
            aim(reports, endpoint)
            fails(AccessDenied, lambda: Objects(live(S3Bucket, "reports"), PATH).remove(snapshot))
            aim(reports, reports.server.endpoint)
        obstore.delete(s3.connect("reports"), f"{PATH}/snapshots/{snapshot}/a/c/0/0")

        with pytest.raises(NotFound, match="there is no snapshot"):
            opened.load()

    def test_a_removal_that_is_refused(self, reports: Account) -> None:
        """Of keys that may write and not delete: it fails no write, and the data just stays."""
        task = ZarrWrite("reports", keep=1, grace=0)
        first = task(sea(1), path=PATH).snapshot

        def treat(asked: Asked, forward: Callable[[], Answer]) -> Answer | None:
            deletes = asked.method == "DELETE" or asked.path.endswith("?delete")
            return Answer(403, b"<Error><Code>AccessDenied</Code></Error>") if deletes else forward()

        with between(reports.server.endpoint, treat) as endpoint:
            aim(reports, endpoint)
            second = task(sea(2), path=PATH).snapshot
            aim(reports, reports.server.endpoint)

        assert snapshots() == [second]
        assert f"{PATH}/snapshots/{first}/zarr.json" in stored("")

    def test_a_chunk_that_was_never_written(self) -> None:
        """Empty chunks are not stored; they are read as what they were."""
        dataset = xr.Dataset({"a": ("x", [np.nan] * 4)})

        ZarrWrite("reports")(dataset, path=PATH)

        xr.testing.assert_identical(zarr.open_dataset("reports", path=PATH).load(), dataset)

    def test_how_many_stay(self) -> None:
        """The newest `keep`; the others go, with all their objects."""
        receipts = [ZarrWrite("reports", keep=3, grace=0)(sea(number), path=PATH) for number in range(5)]

        expected = [receipt.snapshot for receipt in reversed(receipts[2:])]
        assert snapshots() == expected
        assert {name.split("/")[3] for name in stored("") if "/snapshots/" in name} == set(expected)

    def test_for_how_long_they_stay(self) -> None:
        """At least `grace` seconds after they were current, however many there are by then."""
        now = datetime.now(UTC)
        first = written(sea(1), ZarrWrite("reports", keep=1), now - 4 * HOUR)
        second = written(sea(2), ZarrWrite("reports", keep=1), now - 2 * HOUR)
        third = written(sea(3), ZarrWrite("reports", keep=1), now - 1.5 * HOUR)
        assert snapshots() == [third, second, first]

        fourth = written(sea(4), ZarrWrite("reports", keep=1), now)

        assert snapshots() == [fourth, third]

    @pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps], ids=["pickle", "cloudpickle"])
    def test_pickles_hold_no_key(self, dumps: Callable[[object], bytes], reports: Account) -> None:
        """Store, dataset and task, after use; what arrives elsewhere works."""
        ZarrWrite("reports")(sea(1), path=PATH)
        opened = zarr.open_dataset("reports", path=PATH)
        opened.sst[0, 0].load()

        for thing in (opened, zarr.connect("reports", path=PATH), ZarrWrite("reports")):
            assert not reports.shown_in(dumps(thing)), thing
            assert not reports.shown_in(repr(thing).encode()), thing
        total = elsewhere("print(float(it.sst.sum()))", opened)
        assert float(total.splitlines()[-1]) == pytest.approx(float(sea(1).sst.sum()))


class TestDask:
    """A lazy dataset is written by workers."""

    def test_processes(self, reports: Account, tmp_path: Path) -> None:
        """They find the registry, and put what they compute under the same prefix."""
        vendor: Any = distributed  # partly typed
        options = {"n_workers": 1, "threads_per_worker": 2, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
        with (
            vendor.LocalCluster(processes=True, local_directory=str(tmp_path / "dask"), **options) as cluster,
            vendor.Client(cluster),
        ):
            ZarrWrite("reports")(sea(2).chunk({"time": 2}) + 1, path=PATH)

        xr.testing.assert_equal(zarr.open_dataset("reports", path=PATH).sst.load(), sea(2).sst + 1)


class TestNoneIsLost:
    """Writers at once: each is published, one after the other."""

    @both
    def test_threads(self, reports: Account) -> None:
        """All snapshots are in the pointer, and the current one is whole."""
        receipts = at_once(lambda number: ZarrWrite("reports")(uniform(number), path=PATH), 6)

        assert {receipt.snapshot for receipt in receipts} == set(snapshots())
        assert whole(zarr.open_dataset("reports", path=PATH).load())
        order = snapshots()
        assert {receipt.snapshot: receipt.previous for receipt in receipts} == dict(
            zip(order, [*order[1:], None], strict=True)
        )

    def test_processes(self) -> None:
        """Three, five writes each."""
        writers = [begin(write_several, range(10 * who, 10 * who + 5)) for who in range(3)]

        assert ended(*writers) == [0, 0, 0]
        assert len(snapshots()) == len(keys()) == 15
        assert whole(zarr.open_dataset("reports", path=PATH).load())

    def test_other_writers_keep_winning(self) -> None:
        """Told after 20 tries; nothing is left of the attempt."""
        ZarrWrite("reports")(sea(1), path=PATH)

        class Beaten(Objects):
            def swap(self, *_: object) -> bool:
                return False

        before = stored("")
        objects = Beaten(live(S3Bucket, "reports"), PATH)
        waits: list[float] = []

        job = _Write(ZarrWrite("reports"), objects, sea(2), None, sleep=waits.append)
        assert "were faster 20 times" in fails(Conflict, job.done)

        assert len(waits) == 20
        assert stored("") == before


class TestCrash:
    """A writer that is killed publishes all or nothing; what it leaves is removed when nobody can be writing it any more."""

    @pytest.mark.parametrize("kills", [5, pytest.param(30, marks=pytest.mark.slow)])
    def test_killed_at_random_moments(self, kills: int) -> None:
        """What is read is whole each time, and the write that comes again with the same key counts once."""
        moments = random.Random(7)
        write(-1)
        starting = time.monotonic()
        assert ended(begin(write, 0, "0")) == [0]
        usual = time.monotonic() - starting
        killed = 0

        for number in range(1, kills + 1):
            writer = begin(write, number, str(number))
            time.sleep(moments.uniform(0, usual))
            writer.kill()
            killed += ended(writer) == [-signal.SIGKILL]
            assert whole(zarr.open_dataset("reports", path=PATH).load())
            write(number, str(number))
            assert zarr.open_dataset("reports", path=PATH).attrs["number"] == number

        assert killed > 0
        assert len(keys()) == kills + 2

    def test_leftovers(self) -> None:
        """Those of a write that began more than a day ago are removed; younger ones, and what is not ours, stay."""
        bucket = s3.connect("reports")
        now = datetime.now(UTC)
        old, young = (f"{now - age:%Y%m%dT%H%M%SZ}-0" for age in (26 * HOUR, 24.5 * HOUR))
        for name in (f"{old}/a/c/0", f"{old}/zarr.json", f"{young}/a/c/0", "theirs/x", "20260101-theirs/x"):
            obstore.put(bucket, f"{PATH}/snapshots/{name}", b"1")

        receipt = ZarrWrite("reports")(sea(1), path=PATH)

        left = {name.split("/")[3] for name in stored("") if "/snapshots/" in name}
        assert left == {young, "theirs", "20260101-theirs", receipt.snapshot}

    def test_a_snapshot_in_the_pointer_is_no_leftover(self) -> None:
        """However old it is."""
        first = written(sea(1), ZarrWrite("reports"), datetime.now(UTC) - 1000 * HOUR)

        ZarrWrite("reports")(sea(2), path=PATH)

        xr.testing.assert_identical(zarr.open_dataset("reports", path=PATH, snapshot=first).load(), sea(1))

    def test_a_write_that_lasts_as_long_as_leftovers_may(self) -> None:
        """It is not published, for somebody may just be removing it."""
        ZarrWrite("reports")(sea(1), path=PATH)
        now = datetime.now(UTC)
        times = iter([now - 25 * HOUR])
        before = stored("")

        with pytest.raises(Conflict, match="took more than a day"):
            job(sea(2), ZarrWrite("reports"), lambda: next(times, now)).done()

        assert stored("") == before


class TestRotation:
    """A key that is replaced in the middle of a write stops nobody; one that is revoked is told."""

    @both
    def test_in_the_middle_of_a_write(self, reports: Account) -> None:
        """Between two chunks; the block is asked again at once, however long its `ttl`."""
        rotations: list[int] = []

        def computed(block: np.ndarray) -> np.ndarray:
            if block.size and not rotations:  # xarray tries it on nothing first
                rotations.append(1)
                reports.rotate()
            return block + 1

        ZarrWrite("reports", ttl=300)(lazily(computed), path=PATH)

        assert rotations == [1]
        xr.testing.assert_equal(zarr.open_dataset("reports", path=PATH).sst.load(), sea(2).sst + 1)

    @both
    def test_between_two_requests_for_the_pointer(self, reports: Account) -> None:
        """At once after the first, while the client still has the old key."""
        objects = Objects(live(S3Bucket, "reports", ttl=300), PATH)
        objects.pointer()

        reports.rotate()

        assert objects.pointer().pointer == Pointer()

    @pytest.mark.parametrize("asked", [lambda objects: objects.listing("x"), lambda objects: objects.snapshots()])
    def test_before_a_listing(self, reports: Account, asked: Callable[[Objects], object]) -> None:
        """Obstore has no error of its own for a listing that is refused."""
        objects = Objects(live(S3Bucket, "reports", ttl=300), PATH)
        objects.pointer()

        reports.rotate()

        assert not asked(objects)

    def test_under_an_open_dataset(self, reports: Account) -> None:
        """It goes on reading."""
        ZarrWrite("reports")(sea(1), path=PATH)
        opened = zarr.open_dataset("reports", path=PATH)

        reports.rotate()

        xr.testing.assert_identical(opened.load(), sea(1))

    def test_a_revoked_key(self, reports: Account) -> None:
        """At the beginning, and in the middle."""
        revoked: list[int] = []
        ZarrWrite("reports")(sea(1), path=PATH)

        def computed(block: np.ndarray) -> np.ndarray:
            if block.size and not revoked:
                revoked.append(1)
                reports.revoke()
            return block

        calls = [
            lambda: ZarrWrite("reports")(lazily(computed), path=PATH),
            lambda: zarr.open_dataset("reports", path=PATH),
            lambda: ZarrWrite("reports")(sea(2), path=PATH),
        ]
        for call in calls:
            text = fails(AccessDenied, call)
            assert text.endswith("refused the request (InvalidAccessKeyId): save a new version of aws-credentials/prod")


class TestServers:
    """What the promises ask of a server."""

    def test_one_without_conditional_writes(self, reports: Account) -> None:
        """It is told by a warning; what is read is whole."""

        def treat(asked: Asked, forward: Callable[[], Answer]) -> Answer | None:
            conditions = {"If-Match", "If-None-Match", "if-match", "if-none-match"} & set(asked.headers)
            return Answer(501, b"<Error><Code>NotImplemented</Code></Error>") if conditions else forward()

        with between(reports.server.endpoint, treat) as endpoint:
            aim(reports, endpoint)
            for number in range(2):
                with pytest.warns(UserWarning, match="the server of s3-bucket/reports has no conditional writes"):
                    ZarrWrite("reports")(uniform(number), path=PATH)

            assert zarr.open_dataset("reports", path=PATH).load().attrs["number"] == 1


def sea(number: int) -> xr.Dataset:
    """Monthly temperatures, different for each number."""
    values = np.random.default_rng(number).normal(size=(4, 3))
    return xr.Dataset({"sst": (("time", "x"), values)}, {"time": np.arange(4), "x": [10.0, 20.0, 30.0]})


def lazily(computed: Callable[[np.ndarray], np.ndarray]) -> xr.Dataset:
    """`sea(2)`, two chunks that are computed when they are written, one after the other."""
    chunks = sea(2).chunk({"time": 2})
    lazy: xr.Dataset = chunks.map_blocks(lambda block: block.map(lambda array: array.copy(data=computed(array.data))))
    return lazy


@contextmanager
def reader(folder: Path) -> Iterator[dict[str, Any]]:
    """A process that reads until the end of the block, and what it has counted by then."""
    counts: dict[str, Any] = {}
    process = begin(read_until_stopped, folder)
    wait_for(folder / "ready")
    try:
        yield counts
    finally:
        (folder / "stop").touch()
        assert ended(process) == [0]
        counts |= json.loads((folder / "counts").read_text())


def job(dataset: xr.Dataset, task: ZarrWrite, clock: Callable[[], datetime]) -> _Write:
    return _Write(task, Objects(live(S3Bucket, "reports"), PATH), dataset, None, clock)


def written(dataset: xr.Dataset, task: ZarrWrite, at: datetime) -> str:
    """The snapshot of a write at that time."""
    return job(dataset, task, lambda: at).done().snapshot


def pointer() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(download(f"{PATH}/current.json"))
    return found


def snapshots() -> list[str]:
    """What is published, the current one first."""
    return [snapshot["id"] for snapshot in pointer()["snapshots"]]


def keys() -> dict[str, str]:
    return dict(pointer()["keys"])


def download(name: str) -> bytes:
    return bytes(obstore.get(s3.connect("reports"), name).bytes())


def stored(under: str) -> dict[str, int]:
    """The size of each object, by its path."""
    return {item["path"]: item["size"] for item in obstore.list(s3.connect("reports"), under or None).collect()}
