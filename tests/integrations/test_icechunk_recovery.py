"""A key that is deleted in the middle of a long write costs nothing that was written; virtual data follow their own key."""

import base64
import pickle
from typing import Any

import boto3
import icechunk as vendor
import numpy as np
import pytest
import zarr

from bondstone.blocks import AccessDenied, Conflict, IcechunkRepo, live
from bondstone.integrations.icechunk import connect, resumed, revived
from bondstone.integrations.icechunk.repository import shared
from bondstone.integrations.icechunk.signing import IcechunkKeys
from tests.integrations.conftest import BUCKET, Account, both, elsewhere, save

ROWS = np.random.default_rng(0).normal(size=(6, 1000))  # each row is a chunk, too large to be kept inside a manifest


@pytest.fixture
def begun(reports: Account) -> vendor.Session:
    """A writable session on an array of zeros, by a repository that would keep its key for five minutes."""
    session = connect("ocean", ttl=300).writable_session("main")
    zarr.open_group(session.store, mode="a").create_array("a", shape=(6, 1000), chunks=(1, 1000), dtype="f8")
    session.commit("zeros")
    return connect("ocean", ttl=300).writable_session("main")


def array(session: Any) -> Any:
    return zarr.open_array(session.store, path="a")


def committed() -> Any:
    return zarr.open_array(connect("ocean").readonly_session("main").store, path="a", mode="r")[:]


@both
def test_a_key_that_dies_in_the_middle(begun: vendor.Session, reports: Account) -> None:
    """Three rows by the old key, three by the new one, which was saved after the old one had gone: six are committed."""
    fork = begun.fork()
    for row in range(3):
        array(fork)[row] = ROWS[row]
    new = reports.server.create_key(reports.user)
    reports.revoke()
    with pytest.raises(vendor.StorageError, match="InvalidAccessKeyId"):
        array(fork)[3] = ROWS[3]
    reports.publish(new)
    with pytest.raises(vendor.StorageError, match="InvalidAccessKeyId"):
        array(fork)[3] = ROWS[3]  # icechunk does not ask again by itself

    fork = revived("ocean", fork, ttl=300)
    for row in range(3, 6):
        array(fork)[row] = ROWS[row]
    begun.merge(fork)
    with pytest.raises(vendor.StorageError):
        begun.commit("rows")
    resumed("ocean", fork, ttl=300).commit("rows")

    np.testing.assert_array_equal(committed(), ROWS)


def test_a_key_that_stays_dead(begun: vendor.Session, reports: Account) -> None:
    """Told which block to renew."""
    fork = begun.fork()
    array(fork)[0] = ROWS[0]
    reports.revoke()

    with pytest.raises(AccessDenied, match="save a new version of aws-credentials/prod"):
        resumed("ocean", fork, ttl=300)


def test_several_workers(begun: vendor.Session, reports: Account) -> None:
    """Forks that were written in other processes, before and after the key went."""
    forks = [begun.fork() for _ in range(2)]
    program = (
        "import base64, zarr\n"
        "fork, rows, values = it\n"
        "for row, value in zip(rows, values): zarr.open_array(fork.store, path='a')[row] = value\n"
        "print(base64.b64encode(pickle.dumps(fork)).decode())"
    )
    back = []
    for number, fork in enumerate(forks):
        rows = [number, number + 2]
        told = elsewhere(program, (fork, rows, ROWS[rows]))
        back.append(pickle.loads(base64.b64decode(told)))
        reports.rotate()

    resumed("ocean", *back, ttl=300).commit("rows")

    np.testing.assert_array_equal(committed()[:4], ROWS[:4])


def test_somebody_was_faster(begun: vendor.Session, reports: Account) -> None:
    """Merged into a newer version, one writer's rows would go without a word."""
    fork = begun.fork()
    array(fork)[0] = ROWS[0]
    other = connect("ocean").writable_session("main")
    array(other)[0] = ROWS[1]
    other.commit("other")
    reports.rotate()

    with pytest.raises(Conflict, match="icechunk-repo/ocean since this was begun"):
        resumed("ocean", fork, ttl=300)

    np.testing.assert_array_equal(committed()[0], ROWS[1])


def test_what_icechunk_asks_is_what_we_refresh(reports: Account) -> None:
    """It pickles its callback; where a shared registry is asked once a minute, two handles would know two keys."""
    handle = shared(live(IcechunkRepo, "ocean", ttl=300))
    keys = IcechunkKeys(handle, ("bucket", "credentials"))

    assert pickle.loads(pickle.dumps(keys)).handle is handle


@both
def test_virtual_data_follow_their_own_key(reports: Account) -> None:
    """Of another user, rotated while the repository is open: rows that lie in another bucket, in a file that was there before."""
    archive = archived(reports)
    prefix = f"s3://archive-{reports.user}/"
    repository = connect("ocean")
    store = vendor.s3_store(
        region="us-east-1",
        endpoint_url=reports.server.endpoint,
        allow_http=True,
        s3_compatible=True,
        force_path_style=True,
    )
    config = repository.config
    config.set_virtual_chunk_container(vendor.VirtualChunkContainer(prefix, store))
    repository.reopen(config).save_config()
    save(
        "icechunk-repo/ocean",
        bucket="s3-bucket/reports",
        prefix=IcechunkRepo.load("ocean").prefix,
        virtual_chunk_credentials={prefix: "aws-credentials/archive"},
    )
    session = connect("ocean").writable_session("main")
    zarr.open_group(session.store, mode="a").create_array(
        "a", shape=(6, 1000), chunks=(1, 1000), dtype="f8", compressors=None
    )
    for row in range(6):
        session.store.set_virtual_ref(f"a/c/{row}/0", f"{prefix}rows", offset=row * 8000, length=8000)
    session.commit("virtual")

    reading = connect("ocean", ttl=0).readonly_session("main")
    np.testing.assert_array_equal(array(reading)[:3], ROWS[:3])
    archive.rotate()

    np.testing.assert_array_equal(array(reading)[3:], ROWS[3:])
    np.testing.assert_array_equal(committed(), ROWS)
    assert not archive.shown_in(pickle.dumps(reading))


class Archive(Account):
    """Another user, whose block is `aws-credentials/archive`."""

    def publish(self, key: Any) -> None:
        self.key = key
        self.secrets[f"key {len(self.secrets) + 1}"] = key.secret_access_key
        save("aws-credentials/archive", access_key_id=key.access_key_id, secret_access_key=key.secret_access_key)


def archived(reports: Account) -> Archive:
    """A bucket of its own with the rows in one object."""
    server, user, bucket = reports.server, f"archive-{reports.user}", f"archive-{reports.user}"
    server.create_user(user)
    server.create_bucket(bucket)
    admin = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=server.region,
        aws_access_key_id=server.admin.access_key_id,
        aws_secret_access_key=server.admin.secret_access_key,
    )
    admin.put_object(Bucket=bucket, Key="rows", Body=ROWS.tobytes())
    assert bucket != BUCKET
    return Archive(server, user, server.create_key(user))
