"""Temporary folders: private, gone at the end, and what a process left that is no more is removed, but never what a living one uses."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bondstone.blocks import InvalidSettings
from bondstone.integrations.git_access import nameless
from bondstone.integrations.scratch import clear, scratch
from tests.integrations.conftest import elsewhere

_DESCRIPTORS = Path("/proc/self/fd")
_MAKE = "from bondstone.integrations.scratch import scratch\n"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folders are made: in memory and on disk alike, in a place of this test's own."""
    base = tmp_path / "run"
    base.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(base))
    monkeypatch.setenv("TMPDIR", str(base))
    monkeypatch.setattr("tempfile.tempdir", str(base))
    return base


@contextmanager
def another(then: str = "sys.stdin.read()") -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process in its folder, in which `secret` lies, until its standard input ends."""
    program = (
        f"import os, sys\n{_MAKE}with scratch('git', in_memory=True) as folder:\n"
        f"    (folder / 'secret').touch(); print(folder, flush=True); {then}"
    )
    argv = [sys.executable, "-W", "ignore", "-c", program]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


class TestAFolder:
    """Of one's own, for a while."""

    @pytest.mark.parametrize("in_memory", [True, False])
    def test_modes(self, in_memory: bool, place: Path) -> None:
        """Nobody else looks into it, nor into the folder around it, whatever the umask."""
        umask = os.umask(0)
        try:
            with scratch("git", in_memory=in_memory) as folder:
                modes = [stat.S_IMODE(one.stat().st_mode) for one in (folder, folder.parent)]
        finally:
            os.umask(umask)

        assert modes == [0o700, 0o700]
        assert folder.parent.parent == place

    @pytest.mark.parametrize("fails", [True, False])
    def test_it_is_gone_afterwards(self, fails: bool) -> None:
        """With what was in it, also after an error; its descriptor too."""
        before = len(list(_DESCRIPTORS.iterdir()))
        try:
            with scratch("git") as folder:
                (folder / "below").mkdir()
                (folder / "below/secret").touch()
                assert not fails
        except AssertionError:
            assert fails

        assert list(folder.parent.iterdir()) == []
        assert len(list(_DESCRIPTORS.iterdir())) == before

    def test_a_file_without_a_name(self, place: Path) -> None:
        """For systems without memory files: it can be written and read, and is not to be found."""
        descriptor = nameless()
        os.write(descriptor, b"answer")
        os.lseek(descriptor, 0, os.SEEK_SET)

        with os.fdopen(descriptor, "rb") as file:
            assert file.read() == b"answer"
            assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
        assert not [path for path in place.rglob("*") if path.is_file()]


class TestWhatIsLeft:
    """By a process that was killed."""

    def test_a_killed_process(self) -> None:
        """Its folder is removed by the next that makes one, on whichever place."""
        with another() as (process, folder):
            process.kill()
            process.wait()
            left = (folder / "secret").exists()

            with scratch("preview"):
                pass

        assert left
        assert not folder.exists()

    def test_a_living_process(self) -> None:
        """Its folder stays; it removes it itself."""
        with another() as (process, folder):
            clear()
            stays = (folder / "secret").exists()
            process.communicate("", timeout=30)

        assert stays
        assert not folder.exists()

    def test_a_living_thread(self) -> None:
        """Nor is what this process uses taken away by itself."""
        with scratch("git") as one, scratch("git") as other:
            assert one.exists()
            assert other.exists()

    def test_what_is_no_folder(self, place: Path, tmp_path: Path) -> None:
        """A link is not followed."""
        with scratch("git") as folder:
            (tmp_path / "mine").mkdir()
            (tmp_path / "mine/file").touch()
            (folder.parent / "git-link").symlink_to(tmp_path / "mine")

        clear()

        assert (tmp_path / "mine/file").exists()

    def test_one_that_is_taken_before_it_is_locked(self) -> None:
        """Is noticed, by whoever has just made it: here it goes between its making and its lock."""
        program = (
            "import pathlib, os, sys, tempfile\n"
            "def taken(event, _):\n"
            "    if event == 'fcntl.flock' and not seen:\n"
            "        seen.extend(pathlib.Path(tempfile.gettempdir()).glob('bondstone-*/git-*')); seen[0].rmdir()\n"
            "seen = []; sys.addaudithook(taken)\n"
            f"{_MAKE}with scratch('git') as folder: print(len(seen), folder.exists(), folder not in seen)"
        )

        assert elsewhere(program) == "1 True True"

    def test_many_at_once(self) -> None:
        """Nobody is left without the folder that it has just made, whoever clears at that moment."""
        program = f"{_MAKE}for _ in range(150):\n    with scratch('git') as folder: (folder / 'secret').touch()"
        processes = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(4)]

        assert [process.wait(60) for process in processes] == [0, 0, 0, 0]


