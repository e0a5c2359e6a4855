"""Files are referred to where they lie, each once, and by credentials of their own."""

import json
import pickle
import time
from pathlib import Path

import icechunk as vendor
import pytest
import xarray as xr

from bondstone.blocks import AccessDenied, Conflict, IcechunkRepo, InvalidBlock, NotFound
from bondstone.integrations.icechunk import IcechunkCommit, IcechunkVerify, VirtualIngest, connect
from bondstone.integrations.icechunk.containers import longest
from bondstone.integrations.receipts import Fault
from bondstone.registry import current_registry
from tests.integrations.archives import Authorized, Files, days, messages, read
from tests.integrations.conftest import Account, save

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*consolidated.*:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:numpy.ndarray size changed:RuntimeWarning"),
]


@pytest.fixture(params=("s3", "file", "arraylake"))
def files(request: pytest.FixtureRequest, reports: Account, tmp_path: Path) -> Files:
    """In a bucket, in a folder, and in a bucket that Arraylake has the keys of."""
    (tmp_path / "days").mkdir()
    if request.param == "arraylake":
        return Authorized(request.getfixturevalue("lake"), reports, tmp_path / "days")
    return Files(reports, tmp_path / "days", request.param)


@pytest.fixture
def remote(reports: Account, tmp_path: Path) -> Files:
    """In a bucket."""
    (tmp_path / "days").mkdir()
    return Files(reports, tmp_path / "days", "s3")


class TestIngesting:
    """What is read is what the files hold; no byte of it is copied."""

    def test_files_one_after_the_other(self, files: Files) -> None:
        """Along a dimension, in two calls; the attributes tell which files they are."""
        ingest = VirtualIngest(files.repo)

        first = ingest(files.urls[:1], group="days", message="first", dim="time")
        second = ingest(files.urls, group="days", message="second", dim="time")

        expected = xr.concat([days(0), days(1)], "time")
        xr.testing.assert_equal(read(files.repo, "days"), expected)
        assert (first.ingested, first.skipped) == ((files.urls[0],), ())
        assert (second.ingested, second.skipped) == ((files.urls[1],), (files.urls[0],))
        assert (first.already, second.already) == (False, False)
        assert list(json.loads(read(files.repo, "days").attrs["bondstone_sources"])) == files.urls
        session = connect(files.repo).readonly_session("main")
        assert set(session.all_virtual_chunk_locations()) == set(files.urls)

    def test_a_local_path(self, reports: Account, tmp_path: Path) -> None:
        """Is as good as its URL."""
        (tmp_path / "days").mkdir()
        files = Files(reports, tmp_path / "days", "file")

        receipt = VirtualIngest("ocean")(tmp_path / "days/0.nc", group="days", message="m")

        assert receipt.ingested == (files.urls[0],)

    def test_a_key_that_is_replaced_between(self, remote: Files, monkeypatch: pytest.MonkeyPatch) -> None:
        """The files' key, while the repository is open; where a registry is shared, the old one is known for a while, and refused."""
        monkeypatch.setattr(current_registry()._store, "tells_changes", False)
        ingest = VirtualIngest(remote.repo, ttl=300)
        ingest(remote.urls[0], group="days", message="m", dim="time")
        session = connect(remote.repo, ttl=0).readonly_session("main")

        remote.rotate()

        assert ingest(remote.urls[1], group="days", message="m", dim="time").ingested == (remote.urls[1],)
        xr.testing.assert_equal(
            xr.open_zarr(session.store, group="days", consolidated=False, chunks=None).load(), days(0)
        )
        assert remote.key.secret_access_key.encode() not in pickle.dumps(session)

    @pytest.mark.parametrize("files", ["s3", "file"], indirect=True)
    def test_other_readers(self, files: Files) -> None:
        """The repository itself tells where the container is: icechunk alone reads it, given a key. Arraylake tells its own."""
        VirtualIngest(files.repo)(files.urls[0], group="days", message="m")

        containers = connect(files.repo).config.virtual_chunk_containers

        assert containers is not None
        assert list(containers) == [files.prefix]


class TestOnce:
    """A file is taken once."""

    def test_the_same_file_again(self, files: Files) -> None:
        """Nothing is written; that is a success, and it says so."""
        first = VirtualIngest(files.repo)(files.urls[0], group="days", message="first", dim="time")

        again = VirtualIngest(files.repo)(files.urls[0], group="days", message="again", dim="time")

        assert (again.already, again.changed, again.ingested, again.skipped) == (True, False, (), (files.urls[0],))
        assert again.snapshot == first.snapshot
        xr.testing.assert_equal(read(files.repo, "days"), days(0))

    def test_a_file_that_has_changed(self, files: Files) -> None:
        """Refused by name; with `replace` the group is made anew."""
        VirtualIngest(files.repo)(files.urls, group="days", message="first", dim="time")
        files.put("0.nc", days(0) + 1)

        with pytest.raises(Conflict) as caught:
            VirtualIngest(files.repo)(files.urls, group="days", message="second", dim="time")
        receipt = VirtualIngest(files.repo)(files.urls, group="days", message="third", dim="time", replace=True)

        assert str(caught.value).startswith(f"{files.urls[0]} has changed since it was ingested: ")
        assert receipt.ingested == tuple(files.urls)
        xr.testing.assert_equal(read(files.repo, "days"), xr.concat([days(0) + 1, days(1)], "time"))

    def test_a_repeated_key(self, files: Files) -> None:
        """For the same files it is done already; for others it is refused."""
        first = VirtualIngest(files.repo)(files.urls, group="days", message="first", dim="time", key="k")

        again = VirtualIngest(files.repo)(files.urls, group="days", message="again", dim="time", key="k")

        assert (again.already, again.snapshot, again.skipped) == (True, first.snapshot, tuple(files.urls))
        with pytest.raises(Conflict, match="this key has ingested other files"):
            VirtualIngest(files.repo)(files.urls[:1], group="days", message="other", dim="time", key="k")


