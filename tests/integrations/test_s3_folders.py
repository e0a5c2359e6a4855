"""Folders up and down: every file once, nothing that lies outside, neither in the bucket nor on the disk."""

import asyncio
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bondstone.blocks import AccessDenied, Conflict, InvalidName, NotFound
from bondstone.integrations.receipts import FolderReceipt
from bondstone.integrations.s3 import S3Delete, S3Download, S3List, S3Upload
from bondstone.integrations.s3.in_flight import MOST, in_flight
from tests.integrations.conftest import BUCKET, Account, save


@pytest.fixture
def prefix(reports: Account) -> str:
    """A prefix of its own: the bucket is shared by all tests."""
    return f"folder-{reports.user}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Some files, one of them empty, at three depths, with names that clients stumble over."""
    for name in ("a.csv", "b/c d+%ä.csv", "b/deep/deeper/empty", "z"):
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if name.endswith("empty") else name.encode())
    return tmp_path / "folder"


def put(account: Account, *keys: str) -> None:
    """Objects under keys that no task of ours would make."""
    for key in keys:
        account.server.client("s3").put_object(Bucket=BUCKET, Key=key, Body=key.encode())


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


class TestUp:
    """A path that is a folder."""

    def test_every_file(self, reports: Account, folder: Path, prefix: str) -> None:
        """Below the key, as it is named on the disk; the receipt sums up."""
        receipt = S3Upload("reports")(folder, key=prefix)

        assert isinstance(receipt, FolderReceipt)
        assert [item.key.removeprefix(f"{prefix}/") for item in S3List("reports")(prefix=prefix)] == sorted(
            contents(folder)
        )
        assert (receipt.count, receipt.size) == (4, sum(map(len, contents(folder).values())))
        assert receipt.uri == f"s3://{BUCKET}/{prefix}/"
        assert {each.uri.rpartition("/")[2] for each in receipt.objects} == {"a.csv", "c d+%ä.csv", "empty", "z"}
        assert "ObjectReceipt" not in repr(receipt)

    def test_there_and_back(self, reports: Account, folder: Path, prefix: str, tmp_path: Path) -> None:
        """A slash at the end of the key means all that is below it."""
        S3Upload("reports")(folder, key=f"{prefix}/")

        receipt = S3Download("reports")(f"{prefix}/", to=tmp_path / "down")

        assert contents(tmp_path / "down") == contents(folder)
        assert isinstance(receipt, FolderReceipt)
        assert receipt.count == 4

    def test_into_the_root_of_the_block(self, reports: Account, folder: Path, prefix: str) -> None:
        """An empty key: the prefix of the block is enough."""
        save(
            "s3-bucket/below",
            bucket=BUCKET,
            endpoint=reports.server.endpoint,
            prefix=prefix,
            credentials="aws-credentials/prod",
        )

        S3Upload("below")(folder, key="")

        assert [item.key for item in S3List("below")()] == sorted(contents(folder))
        assert S3Download("reports")(f"{prefix}/z") == b"z"

    def test_an_empty_folder(self, reports: Account, prefix: str, tmp_path: Path) -> None:
        """Nothing, and no error."""
        (tmp_path / "none").mkdir()

        receipt = S3Upload("reports")(tmp_path / "none", key=prefix)

        assert isinstance(receipt, FolderReceipt)
        assert (receipt.count, receipt.size) == (0, 0)

    def test_links_inside(self, reports: Account, folder: Path, prefix: str) -> None:
        """A link to a file is that file; one to a folder adds nothing and no walk goes round."""
        (folder / "b/link.csv").symlink_to("../a.csv")
        (folder / "b/deep/round").symlink_to(folder)
        (folder / "twin").symlink_to("b")

        S3Upload("reports")(folder, key=prefix)

        names = [item.key.removeprefix(f"{prefix}/") for item in S3List("reports")(prefix=prefix)]
        assert names == sorted(["a.csv", "b/c d+%ä.csv", "b/deep/deeper/empty", "b/link.csv", "z"])
        assert S3Download("reports")(f"{prefix}/b/link.csv") == b"a.csv"

    @pytest.mark.parametrize("target", ["/etc/hostname", "/etc", "../../outside", "nowhere", "../../folder-beside/x"])
    def test_links_that_lead_out(self, target: str, reports: Account, folder: Path, prefix: str) -> None:
        """Refused before anything is sent: a folder that somebody else filled does not publish this machine's files."""
        (folder.parent / "outside").write_text("private")
        (folder.parent / "folder-beside").mkdir()
        (folder.parent / "folder-beside/x").write_text("private")
        (folder / "b/link").symlink_to(target)

        with pytest.raises(InvalidName, match=r"the link 'b/link' leads out of the folder, or nowhere"):
            S3Upload("reports")(folder, key=prefix)

        assert S3List("reports")(prefix=prefix) == []

    def test_what_is_no_file(self, reports: Account, folder: Path, prefix: str) -> None:
        """A pipe would be waited for without an end."""
        os.mkfifo(folder / "b/pipe")

        with pytest.raises(InvalidName, match="'b/pipe' is no file"):
            S3Upload("reports")(folder, key=prefix)

    def test_a_name_that_is_no_text(self, reports: Account, folder: Path, prefix: str) -> None:
        """Keys are UTF-8, names on a disk need not be."""
        Path(os.fsdecode(bytes(folder) + b"/\xff")).touch()

        with pytest.raises(InvalidName, match=r"udcff' is not UTF-8"):
            S3Upload("reports")(folder, key=prefix)

    def test_the_first_error_ends_it(self, reports: Account, folder: Path, prefix: str) -> None:
        """Refused once more after the block was read again; told as for one object."""
        reports.revoke()

        with pytest.raises(AccessDenied, match="save a new version of aws-credentials/prod"):
            S3Upload("reports")(folder, key=prefix)

    def test_a_rotation_in_the_middle(self, reports: Account, prefix: str, tmp_path: Path) -> None:
        """Of files that are refused each is sent again with the new key."""
        (tmp_path / "many").mkdir()
        for number in range(100):
            (tmp_path / f"many/{number}").write_bytes(b"x")
        S3Upload("reports")(tmp_path / "many/0", key=prefix + "/warm")
        turning = threading.Timer(0.05, reports.rotate)
        turning.start()

        receipt = S3Upload("reports")(tmp_path / "many", key=prefix)
        turning.join()

        assert isinstance(receipt, FolderReceipt)
        assert receipt.count == 100

    def test_a_large_file_among_small_ones(self, reports: Account, folder: Path, prefix: str, tmp_path: Path) -> None:
        """Receipts in the order of the names, whichever was sent first."""
        (folder / "b/large").write_bytes(os.urandom(17 * 1024 * 1024))

        receipt = S3Upload("reports")(folder, key=prefix)
        S3Download("reports")(f"{prefix}/", to=tmp_path / "down")

        assert isinstance(receipt, FolderReceipt)
        assert [each.uri.removeprefix(f"s3://{BUCKET}/{prefix}/") for each in receipt.objects] == sorted(
            contents(folder)
        )
        assert contents(tmp_path / "down") == contents(folder)


