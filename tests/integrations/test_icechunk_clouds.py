"""Repositories in Google Cloud Storage and in Azure: the same commits, by credentials that change meanwhile and are in no pickle."""

import base64
import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import cloudpickle
import icechunk
import numpy as np
import pytest
import xarray as xr
import zarr

from bondstone.blocks import AccessDenied, IcechunkRepo, InvalidBlock, NotFound, live
from bondstone.blocks.rotator import rotator_of
from bondstone.integrations.icechunk import (
    IcechunkAppend,
    IcechunkCommit,
    IcechunkGarbageCollect,
    IcechunkPublish,
    IcechunkRollback,
    connect,
    cutoffs,
)
from bondstone.integrations.icechunk.repository import shared
from bondstone.integrations.icechunk.signing import AzureAsked, GcsAsked
from bondstone.integrations.icechunk.storage import storage
from bondstone.integrations.rotators.testing import everything
from tests.integrations.clouds import CLOUDS, Cloud, secret_of
from tests.integrations.conftest import elsewhere, save
from tests.integrations.failing import fails
from tests.integrations.growing import meanwhile, months
from tests.integrations.oceans import sea, values
from tests.integrations.versions import loaded, messages, read

pytestmark = pytest.mark.filterwarnings("ignore:.*consolidated.*:RuntimeWarning")

one_of_each = pytest.mark.parametrize("cloud", ["google", "azure"], indirect=True)
URIS = {"gcs-bucket/reports": "gs://reports/2026/ocean", "azure-container/reports": "az://reports/2026/ocean"}
REFUSALS = [
    ("google", 403, "AccessDenied"),
    ("google", 401, "Unauthorized"),
    ("azure", 403, "AuthorizationFailure"),
    ("azure", 403, "AuthorizationPermissionMismatch"),
    ("azure", 401, "NoAuthenticationInformation"),
    ("azure", 401, "InvalidAuthenticationInfo"),
    ("azure", 409, "PublicAccessNotPermitted"),
    ("azure", 403, "Forbidden"),
]


@pytest.fixture(params=list(CLOUDS))
def cloud(request: pytest.FixtureRequest, home: object) -> Iterator[Cloud]:
    """Each vendor, and each way that credentials sign."""
    with CLOUDS[request.param]() as cloud:
        yield cloud


