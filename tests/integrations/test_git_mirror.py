"""The mirror of a repository: fetched once, private, used by one process at a time, mended when it is damaged."""

import fcntl
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bondstone.blocks import AccessDenied, GitRepository, InvalidSettings, ServiceUnavailable, live
from bondstone.cli.demo.hunt import hunt
from bondstone.integrations.git import GitCheckout
from bondstone.integrations.git_mirror import mirror_of
from tests.integrations.conftest import elsewhere, save
from tests.integrations.git_host import FIRST, SECOND, SECRETS, GitHost, commit, fails, sh


@pytest.fixture
def cache(home: Path) -> Path:
    """Where mirrors are."""
    return home / ".cache/bondstone/git"


def mirrors(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.git"))


def packs(host: GitHost) -> int:
    """How often the host was asked for contents."""
    return sum(path.endswith("git-upload-pack") and bool(said) for path, said in host.asked)


class TestWhatIsFetched:
    """Only what is new."""

    def test_a_second_folder(self, host: GitHost, tmp_path: Path, cache: Path) -> None:
        """Asks where the branch is, and has all it needs."""
        big = os.urandom(300_000)
        (tmp_path / "work/big").write_bytes(big)
        commit(tmp_path / "work", "big")
        sh(tmp_path / "work", "push", "-q", "../root/flows.git", "main")
        GitCheckout("flows")(tmp_path / "one")
        before = size(cache)

        receipt = GitCheckout("flows")(tmp_path / "two")

        assert (tmp_path / "two/big").read_bytes() == big
        assert receipt.commit == sh(tmp_path / "work", "rev-parse", "HEAD")
        assert size(cache) - before < 1000
        assert len(mirrors(cache)) == 1

    def test_a_branch_is_followed(self, host: GitHost, tmp_path: Path) -> None:
        """By folders old and new."""
        checkout = GitCheckout("flows")
        checkout(tmp_path / "old")
        commit(tmp_path / "work", "fourth", amend=True)
        sh(tmp_path / "work", "push", "-q", "--force", "../root/flows.git", "main")

        receipts = [checkout(tmp_path / name) for name in ("old", "new")]

        assert {receipt.commit for receipt in receipts} == {sh(tmp_path / "work", "rev-parse", "HEAD")}
        assert [(tmp_path / name / "file").read_text() for name in ("old", "new")] == ["fourth"] * 2

    def test_a_commit_is_asked_for_once(self, host: GitHost, tmp_path: Path) -> None:
        """It cannot change: a second folder needs no server."""
        wanted = sh(tmp_path / "work", "rev-parse", "v1")
        save("git-repository/flows", url=f"{host.url}/flows.git", credentials="git-credentials/ci", commit=wanted)
        GitCheckout("flows")(tmp_path / "one")
        asked = len(host.asked)

        GitCheckout("flows")(tmp_path / "two")

        assert (tmp_path / "two/file").read_text() == "first"
        assert len(host.asked) == asked

    def test_branches_whose_names_go_into_each_other(self, host: GitHost, tmp_path: Path) -> None:
        """One was deleted, and a folder of branches has its name now."""
        bare = tmp_path / "root/flows.git"
        for old, new in (("-", "a"), ("a", "a/b")):
            if old != "-":
                sh(bare, "branch", "-D", old)
            sh(bare, "branch", new, "feature")
            save("git-repository/flows", url=f"{host.url}/flows.git", credentials="git-credentials/ci", branch=new)
            GitCheckout("flows")(tmp_path / new.replace("/", "-"))

        assert (tmp_path / "a-b/file").read_text() == "third"

    def test_without_a_mirror(self, host: GitHost, tmp_path: Path, cache: Path) -> None:
        """For machines that live for one flow."""
        GitCheckout("flows", mirror=False)(tmp_path / "down")

        assert (tmp_path / "down/file").read_text() == "second"
        assert not cache.exists()


class TestWhoseItIs:
    """Nobody is served what another was let in to read."""

    def test_it_is_private(self, host: GitHost, tmp_path: Path, cache: Path) -> None:
        """Also where the folder was there before, open to all; and it has no token in it."""
        cache.mkdir(parents=True, mode=0o755)

        GitCheckout("flows")(tmp_path / "down")

        assert stat.S_IMODE(cache.stat().st_mode) == 0o700
        assert not hunt(SECRETS, cache)

    def test_other_credentials_have_a_mirror_of_their_own(self, host: GitHost, tmp_path: Path, cache: Path) -> None:
        """A pinned commit is not asked for again: who may not read it must not find it in the mirror of one who may."""
        pinned = sh(tmp_path / "work", "rev-parse", "v1")
        for name, token in (("ci", FIRST), ("guest", SECOND)):
            save(f"git-credentials/{name}", token=token)
            where = {"url": f"{host.url}/flows.git", "credentials": f"git-credentials/{name}"}
            save(f"git-repository/{name}", **where, commit=pinned)
        GitCheckout("ci")(tmp_path / "one")

        fails(AccessDenied, lambda: GitCheckout("guest")(tmp_path / "two"))

        assert len(mirrors(cache)) == 2
        assert not (tmp_path / "two").exists()

    def test_a_new_version_of_the_credentials_keeps_it(self, host: GitHost, tmp_path: Path, cache: Path) -> None:
        """A rotation does not cost a fetch of everything."""
        GitCheckout("flows")(tmp_path / "one")
        host.tokens = {SECOND}
        save("git-credentials/ci", token=SECOND)

        GitCheckout("flows")(tmp_path / "two")

        assert len(mirrors(cache)) == 1

    def test_a_folder_that_cannot_be_made(self, host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Told with the way out, and nothing is left of the checkout."""
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

        assert "mirror=False" in fails(InvalidSettings, lambda: GitCheckout("flows")(tmp_path / "down"))
        assert not (tmp_path / "down").exists()


class TestAtOnce:
    """Of those who come at once, one fetches and the others find it done."""

    def test_processes(self, host: GitHost, tmp_path: Path, cache: Path) -> None:
        """Each has its files; the mirror is made once."""
        program = "print(it[0](it[1]).commit)"

        with ThreadPoolExecutor(2) as pool:
            folders = [tmp_path / f"down-{number}" for number in range(2)]
            commits = list(pool.map(lambda folder: elsewhere(program, (GitCheckout("flows"), folder)), folders))

        assert set(commits) == {sh(tmp_path / "work", "rev-parse", "HEAD")}
        assert {(folder / "file").read_text() for folder in folders} == {"second"}
        assert len(mirrors(cache)) == 1
        assert not list(cache.glob("*.new"))

    def test_processes_that_share_a_folder(self, host: GitHost, tmp_path: Path) -> None:
        """As runs do that have one working directory: each finds it whole."""
        program = "print(it[0](it[1]).commit, (it[1] / 'file').read_text())"

        with ThreadPoolExecutor(2) as pool:
            jobs = [(GitCheckout("flows"), tmp_path / "down")] * 2
            printed = list(pool.map(lambda job: elsewhere(program, job), jobs))

        assert printed == [f"{sh(tmp_path / 'work', 'rev-parse', 'HEAD')} second"] * 2

    def test_one_that_goes_on_for_too_long(self, host: GitHost, tmp_path: Path, cache: Path) -> None:
        """Is told; the lock is another process's."""
        GitCheckout("flows")(tmp_path / "one")
        repository = live(GitRepository, "flows")
        (lock,) = cache.glob("*.lock")
        holding = f"import fcntl, sys; f = open({str(lock)!r}); fcntl.flock(f, 2); print('held', flush=True); sys.stdin.read()"

        with subprocess.Popen(
            [sys.executable, "-c", holding], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as holder:
            assert holder.stdout
            assert holder.stdout.readline() == "held\n"
            start = time.monotonic()
            taken = mirror_of(repository.get(), repository.source[0], seconds=0.2)
            text = fails(ServiceUnavailable, taken.__enter__)
            holder.communicate("")

        assert "other processes have been fetching" in text
        assert time.monotonic() - start < 5

    def test_a_git_that_outlives_us_keeps_the_lock(self, host: GitHost, tmp_path: Path, cache: Path) -> None:
        """A run that is killed leaves its git at work in the mirror: nobody else may begin there until that has ended."""
        host.tokens = slow = Slow()
        program = "import sys; from bondstone.integrations.git import GitCheckout; GitCheckout('flows')(sys.argv[1])"

        with subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "down")]) as run:
            assert slow.asked.wait(30)
            run.kill()
        (lock,) = cache.glob("*.lock")
        held = not free(lock)
        slow.answer.set()

        assert held
        assert until(lambda: free(lock))


