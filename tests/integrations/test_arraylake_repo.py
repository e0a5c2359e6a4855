"""Repositories that Arraylake keeps: by the vendor's client, with a token and keys that change meanwhile and are in no pickle."""

import base64
import json
import pickle
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import arraylake as vendor
import cloudpickle
import distributed
import icechunk
import numpy as np
import pytest
import xarray as xr
import zarr

from bondstone.blocks import (
    AccessDenied,
    ArraylakeRepo,
    BondstoneError,
    InvalidBlock,
    NotFound,
    ServiceUnavailable,
    live,
)
from bondstone.cli.demo.hunt import hunt_bytes
from bondstone.integrations import arraylake
from bondstone.integrations.arraylake import ArraylakeCommit
from bondstone.integrations.arraylake_keys import ArraylakeKeys, Inquiry, _inquiries
from bondstone.integrations.arraylake_repo import Kept
from bondstone.integrations.icechunk import IcechunkCommit, connect, resumed
from bondstone.integrations.icechunk.repository import shared
from tests.integrations.arraylake_stand_in import ORG, Service, bucket
from tests.integrations.conftest import BUCKET, Account, elsewhere, save
from tests.integrations.failing import fails

pytestmark = pytest.mark.filterwarnings("ignore:.*consolidated.*:RuntimeWarning")

OCEAN = "arraylake-repo/ocean"  # by delegated keys
PLAIN = "arraylake-repo/plain"  # by the bucket's own
OPENED = "GET /repos/earthmover/ocean/open"
ROW = np.random.default_rng(0).normal(size=1000)  # a chunk that is too large to be kept inside a manifest
both_kinds = pytest.mark.parametrize("repo", [OCEAN, PLAIN])


class TestOpening:
    """As the vendor's client does, but for what would be pickled."""

    @both_kinds
    def test_what_the_vendor_wrote_is_read(self, lake: Service, repo: str) -> None:
        """And the other way round."""
        name = f"{ORG}/{repo.partition('/')[2]}"
        session = arraylake.connect("prod").get_repo(name).writable_session("main")
        zarr.create_array(session.store, name="a", data=np.arange(3))
        session.commit("by the vendor")

        IcechunkCommit(repo)(xr.Dataset({"b": ("x", [1.0])}), group="g", message="by us")

        theirs = arraylake.connect("prod").get_repo(name).readonly_session("main")
        assert xr.open_zarr(theirs.store, group="g", consolidated=False).b.values.tolist() == [1.0]
        assert array(connect(repo).readonly_session("main"))[:].tolist() == [0, 1, 2]

    def test_whose_commit_it_is(self, lake: Service) -> None:
        """Arraylake's page shows the author, whom its client adds to each commit."""
        ArraylakeCommit("ocean")(xr.Dataset({"b": ("x", [1.0])}), message="m", key="k")

        metadata = next(connect(OCEAN).ancestry(branch="main")).metadata
        assert (metadata["author_name"], metadata["author_email"]) == ("flow", "flow@example.org")
        assert metadata["bondstone.block"] == OCEAN

    def test_a_repository_that_arraylake_does_not_have(self, lake: Service) -> None:
        """It is not made without a word."""
        save("arraylake-repo/new", repo=f"{ORG}/new", token="arraylake-token/prod")

        text = fails(NotFound, lambda: ArraylakeCommit("new")(xr.Dataset(), message="m"))

        assert text == (
            "Arraylake has no repository 'earthmover/new': make it with create_repo of arraylake.connect, or correct arraylake-repo/new"
        )
        assert [repo.name for repo in arraylake.connect("prod").list_repos(ORG)] == ["ocean", "plain"]

    def test_a_repository_that_is_not_in_its_bucket(self, lake: Service) -> None:
        """Arraylake knows the name, and nothing lies there."""
        lake.keep("empty")
        save("arraylake-repo/empty", repo=f"{ORG}/empty", token="arraylake-token/prod")

        assert "its bucket holds no repository" in fails(NotFound, lambda: connect("arraylake-repo/empty"))

    def test_another_organization(self, lake: Service) -> None:
        """The token is good, and not there."""
        lake.accept("ema_first-token", org="somebody-else")

        text = fails(AccessDenied, lambda: connect(OCEAN))

        assert text == (
            "Arraylake does not open 'earthmover/ocean' to the token of arraylake-token/prod: "
            "give it a role there, or correct arraylake-repo/ocean"
        )

    def test_a_repository_that_is_offline(self, lake: Service) -> None:
        """As its owner may set it."""
        lake.change(offline=True)

        assert "offline" in fails(ServiceUnavailable, lambda: connect(OCEAN))

    @pytest.mark.parametrize(
        ("platform", "kind", "said"),
        [("s3-compatible", AccessDenied, "gave no keys"), ("azure", InvalidBlock, "Azure")],
    )
    def test_a_bucket_that_cannot_be_signed_for(
        self, lake: Service, reports: Account, platform: str, kind: type[BondstoneError], said: str
    ) -> None:
        """The vendor's client would go on without a signature, and for Azure with one that every pickle holds."""
        role = lake.known()["buckets"]["delegated"]["auth_config"]
        lake.change(buckets=lake.known()["buckets"] | {"delegated": bucket(reports.server, platform, role)})

        assert said in fails(kind, lambda: connect(OCEAN))

    def test_an_answer_that_cannot_be_read(self, lake: Service) -> None:
        """The vendor's error would show what was answered."""
        lake.spoil()

        with pytest.raises(ServiceUnavailable, match="an answer that this version of arraylake cannot read") as caught:
            connect(PLAIN)

        hits = shown({"key": lake.key().secret_access_key}, caught.value)
        assert hits == []