@one_of_each
class TestVersions:
    """What holds on S3 holds here."""

    def test_a_key_commits_once(self, cloud: Cloud) -> None:
        """Told by a receipt that names the place as the vendor does."""
        commit = IcechunkCommit("ocean")
        first, again = (commit(sea(1), group="g", message="m", key="2026-11") for _ in range(2))

        assert (first.already, again.already, again.snapshot) == (False, True, first.snapshot)
        assert (first.uri, first.block, first.changes.chunks) == (URIS[cloud.bucket], "icechunk-repo/ocean", 4)
        assert messages("ocean") == ["m"]
        np.testing.assert_array_equal(values("ocean", "g/sst"), sea(1).sst)

    def test_two_writers_who_append(self, cloud: Cloud) -> None:
        """One is faster; the other is done again, after it: the storage refuses what it did not see."""
        append = IcechunkAppend("ocean", allow=("gap",))
        append(months(0, 2), group="g", message="first")
        late, times = meanwhile(months(3), lambda: append(months(2), group="g", message="faster"))

        append(late, group="g", message="late")

        xr.testing.assert_identical(read("ocean", "g"), months(0, 4))
        assert (len(times), messages("ocean")) == (2, ["late", "faster", "first"])

    def test_publishing_and_back(self, cloud: Cloud) -> None:
        """What fails its check is held, what was published is undone."""
        publish = IcechunkPublish("ocean", [lambda dataset: bool(abs(dataset.sst).max() < 50)])
        first = publish(sea(1), group="g", message="good", key="1")

        held = publish(sea(2) * 100, group="g", message="bad", key="2")
        second = publish(sea(3), group="g", message="good", key="3")
        IcechunkRollback("ocean")(to=first.snapshot or "")

        assert (held.published, second.published) == (False, True)
        np.testing.assert_array_equal(values("ocean", "g/sst"), sea(1).sst)

    def test_garbage_is_deleted(self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
        """Objects that no version needs go, and no other."""
        monkeypatch.setattr(cutoffs, "FLOOR", -timedelta(minutes=1))  # objects of Azure are dated by the second
        IcechunkCommit("ocean")(sea(1), group="g", message="m")
        session = connect("ocean").writable_session("main")
        zarr.create_array(session.store, name="a", data=sea(2).sst.values, chunks=(1, 1024))  # which is never committed

        receipt = IcechunkGarbageCollect("ocean")(older_than=datetime.now(UTC) + timedelta(seconds=30))

        assert receipt.freed.chunks == 4
        np.testing.assert_array_equal(values("ocean", "g/sst"), sea(1).sst)

    def test_a_large_chunk(self, cloud: Cloud) -> None:
        """Icechunk reads it in several parts at once."""
        rows = np.random.default_rng(0).normal(size=2_000_000)

        def write(session: icechunk.Session) -> None:
            zarr.create_array(session.store, name="a", data=rows, chunks=rows.shape, compressors=None)

        IcechunkCommit("ocean")(write, message="m")

        np.testing.assert_array_equal(values("ocean", "a"), rows)
        assert sum(line.startswith("GET") and "/chunks/" in line for line in cloud.service.asked) == 2


class TestRotation:
    """What signs is looked up whenever icechunk asks."""

    def test_in_the_middle_of_a_write(self, cloud: Cloud) -> None:
        """What icechunk would keep for minutes is refused: it is written again with what the block holds by then."""
        calls: list[int] = []

        def write(session: icechunk.Session) -> None:
            calls.append(1)
            if len(calls) == 1:
                cloud.rotate()
            zarr.create_array(session.store, name="a", data=sea(1).sst.values, chunks=(1, 1024))

        IcechunkCommit("ocean", ttl=300)(write, message="m", key="2026-11")

        assert (len(calls), messages("ocean")) == (2, ["m"])
        np.testing.assert_array_equal(values("ocean", "a"), sea(1).sst)

    def test_before_opening(self, cloud: Cloud) -> None:
        """Those that this process knows are refused."""
        IcechunkCommit("ocean", ttl=300)(sea(1), group="g", message="m")

        cloud.rotate()

        assert connect("ocean", ttl=300).lookup_branch("main")

    def test_under_an_open_repository(self, cloud: Cloud) -> None:
        """The vendor's own repository, read session and write session."""
        IcechunkCommit("ocean")(sea(1), group="g", message="first")
        repository = connect("ocean", ttl=0)
        reading, writing = repository.readonly_session("main"), repository.writable_session("main")

        cloud.rotate()

        xr.testing.assert_identical(loaded(reading, "g"), sea(1))
        zarr.create_array(writing.store, name="a", data=sea(2).sst.values, chunks=(1, 1024))
        assert repository.lookup_branch("main") != writing.commit("second")
        np.testing.assert_array_equal(values("ocean", "a"), sea(2).sst)

    @pytest.mark.parametrize("cloud", ["azure-principal"], indirect=True)
    def test_when_icechunk_asks_again(self, cloud: Cloud) -> None:
        """After `ttl`, or at the end of a token where that is earlier."""
        asked, now = AzureAsked(live(IcechunkRepo, "ocean", ttl=300)), datetime(2026, 11, 21, tzinfo=UTC)

        assert asked.soon(None, now) == asked.soon(now + timedelta(hours=1), now) == now + timedelta(seconds=300)
        assert asked.soon(now + timedelta(seconds=60), now) == now + timedelta(seconds=60)

    def test_a_bucket_that_has_no_credentials_any_more(self, cloud: Cloud) -> None:
        """An open repository goes on with none in their place; one that is opened anew does by what the block says."""
        handle = shared(live(IcechunkRepo, "ocean", ttl=0))
        save("icechunk-repo/ocean", path="/nowhere")

        for asked in (GcsAsked(handle), AzureAsked(handle)):
            assert "the bucket of icechunk-repo/ocean has no " in fails(InvalidBlock, asked)


class TestRefusals:
    """One line that names the block to correct, nothing of the vendor's text."""

    def test_what_was_revoked(self, cloud: Cloud) -> None:
        """For a commit, and for opening."""
        commit = IcechunkCommit("ocean", ttl=0)
        commit(sea(1), group="g", message="first")

        cloud.service.revoke()

        for call in (lambda: commit(sea(2), group="g", message="second"), lambda: connect("ocean", ttl=0)):
            with pytest.raises(AccessDenied) as caught:
                call()
            code = "AuthenticationRequired" if "gcs" in cloud.bucket else "AuthenticationFailed"
            assert str(caught.value) == (
                f"the storage of icechunk-repo/ocean refused the request ({code}): save a new version of {cloud.credentials}"
            )
            assert not cloud.shown_in(everything(caught.value).encode())

    @pytest.mark.parametrize(("cloud", "status", "word"), REFUSALS, indirect=["cloud"])
    def test_whatever_the_service_calls_it(self, cloud: Cloud, status: int, word: str) -> None:
        """By the words of its documentation, or by the status of an answer that has none."""
        cloud.service.revoke()
        cloud.service.refusal = status, "" if word in ("Forbidden", "Unauthorized") else word

        assert f"refused the request ({word}): save a new version" in fails(AccessDenied, lambda: connect("ocean"))

    @one_of_each
    def test_a_bucket_that_is_not_there(self, cloud: Cloud) -> None:
        """None is made."""
        other = {"container": "none"} if "azure" in cloud.bucket else {"bucket": "none"}
        save(cloud.bucket, **other, endpoint=cloud.service.url, credentials=cloud.credentials)

        text = fails(NotFound, lambda: IcechunkCommit("ocean")(sea(1), message="m"))

        assert text == "the bucket of icechunk-repo/ocean does not exist: create it, or correct the block"

    @pytest.mark.parametrize("cloud", ["azure-principal"], indirect=True)
    def test_a_secret_that_entra_refuses(self, cloud: Cloud) -> None:
        """Told by the block that holds it."""
        save("azure-credentials/prod", **{**dict(cloud.new()), "client_secret": "ABC8Q~of-another"})

        assert "save a new version of azure-credentials/prod" in fails(AccessDenied, lambda: connect("ocean"))


class TestTravelling:
    """What is sent holds the name of the block; what arrives asks for itself."""

    @pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps], ids=["pickle", "cloudpickle"])
    def test_pickles_hold_no_secret(self, cloud: Cloud, dumps: Callable[[object], bytes]) -> None:
        """Repository, session, store, fork, task and receipt, after use; the vendor's own hold what signs them."""
        commit = IcechunkCommit("ocean")
        receipt = commit(sea(1), group="g", message="m", key="k")
        repository = connect("ocean")
        read = repository.readonly_session("main")
        theirs = icechunk.Repository.open(storage(icechunk, IcechunkRepo.load("ocean")))

        assert cloud.shown_in(dumps(theirs))
        for thing in (repository, read, read.store, repository.writable_session("main").fork(), commit, receipt):
            assert not cloud.shown_in(dumps(thing)), thing
            assert not cloud.shown_in(repr(thing).encode()), thing

    def test_a_fork_that_is_written_elsewhere(self, cloud: Cloud) -> None:
        """In another process, after a rotation; it is merged and committed here."""
        IcechunkCommit("ocean")(sea(1), group="g", message="first")
        session = connect("ocean", ttl=0).writable_session("main")
        fork = session.fork()
        cloud.rotate()

        told = elsewhere(
            "import base64, zarr\n"
            "zarr.open_array(it.store, path='g/sst')[0, 0] = 42\n"
            "print(base64.b64encode(pickle.dumps(it)).decode())",
            fork,
        )
        session.merge(pickle.loads(base64.b64decode(told)))
        session.commit("merged")

        assert read("ocean", "g").sst[0, 0] == 42


