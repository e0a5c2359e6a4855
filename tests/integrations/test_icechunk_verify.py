"""What was deleted behind a repository's back is found by asking, not by reading it all."""

from pathlib import Path
from typing import Any

import icechunk as vendor
import numpy as np
import pytest
import xarray as xr

from bondstone.blocks import AccessDenied, IcechunkRepo, NotFound
from bondstone.integrations.icechunk import IcechunkCommit, IcechunkVerify, connect
from bondstone.integrations.receipts import Fault
from tests.integrations.conftest import BUCKET, Account

pytestmark = pytest.mark.filterwarnings("ignore:.*consolidated.*:RuntimeWarning")
CHUNKS = 12


@pytest.fixture(params=("local", "ocean"))
def repo(request: pytest.FixtureRequest, reports: Account) -> str:
    """The name of a repository in a local folder, and of one in a bucket."""
    return str(request.param)


class TestWhole:
    """Nothing is wrong."""

    def test_a_new_repository(self, repo: str) -> None:
        """There is nothing in it."""
        report = IcechunkVerify(repo)()

        assert report.ok
        assert (report.arrays, report.manifests, report.chunks, report.checked) == (0, 0, 0, 0)

    def test_all_chunks(self, repo: str) -> None:
        """Counted, and asked for."""
        receipt = IcechunkCommit(repo)(sea(1), group="g", message="m")

        report = IcechunkVerify(repo)(sample=1.0)

        assert report.ok
        assert (report.snapshot, report.arrays, report.chunks, report.checked) == (receipt.snapshot, 1, CHUNKS, CHUNKS)
        assert report.block == f"icechunk-repo/{repo}"

    def test_a_sample_of_every_manifest(self, repo: str) -> None:
        """At least one chunk of each, not more than is asked for."""
        split_manifests(repo, 4)
        IcechunkCommit(repo)(sea(1), group="g", message="m")

        few, half = IcechunkVerify(repo)(sample=0.01), IcechunkVerify(repo)(sample=0.5)

        assert (few.manifests, few.chunks, few.checked) == (3, CHUNKS, 3)
        assert (half.checked, half.ok) == (6, True)