class TestDown:
    """Whoever can write to the bucket cannot write to the disk outside of the folder."""

    @pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/outside", "a//b", "./a", "a/."])
    def test_keys_that_lead_out(self, name: str, reports: Account, prefix: str, tmp_path: Path) -> None:
        """Refused before anything is written."""
        put(reports, f"{prefix}/first", f"{prefix}/{name}")

        with pytest.raises(InvalidName, match="would lead out of the folder"):
            S3Download("reports")(f"{prefix}/", to=tmp_path / "down")

        assert not (tmp_path / "down").exists()
        assert not (tmp_path / "outside").exists()

    def test_a_link_that_leads_out(self, reports: Account, prefix: str, tmp_path: Path) -> None:
        """A link that lies in the folder already is not followed out of it."""
        put(reports, f"{prefix}/link/x")
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "down").mkdir()
        (tmp_path / "down/link").symlink_to(tmp_path / "elsewhere")

        with pytest.raises(InvalidName, match="leads out of the folder by a link"):
            S3Download("reports")(f"{prefix}/", to=tmp_path / "down")

        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_a_link_in_the_place_of_a_file(self, reports: Account, prefix: str, tmp_path: Path) -> None:
        """It is replaced by the file; what it leads to stays."""
        put(reports, f"{prefix}/x")
        (tmp_path / "down").mkdir()
        (tmp_path / "private").write_text("private")
        (tmp_path / "down/x").symlink_to(tmp_path / "private")

        S3Download("reports")(f"{prefix}/", to=tmp_path / "down")

        assert (tmp_path / "private").read_text() == "private"
        assert not (tmp_path / "down/x").is_symlink()

    def test_folders_of_consoles(self, reports: Account, prefix: str, tmp_path: Path) -> None:
        """An empty object whose key ends with a slash is no file."""
        put(reports, f"{prefix}/", f"{prefix}/a/", f"{prefix}/a/x")

        S3Download("reports")(f"{prefix}/", to=tmp_path / "down")

        assert list(contents(tmp_path / "down")) == ["a/x"]

    def test_an_object_that_is_a_folder_of_others(self, reports: Account, prefix: str, tmp_path: Path) -> None:
        """A bucket can hold both, a disk cannot."""
        put(reports, f"{prefix}/a", f"{prefix}/a/b/c")

        with pytest.raises(Conflict, match="'a' is an object and a folder of others"):
            S3Download("reports")(f"{prefix}/", to=tmp_path / "down")

        assert not (tmp_path / "down").exists()

    def test_a_prefix_is_no_beginning_of_a_name(self, reports: Account, prefix: str, tmp_path: Path) -> None:
        """What only begins alike stays where it is."""
        put(reports, f"{prefix}/x", f"{prefix}-other/x")

        S3Download("reports")(f"{prefix}/", to=tmp_path / "down")

        assert contents(tmp_path / "down") == {"x": f"{prefix}/x".encode()}


