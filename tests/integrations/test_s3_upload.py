"""What S3Upload takes and says beside bytes and files: DataFrames, streams, compression, headers, and objects that must not be there."""

import gzip
import io
import os
import threading
from pathlib import Path
from typing import Any

import obstore
import pandas as pd
import pytest

from bondstone.blocks import AccessDenied, Conflict, InvalidName
from bondstone.integrations import s3
from bondstone.integrations.receipts import ObjectReceipt
from bondstone.integrations.s3 import S3Download, S3Upload
from bondstone.integrations.s3.checksum import MOST_PARTS, etag_of, part_size, split
from bondstone.integrations.s3.sources import of_bytes
from tests.integrations.bad_wire import bad_wire
from tests.integrations.conftest import BUCKET, Account, both, save

TABLE = b"a,b\n1,2\n"
MIB = 1024 * 1024


def head(account: Account, key: str) -> dict[str, Any]:
    """What the server says about an object."""
    found: dict[str, Any] = account.server.client("s3").head_object(Bucket=BUCKET, Key=key)
    return found


class TestSources:
    """Whatever it comes as, the receipt has the size and the checksum of what is stored."""

    def test_a_checksum_of_the_receipt(self, reports: Account) -> None:
        """CRC-32, the same for bytes in one piece and in parts; how long it took does not make two receipts differ."""
        large = os.urandom(17 * MIB)

        receipts = [S3Upload("reports")(source, key="x") for source in (b"123456789", io.BytesIO(b"123456789"))]
        whole, stream = (S3Upload("reports")(source, key="y") for source in (large, io.BytesIO(large)))

        assert receipts[0].checksum == "crc32:cbf43926"  # the check value in the definition of CRC-32
        assert receipts[0] == receipts[1]
        assert receipts[0].seconds > 0
        assert (whole.checksum, whole.etag, whole.size) == (stream.checksum, stream.etag, len(large))

    @pytest.mark.parametrize("size", [0, 1, 16 * MIB, 16 * MIB + 1, 24 * MIB])
    def test_the_etag_is_known_beforehand(self, size: int, reports: Account) -> None:
        """That of S3 for the content, in one piece or in parts of the size that we choose: a sync compares by it."""
        data = os.urandom(size)

        receipt = S3Upload("reports")(data, key="x")

        assert receipt.etag == etag_of(of_bytes(data))

    @pytest.mark.parametrize("size", [None, 0, 2**30, 80 * 2**30, 2**40, 5 * 2**40])
    def test_no_object_has_too_many_parts(self, size: int | None) -> None:
        """S3 takes 10,000, and the largest object is 5 TiB; a part has at least 5 MiB."""
        assert part_size(size) >= 5 * MIB
        assert -(-(size or 0) // part_size(size)) <= MOST_PARTS

    def test_parts(self) -> None:
        """All of the bytes, in their order, each part full but the last."""
        assert list(split(iter([b"abc", b"", b"defgh", b"i"]), 4)) == [b"abcd", b"efgh", b"i"]
        assert list(split(iter([b"abcdefgh"]), 4)) == [b"abcd", b"efgh"]

    def test_a_pipe(self, reports: Account) -> None:
        """What cannot be wound back goes up too, without knowing its length, in parts if it is long."""
        for size in (5, 17 * MIB):
            data = os.urandom(size)
            reader, writer = os.pipe()
            writing = threading.Thread(target=lambda end=writer, text=data: filled(end, text))
            writing.start()

            with os.fdopen(reader, "rb") as file:
                receipt = S3Upload("reports")(file, key="x")
            writing.join()

            assert receipt.size == size
            assert S3Download("reports")("x") == data

    def test_a_pipe_that_is_refused_is_not_sent_by_half(self, reports: Account) -> None:
        """What was read of it is gone, so it is not tried again with the rest."""
        S3Upload("reports")(b"", key="warm")
        old, new = reports.key, reports.server.create_key(reports.user)
        reader, writer = os.pipe()
        filled(writer, b"all of it")
        reports.server.delete_key(reports.user, old.access_key_id)
        reports.publish(new)

        with os.fdopen(reader, "rb") as file, pytest.raises(AccessDenied):
            S3Upload("reports")(file, key="refused")

        assert reports.server.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="refused")["KeyCount"] == 0

    def test_a_reader_of_obstore(self, reports: Account) -> None:
        """Which uses the event loop that sends; from where it stands, in parts."""
        S3Upload("reports")(bytes(20 * MIB), key="x")
        reader: Any = obstore.open_reader(s3.connect("reports"), "x")
        reader.seek(3 * MIB)

        receipt = S3Upload("reports")(reader, key="y")

        assert receipt.size == 17 * MIB

    def test_a_data_frame(self, reports: Account) -> None:
        """CSV or Parquet, as the key says; the index goes along where it is more than a count."""
        frame = pd.DataFrame({"month": ["2026-01", "2026-02"], "cases": [1, 2]})
        months = frame.set_index("month")

        for key, table in (("a.csv", frame), ("b.csv", months), ("c.parquet", months)):
            S3Upload("reports")(table, key=key)

        assert S3Download("reports")("a.csv") == b"month,cases\n2026-01,1\n2026-02,2\n"
        assert S3Download("reports")("b.csv") == b"month,cases\n2026-01,1\n2026-02,2\n"
        pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(fetched("c.parquet"))), months)
        with pytest.raises(InvalidName, match=r"let its key end with \.csv or \.parquet"):
            S3Upload("reports")(frame, key="x.json")

    def test_text_is_no_data(self, reports: Account) -> None:
        """A file in text mode, and whatever cannot be read."""
        for source in (io.StringIO("text"), 7):
            with pytest.raises(TypeError, match="opened in binary mode"):
                S3Upload("reports")(source, key="x")  # type: ignore[arg-type]


