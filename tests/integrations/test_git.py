"""Repositories by name, from git's own server: what is checked out, that a token may be replaced at any moment, and that none stays."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from bondstone.blocks import (
    AccessDenied,
    Conflict,
    InvalidBlock,
    NotFound,
    ServiceUnavailable,
)
from bondstone.cli.demo.hunt import hunt, hunt_bytes
from bondstone.integrations import git
from tests.integrations.conftest import save
from tests.integrations.forked import wait_for
from tests.integrations.git_host import FIRST, SECOND, SECRETS, GitHost, commit, fails, git_host, sh

pytestmark = pytest.mark.usefixtures("git_home")


class TestWhatIsCheckedOut:
    """The files of the branch's head as it is now, or of the tag or commit for ever."""

    @pytest.mark.parametrize(
        ("revision", "holds"),
        [({}, "second"), ({"branch": "feature"}, "third"), ({"tag": "v1"}, "first")],
        ids=["default branch", "branch", "tag"],
    )
    def test_a_revision(self, revision: dict[str, str], holds: str, host: GitHost, tmp_path: Path) -> None:
        """The receipt has the commit, the folder, and the block in its version."""
        save("git-repository/flows", url=f"{host.url}/flows.git", credentials="git-credentials/ci", **revision)

        receipt = git.checkout("flows", tmp_path / "down")

        assert (tmp_path / "down/file").read_text() == holds
        assert receipt.commit == sh(tmp_path / "down", "rev-parse", "HEAD")
        assert (receipt.uri, receipt.path) == (f"{host.url}/flows.git", str(tmp_path / "down"))
        assert (receipt.block, receipt.version) == ("git-repository/flows", 2)
        assert len(sh(tmp_path / "down", "rev-list", "HEAD").split()) == 1  # no history is fetched

    @pytest.mark.parametrize("hands_out", [True, False])
    def test_a_commit(self, hands_out: bool, host: GitHost, tmp_path: Path) -> None:
        """By its id, also from a server of the old protocol, which hands out only what has a name."""
        wanted = sh(tmp_path / "work", "rev-parse", "v1")
        if not hands_out:
            (Path(os.environ["HOME"]) / ".gitconfig").write_text("[protocol]\nversion=0\n")
        save("git-repository/flows", url=f"{host.url}/flows.git", credentials="git-credentials/ci", commit=wanted)

        receipt = git.checkout("flows", tmp_path / "down")
        asked = len(host.asked)

        assert (tmp_path / "down/file").read_text() == "first"
        assert git.checkout("flows", tmp_path / "down") == receipt
        assert receipt.commit == wanted
        assert len(host.asked) == asked  # what cannot change is not asked for again

    def test_a_branch_is_followed(self, host: GitHost, tmp_path: Path) -> None:
        """Also where its history was written anew; files that went are gone."""
        git.checkout("flows", tmp_path / "down")
        sh(tmp_path / "work", "rm", "-q", "flows/daily/flow.py")
        commit(tmp_path / "work", "fourth", amend=True)
        sh(tmp_path / "work", "push", "-q", "--force", "../root/flows.git", "main")

        git.checkout("flows", tmp_path / "down")

        assert (tmp_path / "down/file").read_text() == "fourth"
        assert not (tmp_path / "down/flows").exists()

    def test_a_tag_and_a_branch_of_one_name(self, host: GitHost, tmp_path: Path) -> None:
        """Each is what the block says that it is."""
        sh(tmp_path / "root/flows.git", "branch", "v1", "feature")
        for revision, holds in (("tag", "first"), ("branch", "third")):
            save(
                "git-repository/flows",
                url=f"{host.url}/flows.git",
                credentials="git-credentials/ci",
                **{revision: "v1"},
            )
            git.checkout("flows", tmp_path / revision)
            assert (tmp_path / revision / "file").read_text() == holds

    def test_a_folder_in_it(self, host: GitHost, tmp_path: Path) -> None:
        """The receipt leads there."""
        save(
            "git-repository/flows", url=f"{host.url}/flows.git", credentials="git-credentials/ci", subpath="flows/daily"
        )

        receipt = git.checkout("flows", tmp_path / "down")

        assert receipt.path == str(tmp_path / "down/flows/daily")
        assert (Path(receipt.path) / "flow.py").is_file()

    def test_a_folder_that_leads_out(self, host: GitHost, tmp_path: Path) -> None:
        """A link in the repository is not followed to the outside."""
        (tmp_path / "work/out").symlink_to("/etc")
        commit(tmp_path / "work", "link")
        sh(tmp_path / "work", "push", "-q", "../root/flows.git", "main")
        save("git-repository/flows", url=f"{host.url}/flows.git", credentials="git-credentials/ci", subpath="out")

        assert "has no folder 'out'" in fails(NotFound, lambda: git.checkout("flows", tmp_path / "down"))
        assert not (tmp_path / "down").exists()


