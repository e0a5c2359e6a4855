"""What is done with objects that are there: listed, copied, moved, deleted, waited for, and shown to others by a URL."""

import pickle
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bondstone.blocks import AccessDenied, Conflict, InvalidName, NotFound, NotSaved, ServiceUnavailable
from bondstone.integrations.s3 import S3Copy, S3Delete, S3Download, S3List, S3Move, S3Presign, S3Upload, S3Wait
from bondstone.integrations.s3 import copy as copying
from bondstone.integrations.s3.wait import waited
from tests.integrations.bad_wire import bad_wire
from tests.integrations.conftest import BUCKET, Account, both, save

TABLE = b"a,b\n1,2\n"
ODD = ["a//b", "/lead", "a/", "a/../b", "%41", "a b+ü?&#"]


@pytest.fixture
def prefix(reports: Account) -> str:
    """A prefix of its own: the bucket is shared by all tests."""
    return f"objects-{reports.user}/"


def place(account: Account) -> dict[str, Any]:
    return {"bucket": BUCKET, "endpoint": account.server.endpoint, "credentials": "aws-credentials/prod"}


def keys(prefix: str) -> list[str]:
    return [item.key.removeprefix(prefix) for item in S3List("reports")(prefix=prefix)]


class TestListing:
    """All that is there, under the keys that it has."""

    @both
    def test_an_item(self, reports: Account, prefix: str) -> None:
        """Key, size, etag and time."""
        receipt = S3Upload("reports")(TABLE, key=f"{prefix}x.csv")

        (item,) = S3List("reports")(prefix=prefix)

        assert (item.key, item.size, item.etag) == (f"{prefix}x.csv", len(TABLE), receipt.etag)
        assert abs(item.last_modified - datetime.now(UTC)) < timedelta(minutes=1)

    @both
    def test_odd_keys(self, reports: Account, prefix: str) -> None:
        """Literally, also those that our uploads refuse; and they can be deleted so, beside their neighbours."""
        for key in (*ODD, "b"):
            reports.server.client("s3").put_object(Bucket=BUCKET, Key=prefix + key, Body=b"")

        assert keys(prefix) == sorted([*ODD, "b"])
        S3Delete("reports")([prefix + key for key in ODD])
        assert keys(prefix) == ["b"]

    def test_below_the_prefix_of_the_block(self, reports: Account, prefix: str) -> None:
        """Keys are relative to it, and nothing beside it is seen or deleted."""
        save("s3-bucket/below", **place(reports), prefix=prefix)
        S3Upload("below")(b"", key="x")
        S3Upload("reports")(b"", key=f"{prefix.removesuffix('/')}-beside/x")

        assert [item.key for item in S3List("below")()] == ["x"]
        S3Delete("below")("x")
        assert S3List("below")() == []

    @both
    def test_failing(self, reports: Account) -> None:
        """The same errors as an upload: no such bucket, a refused key."""
        save("s3-bucket/none", **place(reports) | {"bucket": "no-bucket"})
        with pytest.raises(
            NotFound, match=r"there is no bucket 'no-bucket' at .*: create it, or correct s3-bucket/none"
        ):
            S3List("none")()

        reports.revoke()

        for call in (S3List("reports"), lambda: S3Delete("reports")("x"), lambda: S3Copy("reports")("x", to="y")):
            with pytest.raises(AccessDenied, match="save a new version of aws-credentials/prod"):
                call()

    def test_after_a_rotation(self, reports: Account, prefix: str) -> None:
        """The client that was made before goes on."""
        S3List("reports")(prefix=prefix)

        reports.rotate()

        assert S3List("reports")(prefix=prefix) == []