def filled(end: int, data: bytes) -> None:
    with os.fdopen(end, "wb") as file:
        file.write(data)


def fetched(key: str) -> bytes:
    data = S3Download("reports")(key)
    assert isinstance(data, bytes)
    return data


class TestCompression:
    """Stored small and marked as such; what comes down is what went up."""

    @pytest.mark.parametrize("how", ["gzip", "zstd"])
    @pytest.mark.parametrize("data", [b"", TABLE * 1000, os.urandom(17 * MIB)], ids=["nothing", "table", "parts"])
    def test_there_and_back(self, how: Any, data: bytes, reports: Account, tmp_path: Path) -> None:
        """From bytes, to bytes and to a file; the receipt tells what is stored."""
        receipt = S3Upload("reports", compression=how)(data, key="x.csv")

        about = head(reports, "x.csv")
        assert (about["ContentEncoding"], about["ContentLength"]) == (how, receipt.size)
        assert fetched("x.csv") == data
        S3Download("reports")("x.csv", to=tmp_path / "x.csv")
        assert (tmp_path / "x.csv").read_bytes() == data
        if data == TABLE * 1000:
            assert receipt.size < 100

    def test_as_it_is_stored(self, reports: Account) -> None:
        """Any gzip reads it, and the same bytes give the same object."""
        first, second = (S3Upload("reports", compression="gzip")(TABLE, key="x.csv") for _ in range(2))

        stored = S3Download("reports", as_stored=True)("x.csv")

        assert isinstance(stored, bytes)
        assert gzip.decompress(stored) == TABLE
        assert first.etag == second.etag

    def test_several_gzip_members(self, reports: Account) -> None:
        """As `cat a.gz b.gz` makes them."""
        parts = gzip.compress(b"a") + gzip.compress(b"b")
        reports.server.client("s3").put_object(Bucket=BUCKET, Key="x", Body=parts, ContentEncoding="gzip")

        assert fetched("x") == b"ab"

    @pytest.mark.parametrize("body", [b"no gzip", gzip.compress(TABLE)[:-4]], ids=["other", "cut"])
    @pytest.mark.parametrize("encoding", ["gzip", "zstd"])
    def test_what_is_no_such_data(self, body: bytes, encoding: str, reports: Account, tmp_path: Path) -> None:
        """Told as such; no half file."""
        reports.server.client("s3").put_object(Bucket=BUCKET, Key="x", Body=body, ContentEncoding=encoding)

        with pytest.raises(OSError, match=f"says it is {encoding} and is not"):
            S3Download("reports")("x", to=tmp_path / "x")

        assert not (tmp_path / "x").exists()

    def test_an_unknown_one(self, reports: Account) -> None:
        """Refused before anything is sent."""
        with pytest.raises(InvalidName, match="compression is"):
            S3Upload("reports", compression="lzma")(b"", key="x")  # type: ignore[arg-type]