class TestMany:
    """More than a page, more than a request."""

    def test_2500_keys(self, reports: Account, prefix: str, tmp_path: Path) -> None:
        """Up, listed, and deleted: a page of a listing and a request to delete hold a thousand."""
        (tmp_path / "many").mkdir()
        for number in range(2500):
            (tmp_path / f"many/{number:04}").touch()

        S3Upload("reports")(tmp_path / "many", key=prefix)
        listed = S3List("reports")(prefix=f"{prefix}/")
        S3Delete("reports")([item.key for item in listed])

        assert [item.key for item in listed] == [f"{prefix}/{number:04}" for number in range(2500)]
        assert S3List("reports")(prefix=f"{prefix}/") == []

    def test_sixteen_at_a_time(self) -> None:
        """No more, and no fewer while there is work."""
        together, most, lock = 0, 0, threading.Lock()
        full = threading.Barrier(MOST, timeout=10)

        def work(item: int) -> int:
            nonlocal together, most
            with lock:
                together += 1
                most = max(most, together)
            full.wait()
            with lock:
                together -= 1
            return item * 2

        assert in_flight(work, range(MOST * 2)) == [item * 2 for item in range(MOST * 2)]
        assert most == MOST == 16

    def test_none_begins_after_an_error(self) -> None:
        """What was begun ends; the error is that of the work."""
        begun: list[int] = []

        def work(item: int) -> None:
            begun.append(item)
            time.sleep(0.001)
            if item == 100:
                raise NotFound("the hundredth")

        with pytest.raises(NotFound, match="the hundredth"):
            in_flight(work, range(3000))

        assert len(begun) < 1000


class TestCalledFrom:
    """A task is a plain call, wherever it is made."""

    def test_a_running_event_loop(self, reports: Account, folder: Path, prefix: str, tmp_path: Path) -> None:
        """Blocking, as any call; and beside others in threads of it."""

        async def flow() -> Any:
            S3Upload("reports")(folder, key=prefix)
            down = S3Download("reports")
            return await asyncio.gather(
                *(asyncio.to_thread(down, f"{prefix}/", to=tmp_path / str(number)) for number in range(3))
            )

        receipts = asyncio.run(flow())

        assert [receipt.count for receipt in receipts] == [4, 4, 4]
        assert all(contents(tmp_path / str(number)) == contents(folder) for number in range(3))

    def test_a_thread(self, reports: Account, folder: Path, prefix: str) -> None:
        """Which has no event loop."""
        counts: list[Any] = []
        thread = threading.Thread(target=lambda: counts.append(S3Upload("reports")(folder, key=prefix)))
        thread.start()
        thread.join(30)

        assert [receipt.count for receipt in counts] == [4]


def test_no_socket_is_left_in_the_folder(reports: Account, tmp_path: Path) -> None:
    """A socket in a folder is refused as a pipe is."""
    (tmp_path / "s").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s/x"))

        with pytest.raises(InvalidName, match="'x' is no file"):
            S3Upload("reports")(tmp_path / "s", key="s")
