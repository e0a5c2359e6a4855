"""Git: tokens and keys are made and revoked at the host, by hand; a repository is verified by listing its references."""

from pathlib import Path

from bondstone.blocks import GitRepository, NotFound
from bondstone.blocks.rotator import DEADLINE, Guided, Verified
from bondstone.integrations.git_access import access
from bondstone.integrations.git_command import run, told
from bondstone.integrations.rotators.holders import Holder

_PROVES = (
    "The repository lets this credential in to read, or lets anybody in; whether it may be pushed to is not asked."
)
_OPEN = "The repository lets anybody in to read."


class GitTokens(Guided):
    """Verified by no one: the block does not say which host it is for. Verify a `git-repository` that uses it."""

    remedy = "revoke the old one at its host (GitHub: Settings, Developer settings; GitLab: Settings, Access tokens)"


class GitRepositories(Holder):
    """Its credentials are rotated; the repository is asked for its references with them."""

    def verify(self, block: GitRepository) -> Verified:
        wanted = f"refs/tags/{block.tag}" if block.tag else f"refs/heads/{block.branch}" if block.branch else "HEAD"
        commit = _listed(block, wanted).get(wanted)
        if commit is None and not block.commit:
            raise NotFound(f"{block.url} has no {wanted}: correct {block.reference or 'the block'}")
        seen = f"{wanted} at {commit}" if commit else "no commits"
        return Verified("git ls-remote", f"{seen}{_who(block)}", _PROVES if block.credentials else _OPEN)


def _listed(block: GitRepository, wanted: str) -> dict[str, str]:
    """The commit ids of the references that match, by name."""
    with access(block.credentials, block.url) as its:
        argv = ["git", "ls-remote", "--quiet", "--", block.url, wanted]
        done = run(argv, Path("/"), its.environment, its.descriptors, block, DEADLINE - 2)
    if done.code != 0:
        raise told(done.errors, block, block.url)
    return {name: commit for commit, _, name in (line.partition("\t") for line in done.output.splitlines())}


def _who(block: GitRepository) -> str:
    credentials = block.credentials
    return f", with {credentials.reference or credentials.kind}" if credentials else ""


git_credentials = GitTokens()
git_repository = GitRepositories()