class TestTokens:
    """Looked up whenever Arraylake is asked."""

    def test_a_token_that_is_rotated_in_the_middle_of_a_write(self, lake: Service) -> None:
        """The keys end, the old token is refused: the new one gets others, and nothing is written twice."""
        lake.change(seconds=3)
        calls: list[int] = []

        def write(session: icechunk.Session) -> None:
            calls.append(1)
            rows = zarr.open_group(session.store, mode="a").create_array(
                "a", shape=(2, 1000), chunks=(1, 1000), dtype="f8", overwrite=True
            )
            rows[0] = ROW
            rotate(lake)
            time.sleep(4.5)
            rows[1] = -ROW

        ArraylakeCommit("ocean")(write, message="rows")

        assert calls == [1]
        np.testing.assert_array_equal(array(connect(OCEAN).readonly_session("main")), [ROW, -ROW])

    @both_kinds
    def test_a_token_that_is_rotated_between_commits(self, lake: Service, repo: str) -> None:
        """The same task, and the same repository."""
        commit, repository = IcechunkCommit(repo, ttl=0), connect(repo, ttl=0)
        commit(xr.Dataset({"b": ("x", [1.0])}), group="g", message="first")

        rotate(lake)
        commit(xr.Dataset({"b": ("x", [2.0])}), group="g", message="second")

        read = repository.readonly_session("main")
        assert xr.open_zarr(read.store, group="g", consolidated=False).b.values.tolist() == [2.0]

    @both_kinds
    def test_a_revoked_token(self, lake: Service, repo: str) -> None:
        """Told by name, shown nowhere."""
        commit = IcechunkCommit(repo, ttl=0)
        commit(xr.Dataset({"b": ("x", [1.0])}), message="first")
        lake.accept()

        for call in (lambda: commit(xr.Dataset({"b": ("x", [2.0])}), message="second"), lambda: connect(repo, ttl=0)):
            with pytest.raises(AccessDenied) as caught:
                call()
            assert str(caught.value) == (
                f"Arraylake at {lake.uri} refused the token: save a new version of arraylake-token/prod"
            )
            hits = shown({"token": "ema_first-token"}, caught.value)
            assert hits == []

    def test_a_token_that_is_revoked_in_the_middle_of_a_write(self, lake: Service) -> None:
        """What icechunk makes of it is a storage error; told is what Arraylake said."""
        lake.change(seconds=2)

        def write(session: icechunk.Session) -> None:
            lake.accept()
            time.sleep(3.5)
            zarr.create_array(session.store, name="a", data=ROW)

        assert "refused the token" in fails(AccessDenied, lambda: ArraylakeCommit("ocean")(write, message="m"))

    def test_a_service_that_stays_in_trouble(self, lake: Service) -> None:
        """Opening ends at its deadline, and so does a write whose keys have ended."""
        lake.change(seconds=2)
        kept = Kept(live(ArraylakeRepo, "ocean"))
        _inquiries[kept.handle] = Inquiry(kept.handle, deadline=1.0)
        session = kept.open().writable_session("main")

        def write() -> None:
            with kept.translated():
                zarr.create_array(session.store, name="a", data=ROW)

        lake.change(down=True)
        time.sleep(3.5)
        for call in (kept.open, write):
            start = time.monotonic()
            assert "did not answer within 1 s" in fails(ServiceUnavailable, call)
            assert time.monotonic() - start < 5