class TestOtherCredentials:
    """Those of a version, of nobody, and of the environment."""

    def test_what_a_version_holds_is_verified(self, cloud: Cloud) -> None:
        """By its own credentials, also when others are current."""
        snapshot, before = connect("ocean").lookup_branch("main"), IcechunkRepo.load("ocean")
        rotator: Any = rotator_of("icechunk-repo")
        assert rotator.verify(before).identity == f"{URIS[cloud.bucket]} at snapshot {snapshot}"

        cloud.rotate()

        assert rotator.verify(IcechunkRepo.load("ocean"))
        with pytest.raises(AccessDenied, match=cloud.credentials) as caught:
            rotator.verify(before)
        assert not cloud.shown_in(everything(caught.value).encode())

    @one_of_each
    def test_a_public_bucket(self, cloud: Cloud) -> None:
        """Read without a word of who asks."""
        IcechunkCommit("ocean")(sea(1), group="g", message="m")
        self.change(cloud, anonymous=True)
        assert fails(AccessDenied, lambda: read("ocean", "g")).startswith("the storage of icechunk-repo/ocean refused")

        cloud.service.public = True

        np.testing.assert_array_equal(values("ocean", "g/sst"), sea(1).sst)

    @one_of_each
    def test_the_environments(self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the block names none, icechunk asks the vendor's default chain, and no pickle holds what it gave."""
        IcechunkCommit("ocean")(sea(1), group="g", message="m")
        self.change(cloud)
        names = {"service_account": "GOOGLE_SERVICE_ACCOUNT_KEY", "account_key": "AZURE_STORAGE_ACCOUNT_KEY"}
        for name, value in cloud.new().items():
            if name in names:
                monkeypatch.setenv(names[name], value)
                cloud.secrets["environment"] = secret_of(**{name: value})

        repository = connect("ocean")

        assert repository.lookup_branch("main")
        assert not cloud.shown_in(pickle.dumps(repository))

    def change(self, cloud: Cloud, **fields: object) -> None:
        """The bucket has no credentials any more."""
        azure = "azure" in cloud.bucket
        place = {"container": "reports", "account_name": "ocean0"} if azure else {"bucket": "reports"}
        save(cloud.bucket, **place, prefix="2026", endpoint=cloud.service.url, **fields)
