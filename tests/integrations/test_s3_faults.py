"""What goes wrong on the way: cut wires, changed bytes, dead keys, full disks, wrong addresses. Nothing is left half done."""

import os
import pty
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bondstone.blocks import BondstoneError, InvalidBlock, ServiceUnavailable
from bondstone.integrations.receipts import FolderReceipt
from bondstone.integrations.s3 import S3Download, S3List, S3Upload, clients
from tests.integrations.bad_wire import Wire, bad_wire
from tests.integrations.between import Answer, between
from tests.integrations.conftest import BUCKET, Account, elsewhere, save
from tests.integrations.stand_in import Asked

MIB = 1024 * 1024
ROOT = Path(__file__).parents[2]
LARGE = os.urandom(40 * MIB)


@pytest.fixture
def wire(reports: Account) -> Iterator[Wire]:
    """The block `behind` leads through it to the server."""
    with bad_wire(reports.server.endpoint) as wire:
        save("s3-bucket/behind", bucket=BUCKET, endpoint=wire.endpoint, credentials="aws-credentials/prod")
        yield wire


def unfinished(account: Account, key: str) -> list[str]:
    """Multipart uploads of a key that neither ended nor were given up."""
    found = account.server.client("s3").list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    return [each["UploadId"] for each in found if each["Key"] == key]


class TestAConnectionThatIsCut:
    """Resumed where it was, a bounded number of times."""

    @pytest.mark.parametrize("data", [LARGE[: 8 * MIB], LARGE], ids=["one", "parts"])
    def test_on_the_way_up(self, data: bytes, reports: Account, wire: Wire) -> None:
        """A request, or a part, is sent again."""
        wire.cut_up(after=3 * MIB, times=2)

        receipt = S3Upload("behind")(data, key="cut-up")

        assert wire.cuts == 2
        assert receipt.size == len(data)
        assert S3Download("reports")("cut-up") == data

    def test_on_the_way_down(self, reports: Account, wire: Wire, tmp_path: Path) -> None:
        """Read on from the byte where it was."""
        S3Upload("reports")(LARGE, key="cut-down")
        passed: list[int] = []
        wire.cut_down(after=15 * MIB, times=2)
        cutting = wire.down

        def counted(data: bytes) -> bytes | None:
            passed.append(len(data))
            return cutting(data)

        wire.down = counted

        S3Download("behind")("cut-down", to=tmp_path / "x")

        assert wire.cuts == 2
        assert (tmp_path / "x").read_bytes() == LARGE
        assert sum(passed) < 1.5 * len(LARGE)

    def test_a_folder(self, reports: Account, wire: Wire, tmp_path: Path) -> None:
        """Each file by itself."""
        (tmp_path / "many").mkdir()
        for number in range(50):
            (tmp_path / f"many/{number}").write_bytes(LARGE[: 100 * 1024])
        wire.cut_up(after=MIB, times=3)

        receipt = S3Upload("behind")(tmp_path / "many", key=f"cut-{reports.user}")

        assert wire.cuts == 3
        assert isinstance(receipt, FolderReceipt)
        assert receipt.count == len(S3List("reports")(prefix=f"cut-{reports.user}/")) == 50

    @pytest.mark.parametrize("data", [LARGE[: 8 * MIB], LARGE], ids=["one", "parts"])
    def test_each_time(self, data: bytes, reports: Account, wire: Wire, tmp_path: Path) -> None:
        """It is given up soon: no object, no parts that are paid for, no file."""
        key = f"never-{reports.user}"
        wire.cut_up(after=MIB, times=1000)
        start = time.monotonic()

        with pytest.raises(ServiceUnavailable, match="no answer"):
            S3Upload("behind")(data, key=key)
        wire.up = Wire.up
        S3Upload("reports")(data, key="is-there")
        wire.cut_down(after=MIB, times=2000)
        with pytest.raises(ServiceUnavailable):
            S3Download("behind")("is-there", to=tmp_path / "x")

        assert time.monotonic() - start < 40
        assert S3List("reports")(prefix=key) == []
        assert unfinished(reports, key) == []
        assert list(tmp_path.glob("*x*")) == list(tmp_path.glob("*.part")) == []


