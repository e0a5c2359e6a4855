"""Files are referred to by a repository that Arraylake keeps, with the keys that it gives for them."""

import pickle
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cloudpickle
import pytest
import xarray as xr

from bondstone.blocks import AccessDenied, InvalidBlock
from bondstone.integrations import arraylake
from bondstone.integrations.icechunk import IcechunkVerify, VirtualIngest, connect
from bondstone.integrations.icechunk.repo import repo
from bondstone.integrations.receipts import Fault
from tests.integrations.archives import Authorized, days, read
from tests.integrations.arraylake_stand_in import ORG, Service, bucket
from tests.integrations.conftest import Account, save
from tests.integrations.failing import fails

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*consolidated.*:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:numpy.ndarray size changed:RuntimeWarning"),
]

OCEAN = "arraylake-repo/ocean"
PLAIN = "arraylake-repo/plain"
OPENED = "GET /repos/earthmover/ocean/open"


@pytest.fixture
def files(lake: Service, reports: Account, tmp_path: Path) -> Authorized:
    """Of a repository whose own keys are delegated, as theirs are."""
    (tmp_path / "days").mkdir()
    return Authorized(lake, reports, tmp_path / "days")


@pytest.fixture
def signed(lake: Service, reports: Account, tmp_path: Path) -> Authorized:
    """Of buckets that have keys of their own, so that they can be replaced; delegated ones are good until their end."""
    (tmp_path / "days").mkdir()
    return Authorized(lake, reports, tmp_path / "days", delegated=False)


class TestAuthorizing:
    """Arraylake says what a repository may refer to."""

    def test_what_the_vendor_reads(self, files: Authorized) -> None:
        """Its own client, which is told of the container by Arraylake."""
        VirtualIngest(OCEAN)(files.urls, group="days", message="m", dim="time")

        store = arraylake.connect("prod").get_repo(f"{ORG}/ocean").readonly_session("main").store
        theirs = xr.open_zarr(store, group="days", consolidated=False, chunks=None).load()
        xr.testing.assert_equal(theirs, xr.concat([days(0), days(1)], "time"))

    def test_a_prefix_that_was_authorized_a_moment_ago(self, files: Authorized) -> None:
        """What Arraylake said before is good for `ttl`, but not for a file that it does not speak of."""
        files.authorize(remove=[files.prefix])
        assert connect(OCEAN, ttl=300).config.virtual_chunk_containers in (None, {})

        files.authorize(add={files.prefix: "archive"})

        receipt = VirtualIngest(OCEAN, ttl=300)(files.urls[0], group="days", message="m")
        assert receipt.ingested == (files.urls[0],)
        xr.testing.assert_equal(read(OCEAN, "days"), days(0))

    def test_what_is_not_authorized(self, files: Authorized) -> None:
        """Another bucket, and a folder, which Arraylake refuses everybody."""
        for url in ("s3://other/x.nc", "file:///data/x.nc"):
            text = fails(InvalidBlock, lambda url=url: VirtualIngest(OCEAN)(url, group="days", message="m"))  # type: ignore[misc]

            assert text == (
                f"Arraylake does not let 'earthmover/ocean' of arraylake-repo/ocean refer to {url}: "
                "authorize its prefix by update_virtual_chunk_containers of arraylake.connect"
            )

    def test_a_prefix_that_is_no_longer_authorized(self, lake: Service, files: Authorized) -> None:
        """Each file is told; Arraylake is not asked for each."""
        urls = [*files.urls, *(files.put(f"{number}.nc", days(number)) for number in range(2, 6))]
        VirtualIngest(OCEAN)(urls, group="days", message="m", dim="time")
        files.authorize(remove=[files.prefix])
        lake.forget()

        report = IcechunkVerify(OCEAN, ttl=30)(sample=1.0)

        assert {Fault(url, "refused") for url in urls} <= set(report.stale)
        assert Fault("days/sst/c/0/0", "refused") in report.stale
        assert lake.asked(OPENED) <= 5

    def test_a_prefix_that_is_taken_away_meanwhile(self, files: Authorized) -> None:
        """Told by whoever had found it before."""
        container = repo(OCEAN, ttl=0).container(files.urls[0])
        files.authorize(remove=[files.prefix])

        text = fails(AccessDenied, lambda: container.look(files.urls[0]))

        assert text == f"Arraylake no longer lets 'earthmover/ocean' refer to {files.prefix}: authorize it there again"

    def test_a_bucket_that_is_public(self, files: Authorized) -> None:
        """Arraylake gives no keys, and nothing is signed; before the bucket is opened to all that is refused."""
        public = bucket(files.reports.server, "s3", {"method": "anonymous"}, files.bucket)
        files.lake.change(buckets=files.lake.known()["buckets"] | {"archive": public})
        ingest = partial(VirtualIngest(OCEAN, ttl=0), files.urls[0], group="days", message="m")

        assert "refused the keys" in fails(AccessDenied, ingest)
        files.open_to_all()

        assert ingest().ingested == (files.urls[0],)
        xr.testing.assert_equal(read(OCEAN, "days"), days(0))