class TestKeys:
    """Asked for as seldom as they allow, and again when they are refused."""

    def test_keys_serve_until_shortly_before_their_end(self, lake: Service) -> None:
        """Of an hour, for many commits: one question in a minute."""
        for number in range(3):
            ArraylakeCommit("ocean")(xr.Dataset({"b": ("x", [float(number)])}), message="m")

        assert lake.asked(OPENED) == 1

    def test_keys_that_are_replaced_in_the_middle_of_a_write(self, lake: Service, reports: Account) -> None:
        """The bucket has others at Arraylake, the old ones are refused: it is written anew."""
        calls: list[int] = []

        def write(session: icechunk.Session) -> None:
            calls.append(1)
            if len(calls) == 1:
                replace(lake, reports)
            zarr.create_array(session.store, name="a", data=ROW)

        ArraylakeCommit("plain", ttl=300)(write, message="m")

        assert calls == [1, 1]
        assert array(connect(PLAIN).readonly_session("main"))[0] == ROW[0]

    def test_keys_that_were_replaced_before_opening(self, lake: Service, reports: Account) -> None:
        """Those that this process has are refused."""
        connect(PLAIN, ttl=300)
        replace(lake, reports)

        assert connect(PLAIN, ttl=300).lookup_branch("main")

    def test_what_was_written_outlives_its_keys(self, lake: Service, reports: Account) -> None:
        """By a fork that was taken up front."""
        session = connect(PLAIN, ttl=300).writable_session("main")
        fork = session.fork()
        zarr.create_array(fork.store, name="a", data=ROW)
        replace(lake, reports)

        resumed(PLAIN, fork, ttl=300).commit("m")

        assert array(connect(PLAIN).readonly_session("main"))[0] == ROW[0]

    def test_keys_that_the_bucket_refuses(self, lake: Service, reports: Account) -> None:
        """Delegated ones are others each time: how often they are asked for is bounded."""
        reading = {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [reading]})
        reports.server.client("iam").put_user_policy(UserName=lake.user, PolicyName="s3", PolicyDocument=policy)

        text = fails(AccessDenied, lambda: ArraylakeCommit("ocean")(xr.Dataset({"b": ("x", [1.0])}), message="m"))

        assert text == (
            "the storage of arraylake-repo/ocean refused the keys that Arraylake gave (AccessDenied): correct its bucket at Arraylake"
        )
        assert lake.asked(OPENED) <= 10

    def test_virtual_chunks(self, lake: Service, reports: Account) -> None:
        """Their containers are those that Arraylake authorizes, by its keys, also after those end."""
        rows = np.random.default_rng(0).normal(size=(2, 1000))
        prefix = f"s3://{BUCKET}/archive-{lake.user}/"
        admin(reports).put_object(Bucket=BUCKET, Key=f"archive-{lake.user}/rows", Body=rows.tobytes())
        arraylake.connect("prod").update_virtual_chunk_containers(f"{ORG}/ocean", add={prefix: "delegated"})
        lake.change(seconds=3)

        session = connect(OCEAN, ttl=0).writable_session("main")
        zarr.open_group(session.store, mode="a").create_array(
            "a", shape=(2, 1000), chunks=(1, 1000), dtype="f8", compressors=None
        )
        for row in range(2):
            session.store.set_virtual_ref(f"a/c/{row}/0", f"{prefix}rows", offset=row * 8000, length=8000)
        session.commit("virtual")
        reading = connect(OCEAN).readonly_session("main")
        np.testing.assert_array_equal(array(reading)[0], rows[0])
        time.sleep(4.5)

        np.testing.assert_array_equal(array(reading)[1], rows[1])
        assert not lake.shown_in(pickle.dumps(reading))


