"""Git: tokens and keys are made and revoked at the host, by hand; a repository is verified by listing its references."""

from bondstone.blocks import GitCredentials, GitRepository, NotFound
from bondstone.blocks.rotator import Guided, Verified
from bondstone.integrations.git_remote import ls_remote
from bondstone.integrations.rotators.holders import Holder

_PROVES = "The repository may be read; whether it may be pushed to is not asked."
_OPEN = "The repository may be read by anybody; no credential was needed."


class GitTokens(Guided):
    """Verified by no one: the block does not say which host it is for. Verify a `git-repository` that uses it."""

    remedy = "revoke the old one at its host (GitHub: Settings, Developer settings; GitLab: Settings, Access tokens)"


class GitRepositories(Holder):
    """Its credentials are rotated; the repository is asked for its references with them."""

    def verify(self, block: GitRepository) -> Verified | None:
        if block.credentials and not block.credentials.token:
            return None  # SSH keys and apps are not tried
        wanted = f"refs/tags/{block.tag}" if block.tag else f"refs/heads/{block.branch}" if block.branch else "HEAD"
        found = ls_remote(block, wanted)
        if wanted not in found and not block.commit:
            raise NotFound(f"the repository of {block.reference or block.url} has no {wanted}: correct the block")
        who = _who(block.credentials)
        return Verified("git ls-remote", f"{wanted} at {found.get(wanted, 'none')}{who}", _PROVES if who else _OPEN)


def _who(credentials: GitCredentials | None) -> str:
    return f", by the token of {credentials.reference or credentials.kind}" if credentials else ""


git_credentials = GitTokens()
git_repository = GitRepositories()