class TestKeys:
    """Those of the files are Arraylake's, of the moment, and in nothing that travels."""

    def test_keys_that_are_replaced_between(self, signed: Authorized) -> None:
        """Those of the bucket, while the repository is open: the old ones are known for a while, and refused."""
        ingest = VirtualIngest(PLAIN, ttl=300)
        ingest(signed.urls[0], group="days", message="m", dim="time")

        signed.rotate()

        assert ingest(signed.urls[1], group="days", message="m", dim="time").ingested == (signed.urls[1],)
        xr.testing.assert_equal(read(PLAIN, "days"), xr.concat([days(0), days(1)], "time"))

    def test_keys_that_are_dead(self, signed: Authorized) -> None:
        """What is to be corrected is at Arraylake; the error shows none of them."""
        signed.reports.server.delete_key(signed.user, signed.key.access_key_id)

        with pytest.raises(AccessDenied) as caught:
            VirtualIngest(PLAIN)(signed.urls[0], group="days", message="m")

        assert str(caught.value) == (
            f"{signed.prefix} refused the keys that Arraylake gave for {PLAIN}: correct its bucket at Arraylake"
        )
        assert not signed.lake.shown_in(told(caught.value))

    def test_a_file_that_is_overwritten(self, signed: Authorized) -> None:
        """Is found by its etag, also by a key that was replaced meanwhile."""
        VirtualIngest(PLAIN, ttl=300)(signed.urls, group="days", message="m", dim="time")
        signed.put("0.nc", days(0) + 1)
        signed.rotate()

        report = IcechunkVerify(PLAIN, ttl=300)()

        assert [fault for fault in report.stale if fault.where in signed.urls] == [Fault(signed.urls[0], "changed")]

    @pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps], ids=["pickle", "cloudpickle"])
    def test_what_travels(self, lake: Service, files: Authorized, dumps: Callable[[object], bytes]) -> None:
        """Task, receipt, container, its keys, and the session that reads: no key, and no token."""
        ingest = VirtualIngest(OCEAN)
        receipt = ingest(files.urls, group="days", message="m", dim="time")
        read(OCEAN, "days")
        session, container = connect(OCEAN).readonly_session("main"), repo(OCEAN).container(files.urls[0])

        for thing in (ingest, receipt, session, container, container.keys):
            assert not lake.shown_in(dumps(thing)), thing
            assert not lake.shown_in(repr(thing).encode()), thing

    def test_a_token_that_is_replaced_between(self, lake: Service, files: Authorized) -> None:
        """The same task goes on."""
        ingest = VirtualIngest(OCEAN, ttl=0)
        ingest(files.urls[0], group="days", message="m", dim="time")
        lake.accept("ema_second-token")
        save("arraylake-token/prod", token="ema_second-token", service_uri=lake.uri)

        assert ingest(files.urls[1], group="days", message="m", dim="time").ingested == (files.urls[1],)


def told(error: BaseException) -> bytes:
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()).encode()