class TestForks:
    """A forked process has folders of its own."""

    def test_it_leaves_its_parents_folder_alone(self) -> None:
        """Also where it leaves the block that it was forked in; and it can make one of its own."""
        child, own = -1, False
        try:
            with scratch("git") as folder:
                child = os.fork()
                if child == 0:
                    with scratch("git") as another_one:
                        own = another_one.exists()
                    sys.exit()
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                stays = folder.exists()
        finally:
            if child == 0:
                os._exit(0 if own else 1)

        assert code == 0
        assert stays

    def test_it_does_not_keep_a_dead_parents_folder(self) -> None:
        """It inherits the lock, and lets go of its end."""
        then = "os.fork() or print(os.getpid(), flush=True); sys.stdin.read()"
        with another(then) as (process, folder):
            assert process.stdout is not None
            child = int(process.stdout.readline())
            process.kill()
            process.wait()
            clear()
            os.kill(child, signal.SIGKILL)

        assert not folder.exists()


class TestAPlace:
    """That somebody else may reach into is not used."""

    def test_open_to_others(self, place: Path) -> None:
        """Told what to do; nothing in it is touched."""
        wide = place / name_on_disk()
        (wide / "git-theirs").mkdir(parents=True)
        wide.chmod(0o755)

        with (
            pytest.raises(InvalidSettings, match=r"others may reach into it \(its mode must be 0700\)"),
            scratch("git"),
        ):
            pass

        clear()
        assert [path.name for path in wide.iterdir()] == ["git-theirs"]

    def test_a_link(self, place: Path, tmp_path: Path) -> None:
        """To a folder that is private: where it leads may change."""
        (tmp_path / "private").mkdir(mode=0o700)
        (place / name_on_disk()).symlink_to(tmp_path / "private")

        with pytest.raises(InvalidSettings), scratch("git"):
            pass

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
    def test_somebody_elses(self, place: Path) -> None:
        """Who made it first may take it away again."""
        (place / name_on_disk()).mkdir(mode=0o700)
        os.chown(place / name_on_disk(), 12345, -1)

        with pytest.raises(InvalidSettings), scratch("git"):
            pass

    def test_the_next_one_is_taken(self, place: Path) -> None:
        """In its stead, if there is one: here on disk, or in the memory that all users share."""
        (place / f"bondstone-{os.geteuid()}").touch(mode=0o600)

        with scratch("git", in_memory=True) as folder:
            stays = folder.exists()

        assert stays
        assert not folder.is_relative_to(place / f"bondstone-{os.geteuid()}")

    def test_a_session_of_somebody_else(self, place: Path) -> None:
        """As after `su`, which keeps the variable: whose folder it is could put another in the place of ours."""
        place.chmod(0o755)

        with scratch("git", in_memory=True) as folder:
            assert folder.parent != place / f"bondstone-{os.geteuid()}"

    def test_no_place_for_temporary_files(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Is told by whoever needs one, and by nobody else."""
        program = (
            "import tempfile\ndef none(): raise FileNotFoundError\ntempfile.gettempdir = none\n"
            "from bondstone.integrations.scratch import clear, scratch\nclear()\n"
            "try: scratch('git').__enter__()\nexcept Exception as error: print(error)"
        )

        assert elsewhere(program).startswith("no private temporary folder: one cannot be made")


def name_on_disk() -> str:
    return f"bondstone-{os.geteuid()}-{os.uname().nodename}"