class TestDelete:
    """Gone, or an error."""

    def test_one_and_none(self, reports: Account, prefix: str) -> None:
        """What is not there is no error: S3 does not tell."""
        S3Upload("reports")(TABLE, key=f"{prefix}x")

        receipt = S3Delete("reports")(f"{prefix}x")

        assert (receipt.count, receipt.version) == (1, 1)
        assert S3Delete("reports")([]).count == 0
        assert S3Delete("reports")(f"{prefix}x").count == 1
        assert keys(prefix) == []

    def test_no_key(self, reports: Account) -> None:
        """An empty key would be the bucket, or the prefix of the block."""
        with pytest.raises(InvalidName, match="not empty"):
            S3Delete("reports")("")

    def test_a_thousand_in_a_request(self, reports: Account) -> None:
        """S3 takes no more; ministack would."""
        requests: list[bytes] = []

        def noted(data: bytes) -> bytes:
            requests.extend([data[:30]] if data.startswith(b"POST") else [])
            return data

        with bad_wire(reports.server.endpoint) as wire:
            save("s3-bucket/behind", **place(reports) | {"endpoint": wire.endpoint})
            wire.up = noted

            S3Delete("behind")([f"none/{number}" for number in range(2500)])

        assert len(requests) == 3

    def test_a_refusal_of_some(self, reports: Account) -> None:
        """S3 answers 200 with a list of what it did not delete: that is an error."""
        refused = (
            b"<DeleteResult><Error><Key>x</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"
        )
        with bad_wire(reports.server.endpoint) as wire:
            save("s3-bucket/behind", **place(reports) | {"endpoint": wire.endpoint})
            wire.down = lambda data: answer(refused)

            with pytest.raises(AccessDenied, match="AccessDenied"):
                S3Delete("behind")("x")


def answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class TestCopy:
    """The same bytes, type and metadata under another key."""

    @both
    def test_within_a_bucket(self, reports: Account, prefix: str) -> None:
        """The receipt is of the copy; odd source keys are taken as they are."""
        sent = S3Upload("reports", metadata={"run": "7"})(TABLE, key=f"{prefix}a ä+%.csv")

        receipt = S3Copy("reports")(f"{prefix}a ä+%.csv", to=f"{prefix}b.csv")

        about = reports.server.client("s3").head_object(Bucket=BUCKET, Key=f"{prefix}b.csv")
        assert S3Download("reports")(f"{prefix}b.csv") == TABLE
        assert (about["ContentType"], about["Metadata"]["run"]) == ("text/csv", "7")
        assert receipt.uri == f"s3://{BUCKET}/{prefix}b.csv"
        assert (receipt.size, receipt.checksum, receipt.etag) == (len(TABLE), sent.checksum, sent.etag)

    @pytest.mark.parametrize("size", [3, 17 * 1024 * 1024], ids=["one", "parts"])
    @pytest.mark.parametrize("same_keys", [True, False])
    def test_to_another_bucket(self, size: int, same_keys: bool, reports: Account, prefix: str) -> None:
        """On the server where one key may do both; else through this machine, with the keys of each."""
        reports.server.create_bucket(f"other-{reports.user}")
        other = "aws-credentials/prod" if same_keys else "aws-credentials/other"
        save("aws-credentials/other", **vars(reports.server.create_key(reports.user)))
        save("s3-bucket/other", **place(reports) | {"bucket": f"other-{reports.user}", "credentials": other})
        S3Upload("reports", metadata={"run": "7"})(b"x" * size, key=f"{prefix}x.csv")

        receipt = S3Copy("reports")(f"{prefix}x.csv", to="y.csv", to_bucket="other")

        about = reports.server.client("s3").head_object(Bucket=f"other-{reports.user}", Key="y.csv")
        assert S3Download("other")("y.csv") == b"x" * size
        assert (about["ContentType"], about["Metadata"]["run"]) == ("text/csv", "7")
        assert receipt.uri == f"s3://other-{reports.user}/y.csv"
        assert receipt.block == "s3-bucket/other"

    def test_more_than_one_request_takes(self, reports: Account, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """S3 copies 5 GiB at once, and more in parts, to which it brings no metadata: boto3 does."""
        monkeypatch.setattr(copying, "_ONE_REQUEST", 1024)
        S3Upload("reports", metadata={"run": "7"})(b"x" * 17 * 1024 * 1024, key=f"{prefix}x.csv")

        S3Copy("reports")(f"{prefix}x.csv", to=f"{prefix}y.csv")

        about = reports.server.client("s3").head_object(Bucket=BUCKET, Key=f"{prefix}y.csv")
        assert (about["ContentType"], about["Metadata"]["run"]) == ("text/csv", "7")
        assert about["ContentLength"] == 17 * 1024 * 1024

    def test_what_is_not_there(self, reports: Account, prefix: str) -> None:
        """Neither object nor bucket block."""
        with pytest.raises(NotFound, match="has no object of that key"):
            S3Copy("reports")(f"{prefix}none", to=f"{prefix}x")
        with pytest.raises(NotFound, match="no s3-bucket named 'none'"):
            S3Copy("reports")(f"{prefix}none", to="x", to_bucket="none")

    def test_a_key_that_clients_would_change(self, reports: Account) -> None:
        """None is made."""
        with pytest.raises(InvalidName, match="a key is not empty"):
            S3Copy("reports")("x", to="a//b")


class TestMove:
    """The source goes when the copy is there, and not before."""

    @both
    def test_it_is_there_and_not_here(self, reports: Account, prefix: str) -> None:
        """One object, under the new key."""
        S3Upload("reports")(TABLE, key=f"{prefix}x")

        S3Move("reports")(f"{prefix}x", to=f"{prefix}y")

        assert keys(prefix) == ["y"]
        assert S3Download("reports")(f"{prefix}y") == TABLE

    @pytest.mark.parametrize("name", ["reports", "twin"])
    def test_onto_itself(self, name: str, reports: Account, prefix: str) -> None:
        """A copy onto itself and the deletion of the source would leave nothing; also where another block leads to the same place."""
        save("s3-bucket/twin", **place(reports), prefix=prefix)
        S3Upload("reports")(TABLE, key=f"{prefix}x")
        to = f"{prefix}x" if name == "reports" else "x"

        with pytest.raises(InvalidName, match="is the object itself"):
            S3Move("reports")(f"{prefix}x", to=to, to_bucket=name)

        assert keys(prefix) == ["x"]

    def test_a_source_that_changed_meanwhile(self, reports: Account, prefix: str) -> None:
        """Both are kept: the newer object was not copied."""
        S3Upload("reports")(TABLE, key=f"{prefix}x")
        ways = copying._Ways.of(S3Move("reports"), None)
        copying.copied(ways, f"{prefix}x", f"{prefix}y")
        S3Upload("reports")(b"newer", key=f"{prefix}x")

        with pytest.raises(Conflict, match="was changed while it was moved"):
            copying._removed(ways, f"{prefix}x")

        assert S3Download("reports")(f"{prefix}x") == b"newer"

    def test_a_copy_that_is_not_what_it_should_be(self, reports: Account, prefix: str) -> None:
        """Somebody overwrites the copy before it is looked at: the source stays."""
        S3Upload("reports")(TABLE, key=f"{prefix}x")
        with bad_wire(reports.server.endpoint) as wire:
            save("s3-bucket/behind", **place(reports) | {"endpoint": wire.endpoint})
            wire.up = lambda data: overwritten(data, f"{prefix}y")

            with pytest.raises(ServiceUnavailable, match="is not what"):
                S3Move("behind")(f"{prefix}x", to=f"{prefix}y")

        assert S3Download("reports")(f"{prefix}x") == TABLE

    def test_a_copy_that_fails(self, reports: Account, prefix: str) -> None:
        """No bucket to copy to: the source stays."""
        save("s3-bucket/none", **place(reports) | {"bucket": "no-bucket"})
        S3Upload("reports")(TABLE, key=f"{prefix}x")

        with pytest.raises(NotFound, match="there is no bucket 'no-bucket'"):
            S3Move("reports")(f"{prefix}x", to="y", to_bucket="none")

        assert keys(prefix) == ["x"]


def overwritten(data: bytes, key: str) -> bytes:
    """Before the look at the copy is let through, somebody else writes there."""
    if data.startswith(b"HEAD") and key.encode() in data.partition(b"\r\n")[0]:
        S3Upload("reports")(b"of somebody else", key=key)
    return data


class TestPresign:
    """A URL opens one object for whoever has it, so it is treated as a secret."""

    @pytest.mark.parametrize("key", ["x.csv", "a b/ä+%20&=.csv"])
    def test_get_and_put(self, key: str, reports: Account, prefix: str) -> None:
        """With no credential but the URL."""
        signed = S3Presign("reports", method="PUT")(prefix + key)
        request = urllib.request.Request(signed.url.get_secret_value(), data=TABLE, method="PUT")
        urllib.request.urlopen(request, timeout=10).close()

        with urllib.request.urlopen(S3Presign("reports")(prefix + key).url.get_secret_value(), timeout=10) as got:
            assert got.read() == TABLE
        assert S3Download("reports")(prefix + key) == TABLE

    def test_it_does_not_show(self, reports: Account) -> None:
        """Not in reprs or strings; it is not pickled, so that no engine keeps it."""
        signed = S3Presign("reports", seconds=60)("x")

        assert "Signature" not in f"{signed!r} {signed} {vars(signed)}"
        with pytest.raises(NotSaved):
            pickle.dumps(signed)
        assert 50 < (signed.expires_at - datetime.now(UTC)).total_seconds() <= 60
        assert (signed.uri, signed.block, signed.version) == (f"s3://{BUCKET}/x", "s3-bucket/reports", 1)

    def test_by_the_key_of_the_moment(self, reports: Account) -> None:
        """One that is signed after a rotation works; one that was signed before does not, as the key is gone."""
        S3Upload("reports")(TABLE, key="x")
        before = S3Presign("reports")("x").url.get_secret_value()
        reports.rotate()
        time.sleep(0.2)  # obstore asks its provider at most once in 100 ms

        after = S3Presign("reports")("x").url.get_secret_value()

        with urllib.request.urlopen(after, timeout=10) as got:
            assert got.read() == TABLE
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(before, timeout=10)

    def test_what_cannot_be_signed(self, reports: Account) -> None:
        """More than seven days, another method, and nobody who signs."""
        save("s3-bucket/public", bucket=BUCKET, endpoint=reports.server.endpoint, anonymous=True)

        for task in (S3Presign("reports", seconds=604_801), S3Presign("reports", seconds=0)):
            with pytest.raises(InvalidName, match="1 to 604800 seconds"):
                task("x")
        with pytest.raises(InvalidName, match="GET or to PUT"):
            S3Presign("reports", method="DELETE")("x")  # type: ignore[arg-type]
        with pytest.raises(InvalidName, match="is anonymous and signs nothing"):
            S3Presign("public")("x")


class TestWait:
    """Until it is there, or the time is up."""

    def test_it_comes(self, reports: Account, prefix: str) -> None:
        """Put by somebody else meanwhile."""
        coming = threading.Timer(0.3, lambda: S3Upload("reports")(TABLE, key=f"{prefix}x"))
        coming.start()

        receipt = S3Wait("reports", deadline=20, interval=0.05)(f"{prefix}x")
        coming.join()

        assert receipt.size == len(TABLE)
        assert receipt.etag == S3List("reports")(prefix=prefix)[0].etag

    def test_it_does_not_come(self, reports: Account, prefix: str) -> None:
        """It is looked for at the deadline once more, and not after it."""
        now, slept = [0.0], []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            now[0] += seconds

        with pytest.raises(NotFound, match=r"did not appear within 12 s"):
            waited(S3Wait("reports", deadline=12, interval=5), f"{prefix}x", lambda: now[0], sleep)

        assert slept == [5, 5, 2]

    def test_a_refusal_ends_it(self, reports: Account) -> None:
        """Waiting does not help against that."""
        reports.revoke()

        with pytest.raises(AccessDenied):
            S3Wait("reports", deadline=60)("x")