class Slow(set[str]):
    """Tokens that are looked up for as long as the test says."""

    def __init__(self) -> None:
        super().__init__({FIRST})
        self.asked, self.answer = threading.Event(), threading.Event()

    def __contains__(self, token: object) -> bool:
        if token == FIRST:
            self.asked.set()
            self.answer.wait(30)
        return super().__contains__(token)


def free(lock: Path) -> bool:
    """Whether nobody holds it."""
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def until(holds: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether it comes to hold."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return holds()


class TestMending:
    """A mirror is a cache: whatever became of it, the checkout is right."""

    def test_a_damaged_one_is_made_anew(self, host: GitHost, tmp_path: Path, cache: Path) -> None:
        """Objects are gone, as after a full disk or a failing one."""
        GitCheckout("flows")(tmp_path / "one")
        (place,) = mirrors(cache)
        objects = [path for path in (place / "objects").rglob("*") if path.is_file()]
        for path in objects:
            path.chmod(0o600)
            path.write_bytes(b"")

        GitCheckout("flows")(tmp_path / "two")

        assert (tmp_path / "two/file").read_text() == "second"

    @pytest.mark.parametrize("left", ["shallow.lock", "config", "HEAD"])
    def test_what_a_killed_git_left(self, left: str, host: GitHost, tmp_path: Path, cache: Path) -> None:
        """A lock that nobody holds; a mirror that was not finished."""
        GitCheckout("flows")(tmp_path / "one")
        (place,) = mirrors(cache)
        (place / left).write_text("") if left.endswith(".lock") else (place / left).unlink()

        GitCheckout("flows")(tmp_path / "two")

        assert (tmp_path / "two/file").read_text() == "second"

    def test_a_repository_above_it_is_left_alone(self, host: GitHost, tmp_path: Path, home: Path, cache: Path) -> None:
        """Some keep their home in git: a mirror that is none any more must not be looked for there."""
        sh(home, "init", "-q")
        GitCheckout("flows")(tmp_path / "one")
        (place,) = mirrors(cache)
        (place / "HEAD").unlink()

        GitCheckout("flows")(tmp_path / "two")

        assert not list((home / ".git").rglob("bondstone*"))
        assert (tmp_path / "two/file").read_text() == "second"

    def test_a_sound_one_stays_after_a_failure(self, host: GitHost, tmp_path: Path, cache: Path) -> None:
        """The host broke off: what is there is not thrown away."""
        GitCheckout("flows")(tmp_path / "one")
        (place,) = mirrors(cache)
        before = place.stat().st_ino
        host.tokens = Broken()

        fails(ServiceUnavailable, lambda: GitCheckout("flows")(tmp_path / "two"))

        assert place.stat().st_ino == before


class Broken(set[str]):
    """Tokens that cannot be looked up: the host hangs up in the middle of an answer."""

    def __contains__(self, token: object) -> bool:
        raise ConnectionAbortedError


def size(folder: Path) -> int:
    """Bytes in its files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
