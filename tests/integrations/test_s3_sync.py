"""A sync moves what differs, and nothing else; what it deletes it was asked to."""

import os
from pathlib import Path

import pytest

from bondstone.blocks import Conflict, InvalidName, NotFound
from bondstone.integrations.s3 import S3Download, S3List, S3Sync, S3Upload
from tests.integrations.conftest import BUCKET, Account

MIB = 1024 * 1024


@pytest.fixture
def prefix(reports: Account) -> str:
    """A prefix of its own: the bucket is shared by all tests."""
    return f"sync-{reports.user}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Small files, one of them empty, and one that goes up in parts."""
    for name, size in (("a", 1), ("b/c", 2), ("b/empty", 0), ("large", 17 * MIB)):
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
    return tmp_path / "folder"


def names(prefix: str) -> list[str]:
    return [item.key.removeprefix(f"{prefix}/") for item in S3List("reports")(prefix=f"{prefix}/")]


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


class TestUp:
    """The prefix becomes what the folder is."""

    def test_only_what_differs(self, reports: Account, folder: Path, prefix: str) -> None:
        """By content, not by time: also what has the same size, in one piece or in parts."""
        first = S3Sync("reports")(folder, prefix=prefix)
        again = S3Sync("reports")(folder, prefix=prefix)
        (folder / "a").write_bytes(bytes([(folder / "a").read_bytes()[0] ^ 1]))
        with (folder / "large").open("r+b") as file:
            file.seek(16 * MIB)
            file.write(b"other")
        os.utime(folder / "b/c")
        changed = S3Sync("reports")(folder, prefix=prefix)

        assert (first.transferred, first.same) == (("a", "b/c", "b/empty", "large"), 0)
        assert first.size == 17 * MIB + 3
        assert (again.transferred, again.same, again.size) == ((), 4, 0)
        assert (changed.transferred, changed.same) == (("a", "large"), 2)
        assert S3Download("reports")(f"{prefix}/large") == (folder / "large").read_bytes()

    def test_what_is_gone(self, reports: Account, folder: Path, prefix: str) -> None:
        """It stays in the bucket, unless it is asked to go; what is beside the prefix always stays."""
        S3Sync("reports")(folder, prefix=prefix)
        S3Upload("reports")(b"", key=f"{prefix}-beside/x")
        (folder / "b/c").unlink()

        kept = S3Sync("reports")(folder, prefix=prefix)
        assert (kept.deleted, names(prefix)) == ((), ["a", "b/c", "b/empty", "large"])
        gone = S3Sync("reports", delete=True)(folder, prefix=prefix)

        assert (gone.deleted, names(prefix)) == (("b/c",), ["a", "b/empty", "large"])
        assert len(S3List("reports")(prefix=f"{prefix}-beside")) == 1

    def test_a_dry_run(self, reports: Account, folder: Path, prefix: str) -> None:
        """It tells what would be done, and does nothing."""
        S3Upload("reports")(b"x", key=f"{prefix}/surplus")

        told = S3Sync("reports", delete=True, dry_run=True)(folder, prefix=prefix)

        assert (told.transferred, told.deleted) == (("a", "b/c", "b/empty", "large"), ("surplus",))
        assert (told.dry_run, told.size) == (True, 0)
        assert names(prefix) == ["surplus"]

    def test_a_folder_that_is_not_there(self, reports: Account, prefix: str, tmp_path: Path) -> None:
        """Or that is empty, as one whose disk is not mounted: nothing is deleted for that."""
        S3Upload("reports")(b"x", key=f"{prefix}/x")
        (tmp_path / "empty").mkdir()

        with pytest.raises(NotFound, match="there is no folder"):
            S3Sync("reports", delete=True)(tmp_path / "none", prefix=prefix)
        with pytest.raises(Conflict, match="would delete everything"):
            S3Sync("reports", delete=True)(tmp_path / "empty", prefix=prefix)

        assert names(prefix) == ["x"]


class TestDown:
    """The folder becomes what the prefix is."""

    def test_there_and_back(self, reports: Account, folder: Path, prefix: str, tmp_path: Path) -> None:
        """Only what differs, again by content."""
        S3Sync("reports")(folder, prefix=prefix)

        first = S3Sync("reports", "down")(tmp_path / "down", prefix=prefix)
        (tmp_path / "down/a").write_bytes(b"?")
        again = S3Sync("reports", "down")(tmp_path / "down", prefix=prefix)

        assert contents(tmp_path / "down") == contents(folder)
        assert (first.transferred, first.same) == (("a", "b/c", "b/empty", "large"), 0)
        assert (again.transferred, again.same) == (("a",), 3)

    def test_what_is_gone(self, reports: Account, folder: Path, prefix: str, tmp_path: Path) -> None:
        """Files are deleted when it was asked for, and never because a prefix is empty."""
        S3Upload("reports")(b"x", key=f"{prefix}/x")

        with pytest.raises(Conflict, match="would delete everything"):
            S3Sync("reports", "down", delete=True)(folder, prefix="nothing-is-below-this")
        gone = S3Sync("reports", "down", delete=True)(folder, prefix=prefix)

        assert gone.deleted == ("a", "b/c", "b/empty", "large")
        assert contents(folder) == {"x": b"x"}

    def test_a_compressed_object(self, reports: Account, prefix: str, tmp_path: Path) -> None:
        """It comes as it is stored: else it would differ for ever."""
        S3Upload("reports", compression="gzip")(b"x" * 1000, key=f"{prefix}/x")

        S3Sync("reports", "down")(tmp_path / "down", prefix=prefix)
        again = S3Sync("reports", "down")(tmp_path / "down", prefix=prefix)

        assert again.transferred == ()

    @pytest.mark.parametrize("name", ["../outside", "a//b"])
    def test_keys_that_lead_out(self, name: str, reports: Account, prefix: str, tmp_path: Path) -> None:
        """As for a download: nothing is written, nothing is deleted."""
        reports.server.client("s3").put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=b"")
        (tmp_path / "down").mkdir()
        (tmp_path / "down/kept").touch()

        with pytest.raises(InvalidName, match="would lead out of the folder"):
            S3Sync("reports", "down", delete=True)(tmp_path / "down", prefix=prefix)

        assert (tmp_path / "down/kept").exists()
        assert not (tmp_path / "outside").exists()


def test_another_direction(reports: Account, tmp_path: Path) -> None:
    """There are two."""
    with pytest.raises(InvalidName, match="'up', from the folder to the bucket, or 'down'"):
        S3Sync("reports", "sideways")(tmp_path, prefix="x")  # type: ignore[arg-type]