class TestTravelling:
    """What is sent holds the name of the block; what arrives asks for itself."""

    @both_kinds
    @pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps], ids=["pickle", "cloudpickle"])
    def test_pickles_hold_neither_token_nor_keys(
        self, lake: Service, repo: str, dumps: Callable[[object], bytes]
    ) -> None:
        """Repository, session, store, fork, callback and task, after use; the vendor's own hold the token, and delegated keys."""
        repository = connect(repo)
        read = repository.readonly_session("main")
        things = [repository, read, read.store, repository.writable_session("main").fork(), IcechunkCommit(repo)]
        things += [Kept(live(ArraylakeRepo, "ocean")), ArraylakeKeys(shared(live(ArraylakeRepo, "ocean")))]
        theirs = vendor.Client(token="ema_first-token", service_uri=lake.uri).get_repo(
            f"{ORG}/{repo.partition('/')[2]}"
        )

        assert lake.shown_in(dumps(theirs))
        for thing in things:
            assert not lake.shown_in(dumps(thing)), thing
            assert not lake.shown_in(repr(thing).encode()), thing

    def test_in_another_process(self, lake: Service) -> None:
        """A task, and a fork that comes back; the token is another by then."""
        session = connect(OCEAN).writable_session("main")
        fork = session.fork()
        rotate(lake)

        told = elsewhere(
            "import base64, numpy, zarr\n"
            "task, fork = it\n"
            "zarr.create_array(fork.store, name='a', data=numpy.array([1, 2]))\n"
            "print(base64.b64encode(pickle.dumps(fork)).decode())",
            (ArraylakeCommit("ocean"), fork),
        )
        session.merge(pickle.loads(base64.b64decode(told)))
        session.commit("merged")

        assert array(connect(OCEAN).readonly_session("main"))[:].tolist() == [1, 2]

    def test_on_dask(self, lake: Service, tmp_path: Path) -> None:
        """Sixteen rows written by two processes into forks: who they are and what they are given goes over no wire."""
        session = connect(OCEAN).writable_session("main")
        zarr.create_array(session.store, name="a", shape=(16, 1000), chunks=(1, 1000), dtype="f8")
        session.commit("empty")
        session = connect(OCEAN).writable_session("main")

        def write_row(fork: Any, row: int, values: Any) -> Any:  # of no module that a worker would have to import
            zarr.open_array(fork.store, path="a")[row] = values * row
            return fork

        options = {"n_workers": 2, "threads_per_worker": 2, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
        dask: Any = distributed
        with (
            dask.LocalCluster(processes=True, local_directory=str(tmp_path / "dask"), **options) as cluster,
            overheard(cluster.scheduler_address) as (address, heard),
            dask.Client(address) as client,
        ):
            tasks = [client.submit(write_row, session.fork(), row, ROW, pure=False) for row in range(16)]
            session.merge(*(task.result(timeout=60) for task in tasks))
            one = partial(ArraylakeCommit("ocean"), message="by Dask", group="g")
            assert client.submit(one, xr.Dataset({"b": 1})).result(timeout=60).block == OCEAN
            kept = client.run_on_scheduler(scheduler_state)
        session.rebase(icechunk.ConflictDetector())
        session.commit("rows")

        written = array(connect(OCEAN).readonly_session("main"))
        np.testing.assert_array_equal(written, [ROW * row for row in range(16)])
        assert lake.asked(OPENED) <= 1 + 2
        assert b"write_row" in kept
        assert b"write_row" in heard
        assert not lake.shown_in(kept)
        assert not lake.shown_in(bytes(heard))


def scheduler_state(dask_scheduler: Any) -> bytes:
    """Everything that it keeps of its tasks."""
    states = list(dask_scheduler.tasks.values())
    return b"".join(cloudpickle.dumps((str(state), state.run_spec, state.annotations)) for state in states)


@contextmanager
def overheard(address: str) -> Iterator[tuple[str, bytearray]]:
    """Another address for a TCP server, and all that goes through it."""
    heard, host, port = bytearray(), *address.removeprefix("tcp://").split(":")

    def pass_on(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(2**16):
                heard.extend(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                near = stack.enter_context(listener.accept()[0])
                far = stack.enter_context(socket.create_connection((host, int(port))))
                for pair in ((near, far), (far, near)):
                    Thread(target=pass_on, args=pair, daemon=True).start()

    with ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = Thread(target=accept)
        accepting.start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}", heard
        listener.shutdown(socket.SHUT_RDWR)  # which ends `accept`
        accepting.join()


def array(session: Any) -> Any:
    return zarr.open_array(session.store, path="a", mode="r" if session.read_only else "a")


def rotate(lake: Service) -> None:
    """Another token in the block, and the old one refused."""
    lake.accept("ema_second-token")
    save("arraylake-token/prod", token="ema_second-token", service_uri=lake.uri)


def replace(lake: Service, reports: Account) -> None:
    """Another key for the bucket `hmac`, and the old one deleted at the S3 server."""
    old = lake.key()
    lake.give(reports.server.create_key(lake.user))
    reports.server.delete_key(lake.user, old.access_key_id)


def admin(reports: Account) -> Any:
    return reports.server.client("s3")


def shown(secrets: dict[str, str], error: BaseException) -> list[str]:
    text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    return [str(hit) for hit in hunt_bytes(secrets, text.encode(), "traceback")]
