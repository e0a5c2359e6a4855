"""One git command: its credential handed over, its time limited, its last words as our errors."""

import os
import re
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bondstone.blocks import (
    AccessDenied,
    BondstoneError,
    Conflict,
    GitRepository,
    MissingExtra,
    NotFound,
    ServiceUnavailable,
)
from bondstone.integrations.git_access import access

DEADLINE = 300.0  # seconds for each git command; one that moves less than 1 kB/s for 30 s is given up
STALLED = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30")


class Unadvertised(NotFound):
    """The server has not said whether it has this commit."""


@dataclass(frozen=True)
class Git:
    """Git in one folder, for one block."""

    folder: Path
    block: GitRepository
    holding: tuple[int, ...] = ()  # descriptors of locks: held until git has ended, also if we are killed before it

    def __call__(self, *words: str, online: bool = False, submodules: bool = False, failing: bool = False) -> str:
        """What git prints. With `failing`, nothing where it fails. Only a command that is `online` gets the credential."""
        done = self._done(words, online, submodules)
        if done.code == 0:
            return done.output
        if failing:
            return ""
        raise told(done.errors, self.block, f"a submodule of {self.block.url}" if submodules else self.block.url)

    def passes(self, *words: str) -> bool:
        """Whether a command that needs no server succeeds."""
        return self._done(words).code == 0

    def has(self, commit: str) -> bool:
        """Whether the commit is there, so that nobody need be asked for it."""
        return self.passes("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")

    def _done(self, words: tuple[str, ...], online: bool = False, submodules: bool = False) -> "Done":
        block = self.block
        with access(block.credentials if online else None, block.url, submodules=submodules) as its:
            environment = its.environment | {"GIT_CEILING_DIRECTORIES": str(self.folder.parent)}  # none that lies above
            return run(["git", *words], self.folder, environment, (*its.descriptors, *self.holding), block)


@dataclass(frozen=True)
class Done:
    code: int
    output: str
    errors: str


def run(
    argv: list[str],
    folder: Path,
    env: dict[str, str],
    descriptors: tuple[int, ...],
    block: GitRepository,
    seconds: float = DEADLINE,
) -> Done:
    try:
        process = subprocess.Popen(  # noqa: S603 -- git, and names that cannot be options
            argv,
            cwd=folder,
            env=env,
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # git, its helpers and ssh end together
        )
    except FileNotFoundError:
        raise MissingExtra("git is not installed: install it with the package manager of this machine") from None
    with process:
        try:
            output, errors = process.communicate(timeout=seconds)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise ServiceUnavailable(f"{block.url} took more than {seconds:.0f} s: try again") from None
    return Done(process.returncode, output.decode(errors="replace"), errors.decode(errors="replace"))


_REFUSED = (
    "Authentication failed",
    "could not read Username",
    "could not read Password",
    "returned error: 401",
    "returned error: 403",
    "Permission denied (",
    "HTTP Basic: Access denied",
)
_MISSING = (
    "Repository not found",
    "not found",
    "returned error: 404",
    "does not appear to be a git repository",
    "does not exist",
)


def told(errors: str, block: GitRepository, where: str) -> BondstoneError:
    """Git's last words as ours; `where` is what they are about."""
    signer = block.credentials.reference if block.credentials else None
    if "Host key verification failed" in errors:
        return AccessDenied(
            f"the host of {where} showed an SSH key that is not known here: compare it with what the host publishes, "
            "then add it to ~/.ssh/known_hosts"
        )
    if "' not allowed" in errors:  # transport 'file', for one
        return AccessDenied(f"{where} is not fetched by that kind of URL: correct it to https:// or ssh://")
    if "would be overwritten" in errors:
        return Conflict(f"files of {where} would replace others in the folder: move those away, or give another folder")
    if "unadvertised object" in errors:
        return Unadvertised(f"{where} does not hand out commits by their id")
    if "find remote ref" in errors or "not our ref" in errors:
        what = block.branch or block.tag or block.commit or "HEAD"
        return NotFound(f"{where} has no '{what}': correct {named(block)}")
    if any(word in errors for word in _REFUSED):
        remedy = f"save a new version of {signer}" if signer else f"give {named(block)} credentials that may read it"
        return AccessDenied(f"{where} refused the request: {remedy}")
    if any(word in errors for word in _MISSING):
        return NotFound(
            f"there is no repository at {where}, or {signer or 'nobody without credentials'} may not see it"
        )
    return ServiceUnavailable(f"git failed for {where} ({_last(errors)}): try again, or correct {named(block)}")


def _last(errors: str) -> str:
    """The line that says why, without a user or password of a URL in it."""
    lines = [line for line in errors.splitlines() if line.startswith(("fatal:", "error:", "ssh:"))] or [
        "no reason given"
    ]
    return re.sub(r"//[^/\s@]*@", "//", lines[-1])[:200]


def named(block: GitRepository) -> str:
    """What errors and receipts call the block."""
    return str(block.reference or "the git-repository")