class TestWhatIsThere:
    """Nothing of anybody else's is touched."""

    def test_a_folder_with_files(self, host: GitHost, tmp_path: Path) -> None:
        """That are not ours."""
        (tmp_path / "down").mkdir()
        (tmp_path / "down/mine").write_text("mine")

        assert "is no checkout" in fails(Conflict, lambda: git.checkout("flows", tmp_path / "down"))
        assert [path.name for path in (tmp_path / "down").iterdir()] == ["mine"]

    def test_a_checkout_of_something_else(self, host: GitHost, tmp_path: Path) -> None:
        """It stays as it is."""
        git.checkout("flows", tmp_path / "down")
        save("git-repository/other", url=f"{host.url}/other.git", credentials="git-credentials/ci")

        assert "another repository" in fails(Conflict, lambda: git.checkout("other", tmp_path / "down"))
        assert (tmp_path / "down/file").read_text() == "second"

    def test_changes(self, host: GitHost, tmp_path: Path) -> None:
        """Work that is not committed is not overwritten."""
        git.checkout("flows", tmp_path / "down")
        (tmp_path / "down/file").write_text("mine")

        assert "not committed" in fails(Conflict, lambda: git.checkout("flows", tmp_path / "down"))
        assert (tmp_path / "down/file").read_text() == "mine"

    def test_a_file_in_the_way(self, host: GitHost, tmp_path: Path) -> None:
        """One that git does not know, where the new commit has one."""
        git.checkout("flows", tmp_path / "down")
        (tmp_path / "down/new").write_text("mine")
        commit(tmp_path / "work", "theirs", "new")
        sh(tmp_path / "work", "push", "-q", "../root/flows.git", "main")

        assert "would replace others" in fails(Conflict, lambda: git.checkout("flows", tmp_path / "down"))
        assert (tmp_path / "down/new").read_text() == "mine"

    def test_what_an_interrupted_one_left(self, host: GitHost, tmp_path: Path) -> None:
        """Half of the files, and no version yet: it is gone on with."""
        git.checkout("flows", tmp_path / "down")
        (tmp_path / "down/.git/HEAD").write_text("ref: refs/heads/main\n")
        (tmp_path / "down/.git/index").unlink()
        (tmp_path / "down/file").write_text("ha")

        git.checkout("flows", tmp_path / "down")

        assert (tmp_path / "down/file").read_text() == "second"

    def test_a_failure_spares_what_another_process_made(self, host: GitHost, tmp_path: Path) -> None:
        """In the same folder, meanwhile."""
        host.tokens = Other({"none"}, lambda: sh(tmp_path, "clone", "-q", "root/flows.git", "other"), tmp_path)

        fails(AccessDenied, lambda: git.checkout("flows", tmp_path / "down"))

        assert (tmp_path / "down/file").read_text() == "second"
        assert (tmp_path / "down/.git/HEAD").is_file()

    def test_the_environment_of_a_hook(self, host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Git tells its hooks by variables which repository they are in: it would be that one which is changed."""
        monkeypatch.setenv("GIT_DIR", str(tmp_path / "work/.git"))
        monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "work"))

        git.checkout("flows", tmp_path / "down")

        assert (tmp_path / "down/file").read_text() == "second"


class TestRotation:
    """A token that is replaced and revoked stops nobody; one that is not replaced does."""

    def test_between_two_checkouts(self, host: GitHost, tmp_path: Path) -> None:
        """The next one goes by the new one."""
        git.checkout("flows", tmp_path / "down")
        host.tokens = {SECOND}
        save("git-credentials/ci", token=SECOND)

        assert git.checkout("flows", tmp_path / "down").commit == git.checkout("flows", tmp_path / "new").commit

    def test_during_a_checkout(self, host: GitHost, tmp_path: Path) -> None:
        """Revoked first, saved while git is being refused: it is read, and asked, once more."""
        host.tokens = Late(host)

        receipt = git.checkout("flows", tmp_path / "down")

        assert (tmp_path / "down/file").read_text() == "second"
        assert receipt.version == 1

    def test_a_revoked_token(self, host: GitHost, tmp_path: Path) -> None:
        """Told which block to renew; no folder is left, nor a token anywhere."""
        host.tokens = set()

        text = fails(AccessDenied, lambda: git.checkout("flows", tmp_path / "down"))

        assert text == f"{host.url}/flows.git refused the request: save a new version of git-credentials/ci"
        assert not (tmp_path / "down").exists()

    def test_a_repository_without_credentials(self, host: GitHost, tmp_path: Path) -> None:
        """Refused, not asked at a terminal."""
        save("git-repository/flows", url=f"{host.url}/flows.git")

        text = fails(AccessDenied, lambda: git.checkout("flows", tmp_path / "down"))

        assert text.endswith("give git-repository/flows credentials that may read it")


class TestSecrecy:
    """The token reaches the host, and nothing else."""

    def test_no_token_is_left(self, host: GitHost, tmp_path: Path, home: Path) -> None:
        """Neither in the folder nor in the user's credential store; the host had it."""
        git.checkout("flows", tmp_path / "down")

        assert any(said.startswith("Basic ") for _, said in host.asked)
        assert not hunt(SECRETS, tmp_path / "down")
        assert not (home / ".git-credentials").exists()

    @pytest.mark.parametrize("scope", ["", ".http://127.0.0.1:{port}", ".http://127.0.0.1:{port}/flows.git"])
    def test_the_users_helpers_do_not_store_it(self, scope: str, host: GitHost, tmp_path: Path, home: Path) -> None:
        """However narrowly they are configured. Git by itself would give them what it was let in with."""
        section = f'credential "{scope[1:].format(port=host.port)}"' if scope else "credential"
        (home / ".gitconfig").write_text(f"[{section}]\nhelper=store\n")

        git.checkout("flows", tmp_path / "down")

        assert not (home / ".git-credentials").exists()

    def test_no_process_shows_it(self, host: GitHost, tmp_path: Path) -> None:
        """While git works: neither in arguments nor in the environment of any of its processes."""
        seen: list[bytes] = []
        host.tokens = Watched({FIRST}, seen)

        git.checkout("flows", tmp_path / "down")

        assert b"remote-http" in b"".join(seen)
        assert not hunt_bytes(SECRETS, b"".join(seen), "processes")

    def test_a_redirect_to_another_host(self, host: GitHost, tmp_path: Path) -> None:
        """Gets no token: it was given for the host of the block."""
        with git_host(tmp_path / "root", FIRST) as other:
            host.elsewhere = other.url
            save("git-repository/flows", url=f"{host.url}/moved/flows.git", credentials="git-credentials/ci")

            fails(AccessDenied, lambda: git.checkout("flows", tmp_path / "down"))

            assert other.asked
            assert not [said for _, said in other.asked if said]

    def test_git_does_not_see_the_keys_of_the_registry(
        self, host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its hooks and filters are programs of others."""
        monkeypatch.setenv("BONDSTONE_TOKEN", "of-the-registry")
        seen: list[bytes] = []
        host.tokens = Watched({FIRST}, seen)

        git.checkout("flows", tmp_path / "down")

        assert b"GIT_TERMINAL_PROMPT" in b"".join(seen)
        assert b"of-the-registry" not in b"".join(seen)


class TestFailing:
    """One line that says what to correct."""

    @pytest.mark.parametrize(
        ("revision", "told"),
        [
            ({"branch": "none"}, "has no 'none'"),
            ({"tag": "v9"}, "has no 'v9'"),
            ({"commit": "0" * 39 + "1"}, "0001"),
            ({"subpath": "none"}, "has no folder 'none'"),
        ],
        ids=["branch", "tag", "commit", "subpath"],
    )
    def test_what_is_not_there(self, revision: dict[str, str], told: str, host: GitHost, tmp_path: Path) -> None:
        """And no half of it is left."""
        save("git-repository/flows", url=f"{host.url}/flows.git", credentials="git-credentials/ci", **revision)

        assert told in fails(NotFound, lambda: git.checkout("flows", tmp_path / "a/down"))
        assert not (tmp_path / "a/down").exists()

    def test_a_missing_repository(self, host: GitHost, tmp_path: Path) -> None:
        """Or one that these credentials may not see, which hosts do not tell apart."""
        save("git-repository/flows", url=f"{host.url}/none.git", credentials="git-credentials/ci")

        assert "no repository at" in fails(NotFound, lambda: git.checkout("flows", tmp_path / "down"))

    def test_nobody_listens(self, tmp_path: Path, home: Path) -> None:
        """Told at once."""
        save("git-repository/flows", url="http://127.0.0.1:9/flows.git")
        start = time.monotonic()

        fails(ServiceUnavailable, lambda: git.checkout("flows", tmp_path / "down"))

        assert time.monotonic() - start < 10

    @pytest.mark.parametrize("url", ["ssh://git@127.0.0.1/flows.git", "/flows.git"])
    def test_a_token_for_what_takes_none(self, url: str, host: GitHost, tmp_path: Path) -> None:
        """A token goes with HTTP."""
        save("git-repository/flows", url=url, credentials="git-credentials/ci")

        assert "has a token" in fails(InvalidBlock, lambda: git.checkout("flows", tmp_path / "down"))


class TestApp:
    """A GitHub App: a token of an hour, made for each command."""

    @pytest.fixture
    def key(self, host: GitHost) -> str:
        """Of an app whose other half the host knows."""
        made = generate_private_key(65537, 2048)
        host.app = ("123456", made.public_key())
        host.tokens = set()
        return pem(made, serialization.PrivateFormat.TraditionalOpenSSL)

    def test_a_checkout(self, key: str, host: GitHost, tmp_path: Path) -> None:
        """Signed by the app's key, fetched with the installation's token."""
        save("git-credentials/ci", app_id="123456", app_installation_id="7", app_private_key=key)

        git.checkout("flows", tmp_path / "down")

        assert (tmp_path / "down/file").read_text() == "second"
        assert host.asked[0][0] == "/api/v3/app/installations/7/access_tokens"

    def test_an_app_that_is_not_known(self, key: str, host: GitHost, tmp_path: Path) -> None:
        """The error names the block and shows neither key nor token."""
        save("git-credentials/ci", app_id="654321", app_installation_id="7", app_private_key=key)

        text = fails(AccessDenied, lambda: git.checkout("flows", tmp_path / "down"))

        assert text.startswith("GitHub gave no token for git-credentials/ci (HTTP 401)")


class TestSsh:
    """A private key, by ssh. There is no server of it here: a program in its place checks what it is given, and serves."""

    @pytest.fixture
    def ssh(self, host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The folder of `ssh`, which lets in whose public key stands in `allowed`, and writes down how it was called."""
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "ssh").write_text(SSH.format(python=sys.executable, folder=folder))
        (folder / "ssh").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        save(
            "git-repository/flows",
            url=f"ssh://git@127.0.0.1{tmp_path}/root/flows.git",
            credentials="git-credentials/ci",
        )
        return folder

    @pytest.mark.parametrize("phrase", [None, "a phrase"])
    def test_a_key(self, phrase: str | None, ssh: Path, tmp_path: Path) -> None:
        """With a passphrase and without: a file of ours alone while ssh runs, and gone afterwards."""
        save("git-credentials/ci", **ssh_key(ssh, phrase))

        git.checkout("flows", tmp_path / "down")

        assert (tmp_path / "down/file").read_text() == "second"
        key, argv = (ssh / "called").read_text().split("\n", 1)
        assert "StrictHostKeyChecking=yes" in argv
        assert not Path(key).exists()
        assert not Path(key).parent.exists()

    def test_what_a_kill_leaves(
        self, ssh: Path, host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Stays while its process lives, whoever else checks out; after a SIGKILL the next checkout removes it, of whatever repository."""
        (tmp_path / "run").mkdir(mode=0o700)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
        save("git-credentials/ci", **ssh_key(ssh, None))
        save("git-credentials/other", token=FIRST)
        save("git-repository/other", url=f"{host.url}/flows.git", credentials="git-credentials/other")

        with waiting_checkout(ssh, tmp_path / "killed") as (process, key):
            git.checkout("flows", tmp_path / "beside", mirror=False)
            lived = key.exists()
            process.kill()
            process.wait()
            left = key.exists()
            git.checkout("other", tmp_path / "next")

        assert key.is_relative_to(tmp_path / "run")
        assert (lived, left) == (True, True)
        assert not key.parent.exists()
        assert (tmp_path / "next/file").read_text() == "second"

    def test_a_revoked_key(self, ssh: Path, tmp_path: Path) -> None:
        """Told as such; a new version of the block lets the next one in."""
        save("git-credentials/ci", **ssh_key(ssh, None))
        (ssh / "allowed").write_text("")

        assert "save a new version of git-credentials/ci" in fails(
            AccessDenied, lambda: git.checkout("flows", tmp_path / "down")
        )
        save("git-credentials/ci", **ssh_key(ssh, None))
        assert git.checkout("flows", tmp_path / "down").version == 2

    def test_a_host_that_is_not_known(self, ssh: Path, tmp_path: Path) -> None:
        """Not taken on trust."""
        save("git-credentials/ci", **ssh_key(ssh, None))
        (ssh / "unknown").touch()

        text = fails(AccessDenied, lambda: git.checkout("flows", tmp_path / "down"))

        assert "~/.ssh/known_hosts" in text

    def test_a_key_for_http(self, ssh: Path, host: GitHost, tmp_path: Path) -> None:
        """A key goes with SSH."""
        save("git-credentials/ci", **ssh_key(ssh, None))
        save("git-repository/flows", url=f"{host.url}/flows.git", credentials="git-credentials/ci")

        assert "has an SSH key" in fails(InvalidBlock, lambda: git.checkout("flows", tmp_path / "down"))


SSH = """#!{python}
import os, stat, subprocess, sys, time
if os.path.exists("{folder}/unknown"):
    sys.exit("Host key verification failed.")
key = sys.argv[sys.argv.index("-i") + 1]
for place, mode in ((key, 0o600), (os.path.dirname(key), 0o700)):
    assert stat.S_IMODE(os.stat(place).st_mode) == mode, place
public = subprocess.run(["ssh-keygen", "-y", "-P", "", "-f", key], capture_output=True, text=True, check=True).stdout
if public.split()[1] not in open("{folder}/allowed").read():
    sys.exit("git@127.0.0.1: Permission denied (publickey).")
open("{folder}/called", "w").write(key + "\\n" + " ".join(sys.argv))
if os.path.exists("{folder}/wait"):
    open("{folder}/draft", "w").write(f"{{os.getpgrp()}} {{key}}")
    os.replace("{folder}/draft", "{folder}/waiting")
    time.sleep(60)
os.environ["GIT_CONFIG_GLOBAL"] = os.devnull
os.execvp("sh", ["sh", "-c", sys.argv[-1]])
"""


@contextmanager
def waiting_checkout(ssh: Path, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A process in the middle of a checkout, and the file that its ssh was given; git and ssh outlive it, to the end of the block."""
    (ssh / "wait").touch()
    program = "import sys; from bondstone.integrations import git; git.checkout('flows', sys.argv[1], mirror=False)"
    with subprocess.Popen([sys.executable, "-c", program, str(folder)]) as process:
        try:
            wait_for(ssh / "waiting")
            (ssh / "wait").unlink()
            group, key = (ssh / "waiting").read_text().split()
            yield process, Path(key)
            os.killpg(int(group), signal.SIGKILL)
        finally:
            process.kill()


class Late(set[str]):
    """No token counts; with the first question the new one is saved, and counts from the next question but one."""

    def __init__(self, host: GitHost) -> None:
        self._host, self._saved = host, False

    def __contains__(self, token: object) -> bool:
        if token == FIRST and not self._saved:
            self._saved = True
            save("git-credentials/ci", token=SECOND)
        return self._saved and token == SECOND


class Other(set[str]):
    """Tokens; when one is looked up, another process has just finished a checkout into `down`."""

    def __init__(self, tokens: set[str], clone: Callable[[], object], folder: Path) -> None:
        super().__init__(tokens)
        self._clone, self._folder = clone, folder

    def __contains__(self, token: object) -> bool:
        if not (self._folder / "other").exists():
            self._clone()
            for path in (self._folder / "other").iterdir():
                target = self._folder / "down" / path.name
                if path.name != ".git":
                    path.rename(target)
            (self._folder / "down/.git/HEAD").write_text("0" * 40)
        return super().__contains__(token)


class Watched(set[str]):
    """Tokens; whenever one is looked up, the processes of git are looked at."""

    def __init__(self, tokens: set[str], seen: list[bytes]) -> None:
        super().__init__(tokens)
        self._seen = seen

    def __contains__(self, token: object) -> bool:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                shown = [(folder / name).read_bytes() for name in ("cmdline", "environ")]
            except OSError:
                continue
            if b"GIT_TERMINAL_PROMPT" in shown[1]:
                self._seen.extend(shown)
        return super().__contains__(token)


def ssh_key(folder: Path, phrase: str | None) -> dict[str, str]:
    """Fields of credentials whose key is let in from now on, and no other."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    (folder / "allowed").write_bytes(public)
    fields = {"ssh_private_key": pem(key, serialization.PrivateFormat.OpenSSH, phrase)}
    return fields | ({"ssh_passphrase": phrase} if phrase else {})


def pem(key: object, form: serialization.PrivateFormat, phrase: str | None = None) -> str:
    sealed = serialization.BestAvailableEncryption(phrase.encode()) if phrase else serialization.NoEncryption()
    text: bytes = key.private_bytes(serialization.Encoding.PEM, form, sealed)  # type: ignore[attr-defined]
    return text.decode()