class TestRefusing:
    """What would mix data up is refused, and nothing is committed."""

    def test_without_a_dimension(self, remote: Files) -> None:
        """A second file would take the first one's place."""
        with pytest.raises(Conflict, match="the group 'days' holds other files: give the dim to append along"):
            VirtualIngest(remote.repo)(remote.urls, group="days", message="m")

        assert messages(remote.repo) == []

    def test_a_group_of_other_data(self, remote: Files) -> None:
        """They stay, unless they are to be replaced."""
        IcechunkCommit(remote.repo)(days(5), group="days", message="first")

        with pytest.raises(Conflict, match="the group 'days' holds data that were not ingested"):
            VirtualIngest(remote.repo)(remote.urls[0], group="days", message="m", dim="time")
        VirtualIngest(remote.repo)(remote.urls[0], group="days", message="second", replace=True)

        xr.testing.assert_equal(read(remote.repo, "days"), days(0))
        IcechunkCommit(remote.repo)(days(5), group="days", message="third")
        assert "bondstone_sources" not in read(remote.repo, "days").attrs

    def test_files_that_overlap_or_turn_back(self, remote: Files) -> None:
        """By the coordinate."""
        remote.put("copy.nc", days(0))
        for urls in ([remote.urls[0], f"{remote.prefix}copy.nc"], [*remote.urls[::-1], remote.put("2.nc", days(2))]):
            with pytest.raises(Conflict, match="the files overlap along 'time', or are not in its order"):
                VirtualIngest(remote.repo)(urls, group="days", message="m", dim="time")

        assert messages(remote.repo) == []

    @pytest.mark.parametrize("files", ["s3", "file"], indirect=True)
    def test_a_file_outside_the_containers(self, files: Files) -> None:
        """The block says what may be read."""
        with pytest.raises(InvalidBlock, match=r"icechunk-repo/ocean has no container for s3://other/x\.nc"):
            VirtualIngest(files.repo)("s3://other/x.nc", group="days", message="m")

    def test_containers_in_one_another(self) -> None:
        """The one that says most counts, whose keys may be others; other clouds' are not for us."""
        assert longest(["s3://a/", "s3://a/days/", "s3://a/b/"], "s3://a/days/0.nc") == "s3://a/days/"
        assert longest(["gs://a/"], "gs://a/0.nc") is None

    def test_a_file_that_is_not_there(self, files: Files) -> None:
        """Before anything is written."""
        with pytest.raises(NotFound):
            VirtualIngest(files.repo)(f"{files.prefix}none.nc", group="days", message="m")

    def test_a_key_that_is_dead(self, remote: Files) -> None:
        """The block to renew is the files' own."""
        remote.reports.server.delete_key(remote.user, remote.key.access_key_id)

        with pytest.raises(AccessDenied, match="save a new version of aws-credentials/archive"):
            VirtualIngest(remote.repo)(remote.urls[0], group="days", message="m")


class TestChangingLater:
    """A file that is overwritten is not read as if nothing had happened, and is told."""

    def test_a_file_that_is_overwritten(self, files: Files) -> None:
        """Reading fails by icechunk's word; the report names the chunks and the file."""
        VirtualIngest(files.repo)(files.urls, group="days", message="m", dim="time")
        time.sleep(1.1)  # icechunk compares whole seconds
        files.put("0.nc", days(0) + 1)

        with pytest.raises(vendor.StorageError) as caught:
            read(files.repo, "days")
        report = IcechunkVerify(files.repo)(sample=1.0)

        assert caught.value.kind == "virtual-chunk-modified"
        assert not report.ok
        assert Fault(files.urls[0], "changed") in report.stale
        assert Fault("days/sst/c/0/0", "changed") in report.stale
        assert not [fault for fault in report.stale if fault.where in (files.urls[1], "days/sst/c/3/0")]

    def test_within_the_same_second(self, files: Files) -> None:
        """Icechunk would read it; its etag tells."""
        VirtualIngest(files.repo)(files.urls, group="days", message="m", dim="time")
        files.put("0.nc", days(0) + 1)

        assert Fault(files.urls[0], "changed") in IcechunkVerify(files.repo)().stale

    def test_a_file_that_is_gone(self, files: Files) -> None:
        """Told as such."""
        VirtualIngest(files.repo)(files.urls, group="days", message="m", dim="time")
        files.remove("1.nc")

        report = IcechunkVerify(files.repo)(sample=1.0)

        assert Fault(files.urls[1], "gone") in report.stale
        assert Fault("days/sst/c/3/0", "gone") in report.stale
        assert report.missing == ()

    def test_a_container_that_the_block_no_longer_has(self, remote: Files) -> None:
        """Nothing there can be read, which is told for each file and chunk."""
        VirtualIngest("ocean")(remote.urls, group="days", message="m", dim="time")
        save("icechunk-repo/ocean", bucket="s3-bucket/reports", prefix=IcechunkRepo.load("ocean").prefix)

        report = IcechunkVerify("ocean", ttl=0)(sample=1.0)

        assert {Fault(remote.urls[0], "refused"), Fault("days/sst/c/0/0", "refused")} <= set(report.stale)
        assert report.missing == ()

    def test_files_as_they_were(self, files: Files) -> None:
        """Are counted."""
        VirtualIngest(files.repo)(files.urls, group="days", message="m", dim="time")

        report = IcechunkVerify(files.repo)()

        assert report.ok
        assert report.sources == 2