class TestBroken:
    """What a reader would not get is named."""

    def test_a_chunk_that_is_gone(self, repo: str, reports: Account) -> None:
        """Its object was deleted: by its array and place, and no other is."""
        IcechunkCommit(repo)(sea(1), group="g", message="m")
        delete(repo, reports, "chunks", which=0)

        report = IcechunkVerify(repo)(sample=1.0)

        assert not report.ok
        assert [fault.what for fault in report.missing] == ["missing"]
        gone = report.missing[0].where
        with pytest.raises(vendor.StorageError):
            read(repo, row=int(gone.split("/")[3]))
        for row in set(range(CHUNKS)) - {int(gone.split("/")[3])}:
            read(repo, row)

    def test_every_manifest_is_sampled(self, repo: str, reports: Account) -> None:
        """When all chunks are gone, each manifest tells one."""
        split_manifests(repo, 4)
        IcechunkCommit(repo)(sea(1), group="g", message="m")
        for _ in range(CHUNKS):
            delete(repo, reports, "chunks", which=0)

        report = IcechunkVerify(repo)()

        rows = sorted(int(fault.where.split("/")[3]) // 4 for fault in report.missing)
        assert rows == [0, 1, 2]

    def test_a_manifest_that_is_gone(self, repo: str, reports: Account) -> None:
        """By its array."""
        IcechunkCommit(repo)(sea(1), group="g", message="m")
        delete(repo, reports, "manifests", which=0)

        assert IcechunkVerify(repo)().missing == (Fault("/g/sst (manifest)", "missing"),)

    def test_an_older_snapshot(self, repo: str, reports: Account) -> None:
        """Is verified by its id; what a newer one lacks does not count."""
        first = IcechunkCommit(repo)(sea(1), group="g", message="first")
        delete(repo, reports, "chunks", which=0)
        IcechunkCommit(repo)(sea(2), group="g", message="second")

        assert not IcechunkVerify(repo)(first.snapshot, sample=1.0).ok
        assert IcechunkVerify(repo)(sample=1.0).ok

    @pytest.mark.parametrize("snapshot", ["NWY1G59M3808VMQ5RGW0", "no such thing"])
    def test_a_snapshot_that_is_not_there(self, snapshot: str, repo: str) -> None:
        """Told by name."""
        with pytest.raises(
            NotFound, match=f"there is no snapshot '{snapshot}' in the repository of icechunk-repo/{repo}"
        ):
            IcechunkVerify(repo)(snapshot)

    def test_a_dead_key_is_no_missing_chunk(self, reports: Account) -> None:
        """It fails as every task does."""
        IcechunkCommit("ocean")(sea(1), group="g", message="m")
        reports.revoke()

        with pytest.raises(AccessDenied, match="save a new version of aws-credentials/prod"):
            IcechunkVerify("ocean")()


class TestBounds:
    """It ends."""

    def test_in_time(self, reports: Account) -> None:
        """What was not asked for within it is not said to be good."""
        IcechunkCommit("local")(sea(1), group="g", message="m")

        report = IcechunkVerify("local")(sample=1.0, seconds=0.0)

        assert (report.checked, report.complete, report.ok) == (0, False, False)

    def test_progress(self, reports: Account) -> None:
        """Is told as it goes."""
        IcechunkCommit("local")(sea(1, rows=40), group="g", message="m")
        told: list[tuple[int, int]] = []

        IcechunkVerify("local")(sample=1.0, progress=lambda *numbers: told.append(numbers))

        assert told == [(16, 40), (32, 40), (40, 40)]

    def test_one_byte_of_each(self, reports: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is downloaded whole."""
        IcechunkCommit("local")(sea(1), group="g", message="m")
        asked: list[Any] = []
        get = vendor.IcechunkStore.get

        async def spied(store: Any, key: str, prototype: Any, byte_range: Any = None) -> Any:
            found: Any = await get(store, key, prototype, byte_range)
            if "/c/" in key:
                asked.append(len(found.to_bytes()))
            return found

        monkeypatch.setattr(vendor.IcechunkStore, "get", spied)

        assert IcechunkVerify("local")(sample=1.0).checked == CHUNKS
        assert asked == [1] * CHUNKS


def sea(number: int, rows: int = CHUNKS) -> xr.Dataset:
    """Rows, each of which is a chunk that is too large for a manifest."""
    dataset = xr.Dataset({"sst": (("time", "x"), np.random.default_rng(number).normal(size=(rows, 200)))})
    dataset.sst.encoding = {"chunks": (1, 200)}
    return dataset


def split_manifests(repo: str, size: int) -> None:
    """Of at most `size` chunks each."""
    repository = connect(repo)
    rule: Any = {vendor.ManifestSplitCondition.AnyArray(): {vendor.ManifestSplitDimCondition.Any(): size}}
    splitting = vendor.ManifestSplittingConfig.from_dict(rule)
    config = vendor.RepositoryConfig(manifest=vendor.ManifestConfig(splitting=splitting))
    vendor.Repository.open(repository.storage, config=config).save_config()


def delete(repo: str, reports: Account, kind: str, *, which: int) -> None:
    """One object of the repository, by other means."""
    block = IcechunkRepo.load(repo)
    if block.path:
        sorted(file for file in (Path(block.path) / kind).rglob("*") if file.is_file())[which].unlink()
        return
    admin = reports.server.client("s3")
    objects = admin.list_objects_v2(Bucket=BUCKET, Prefix=f"{block.prefix}/{kind}/")["Contents"]
    admin.delete_object(Bucket=BUCKET, Key=objects[which]["Key"])


def read(repo: str, row: int) -> None:
    store = connect(repo).readonly_session("main").store
    xr.open_zarr(store, group="g", consolidated=False, chunks=None).sst[row].load()