def flipping(least: int) -> Callable[[bytes], bytes]:
    """Changes one bit of the first piece that has at least so many bytes."""
    flipped: list[int] = []

    def pass_on(data: bytes) -> bytes:
        if flipped or len(data) < least:
            return data
        flipped.append(1)
        changed = bytearray(data)
        changed[least // 2] ^= 1
        return bytes(changed)

    return pass_on


class TestBytesThatChange:
    """One bit, on a wire without TLS."""

    def test_on_the_way_up(self, reports: Account, wire: Wire) -> None:
        """The server compares with the checksum that came along."""
        key = f"flipped-{reports.user}"
        wire.up = flipping(60_000)

        with pytest.raises(ServiceUnavailable, match="is not what was sent"):
            S3Upload("behind")(LARGE[: 8 * MIB], key=key)

        assert S3List("reports")(prefix=key) == []

    def test_each_part_has_its_checksum(self, reports: Account, wire: Wire) -> None:
        """As Amazon compares it; ministack takes what it gets there."""
        heads: list[bytes] = []

        def noted(data: bytes) -> bytes:
            heads.append(data[:2000].lower())
            return data

        wire.up = noted

        S3Upload("behind")(LARGE, key="parts")

        parts = [head for head in heads if head.startswith(b"put") and b"partnumber" in head.partition(b"\r\n")[0]]
        assert len(parts) == 5
        assert all(b"x-amz-checksum-sha256:" in head and b"x-amz-content-sha256:" in head for head in parts)

    @pytest.mark.parametrize("to", [True, False])
    def test_on_the_way_down(self, to: bool, reports: Account, wire: Wire, tmp_path: Path) -> None:
        """Compared with what the object says of itself."""
        S3Upload("reports")(LARGE[: 8 * MIB], key="sound")
        wire.down = flipping(60_000)

        with pytest.raises(ServiceUnavailable, match=r"what arrived has the checksum crc32:\w{8}, not crc32:"):
            S3Download("behind")("sound", to=tmp_path / "x" if to else None)

        assert not (tmp_path / "x").exists()

    def test_by_the_receipt(self, reports: Account, wire: Wire, tmp_path: Path) -> None:
        """A large object has no checksum of its own, but its receipt has."""
        receipt = S3Upload("reports")(LARGE, key="sound")
        wire.down = flipping(60_000)

        with pytest.raises(ServiceUnavailable, match="what arrived has the checksum"):
            S3Download("behind")("sound", to=tmp_path / "x", checksum=receipt.checksum)
        S3Download("behind")("sound", to=tmp_path / "x", checksum=receipt.checksum)

        assert (tmp_path / "x").read_bytes() == LARGE


class TestAKeyThatDies:
    """What it was about to sign is signed with the next one."""

    def test_a_rotation_in_the_middle(self, reports: Account, wire: Wire) -> None:
        """The object goes up with the new key, whole. Parts of the first attempt may be left, which the dead key cannot remove."""
        S3Upload("behind")(b"", key="warm")
        passed, lock = [0], threading.Lock()

        def turning(data: bytes) -> bytes:
            with lock:
                before, passed[0] = passed[0], passed[0] + len(data)
                if before < 12 * MIB <= passed[0]:
                    reports.rotate()
            return data

        wire.up = turning
        receipt = S3Upload("behind")(LARGE, key=f"turned-{reports.user}")

        assert passed[0] >= 12 * MIB
        assert receipt.size == len(LARGE)
        assert S3Download("reports")(f"turned-{reports.user}") == LARGE
        assert len(unfinished(reports, f"turned-{reports.user}")) <= 1

    def test_a_token_that_is_too_old(self, reports: Account) -> None:
        """Amazon says so with a 400, for which obstore has no error of its own."""
        refusals: list[str] = []

        def treat(asked: Asked, forward: Callable[[], Answer]) -> Answer:
            if refusals:
                return forward()
            refusals.append(asked.method)
            return Answer(400, b"<Error><Code>ExpiredToken</Code></Error>")

        with between(reports.server.endpoint, treat) as endpoint:
            save("s3-bucket/old", bucket=BUCKET, endpoint=endpoint, credentials="aws-credentials/prod")
            S3Upload("old")(b"1", key="too-old")

        assert refusals == ["PUT"]
        assert S3Download("reports")("too-old") == b"1"


class TestADiskThatIsFull:
    """No half file under the name, none beside it."""

    def test_a_download(self, reports: Account, tmp_path: Path) -> None:
        """What stood there stays; by a limit on the size of files, which a full disk is like."""
        S3Upload("reports")(LARGE, key="large")
        (tmp_path / "down").mkdir()
        (tmp_path / "down/x").write_bytes(b"old")

        told = elsewhere(
            "import resource\n"
            "from bondstone.integrations.s3 import S3Download\n"
            "S3Download('reports')('warm', to=it[:-1] + 'warm')\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000_000, 10_000_000))\n"
            "try: S3Download('reports')('large', to=it)\n"
            "except OSError as error: print(error)",
            str(warm(tmp_path / "down/x")),
        )

        assert "File too large; nothing of the object is left on the disk" in told
        assert {path.name for path in (tmp_path / "down").iterdir()} == {"x", "warm"}
        assert (tmp_path / "down/x").read_bytes() == b"old"


def warm(path: Path) -> Path:
    """The registry's files are as large as they become before the limit is set."""
    S3Upload("reports")(b"", key="warm")
    return path


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that has one answer; with none it takes every call and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    kept.append(listener.accept()[0])
                except OSError:
                    return
                if answer:
                    kept[-1].recv(65536)
                    kept[-1].sendall(answer)
                    kept[-1].close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for connection in kept:
            connection.close()


def xml(status: str, code: str, region: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>m</Message><Region>{region}</Region></Error>"
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


class TestAWrongAddress:
    """Told as such, and soon."""

    @pytest.mark.parametrize(
        ("status", "code"),
        [("301 Moved Permanently", "PermanentRedirect"), ("400 Bad Request", "AuthorizationHeaderMalformed")],
    )
    def test_a_bucket_in_another_region(self, status: str, code: str, reports: Account) -> None:
        """Amazon answers so; the error says which region to save."""
        with answering(xml(status, code, "eu-west-3")) as endpoint:
            save("s3-bucket/far", bucket=BUCKET, endpoint=endpoint, credentials="aws-credentials/prod")
            calls: list[Callable[[], object]] = [
                lambda: S3Upload("far")(b"x", key="x"),
                lambda: S3Download("far")("x"),
                S3List("far"),
            ]

            texts = [text(call) for call in calls]

        assert all(one.startswith(f"bucket '{BUCKET}' at {endpoint} is not in region 'us-east-1'") for one in texts)
        assert texts[2].endswith("save s3-bucket/far with region='eu-west-3'")
        assert "save s3-bucket/far with" in texts[0]

    def test_a_server_that_says_nothing(self, reports: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        """All tries together have one deadline, a minute; here it is shortened."""
        monkeypatch.setattr(clients, "ANSWER", 0.6)
        with answering(b"") as endpoint:
            save("s3-bucket/mute", bucket=BUCKET, endpoint=endpoint, credentials="aws-credentials/prod")
            for call in (lambda: S3Upload("mute")(b"x", key="x"), lambda: S3Download("mute")("x"), S3List("mute")):
                start = time.monotonic()

                with pytest.raises(ServiceUnavailable, match=r"correct the endpoint of s3-bucket/mute"):
                    call()

                assert time.monotonic() - start < 15


def text(call: Callable[[], object]) -> str:
    with pytest.raises(InvalidBlock) as caught:
        call()
    assert isinstance(caught.value, BondstoneError)
    return str(caught.value)


@contextmanager
def null_server() -> Iterator[str]:
    """Takes everything and keeps nothing, so that sizes cost no disk."""
    argv = [sys.executable, "-m", "benchmarks.null_s3"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


MEMORY = """
import resource, time
from bondstone.integrations.s3 import S3Upload
upload = S3Upload("null", content_type="x/y")
upload(b"x", key="warm")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
receipt = upload(it, key="x")
print(receipt.size, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


class TestMemory:
    """At most 350 MB more than before, at any size: measured in a process of its own."""

    @pytest.fixture(autouse=True)
    def null(self, reports: Account) -> Iterator[None]:
        with null_server() as endpoint:
            save("s3-bucket/null", bucket=BUCKET, endpoint=endpoint, credentials="aws-credentials/prod")
            yield

    def measured(self, path: Path) -> tuple[int, int]:
        """Bytes that were sent, and MiB of memory that it took."""
        size, more = elsewhere(MEMORY, str(path)).split()
        return int(size), int(more)

    @pytest.mark.parametrize(
        "size", [512 * MIB, pytest.param(5 * 1024 * MIB, marks=pytest.mark.slow)], ids=["512", "5 GiB"]
    )
    def test_one_large_file(self, size: int, tmp_path: Path) -> None:
        """Sparse, as a disk image."""
        with (tmp_path / "sparse").open("wb") as file:
            file.truncate(size)

        sent, more = self.measured(tmp_path / "sparse")

        assert sent == size
        assert more <= 350

    def test_a_folder(self, tmp_path: Path) -> None:
        """Files of 8 MiB, sixteen of them in flight, and nine large ones among them."""
        (tmp_path / "many").mkdir()
        for number in range(44):
            with (tmp_path / f"many/{number}").open("wb") as file:
                file.truncate((8 if number % 5 else 70) * MIB)

        sent, more = self.measured(tmp_path / "many")

        assert sent == (35 * 8 + 9 * 70) * MIB
        assert more <= 350


PROGRESS = "from bondstone.integrations.s3 import S3Upload; S3Upload('null')(bytes(400_000_000), key='x')"


class TestProgress:
    """A bar for people, nothing for logs."""

    @pytest.fixture(autouse=True)
    def null(self, reports: Account) -> Iterator[None]:
        with null_server() as endpoint:
            save("s3-bucket/null", bucket=BUCKET, endpoint=endpoint, credentials="aws-credentials/prod")
            yield

    def shown(self, terminal: bool) -> bytes:
        """What a process writes to standard error."""
        reader, writer = pty.openpty() if terminal else os.pipe()
        environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"}
        process: Any = subprocess.Popen([sys.executable, "-c", PROGRESS], stderr=writer, env=environment)
        os.close(writer)
        shown = bytearray()
        try:
            while piece := os.read(reader, 65536):
                shown += piece
        except OSError:  # how a terminal tells its end
            pass
        os.close(reader)
        assert process.wait(60) == 0
        return bytes(shown)

    def test_on_a_terminal(self) -> None:
        """The size and the speed."""
        assert b"381.5 MiB" in self.shown(terminal=True)

    def test_in_a_pipe(self) -> None:
        """Not a byte."""
        assert self.shown(terminal=False) == b""