class TestHeaders:
    """What is said about an object reaches the server."""

    @both
    @pytest.mark.parametrize("size", [3, 17 * MIB], ids=["one", "parts"])
    def test_all_of_them(self, size: int, reports: Account) -> None:
        """In one request and in parts."""
        upload = S3Upload("reports", content_type="text/x-own", metadata={"run-id": "7"}, storage_class="STANDARD_IA")

        upload(bytes(size), key="x.csv")

        about = head(reports, "x.csv")
        assert (about["ContentType"], about["StorageClass"]) == ("text/x-own", "STANDARD_IA")
        assert about["Metadata"]["run-id"] == "7"

    def test_the_type_is_guessed(self, reports: Account) -> None:
        """From the key."""
        types = []
        for key in ("x.csv", "x.unheard-of"):
            S3Upload("reports")(TABLE, key=key)
            types.append(head(reports, key)["ContentType"])

        assert types == ["text/csv", "application/octet-stream"]

    @pytest.mark.parametrize(
        "metadata",
        [{"Content-Type": "x"}, {"content-type": "x"}, {"a": "ä"}, {"a": "x\r\nb: c"}, {"a b": "x"}, {"": "x"}],
    )
    def test_what_is_no_header(self, metadata: dict[str, str], reports: Account) -> None:
        """Refused rather than changed, or taken for another header."""
        with pytest.raises(InvalidName, match="metadata"):
            S3Upload("reports", metadata=metadata)(b"", key="x")

    def test_a_task_with_metadata_has_a_hash(self) -> None:
        """Engines put tasks into sets."""
        assert len({S3Upload("reports", metadata={"a": "b"}), S3Upload("reports", metadata={"a": "b"})}) == 1


class TestIfAbsent:
    """Of two writers one wins, and nothing of the other is ever seen."""

    @both
    @pytest.mark.parametrize("size", [3, 17 * MIB], ids=["one", "parts"])
    def test_the_second_is_refused(self, size: int, reports: Account) -> None:
        """In one request and in parts; no parts are left behind."""
        upload, key = S3Upload("reports", if_absent=True), f"{reports.user}/{size}"
        first = upload(b"1" * size, key=key)

        with pytest.raises(Conflict, match="there is an object"):
            upload(b"2" * size, key=key)

        assert isinstance(first, ObjectReceipt)
        assert fetched(key) == b"1" * size
        assert head(reports, key)["ETag"] == first.etag
        unfinished = reports.server.client("s3").list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        assert not [each for each in unfinished if each["Key"] == key]

    def test_an_answer_that_was_lost(self, reports: Account) -> None:
        """The client sends again, and finds an object there: its own. It is told apart from that of somebody who sent the same bytes."""
        upload, key = S3Upload("behind", if_absent=True), f"{reports.user}/lost"
        with bad_wire(reports.server.endpoint) as wire:
            save("s3-bucket/behind", bucket=BUCKET, endpoint=wire.endpoint, credentials="aws-credentials/prod")
            wire.cut_down(1)

            receipt = upload(TABLE, key=key)

            assert wire.cuts == 1
            assert receipt.etag == head(reports, key)["ETag"]
            with pytest.raises(Conflict):
                upload(TABLE, key=key)
