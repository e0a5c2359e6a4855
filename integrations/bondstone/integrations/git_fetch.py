"""The commit that a block names, brought from its server into a folder's store."""

from hashlib import sha256

from bondstone.blocks import GitRepository, NotFound
from bondstone.integrations.git_command import STALLED, Git, Unadvertised, named

_ALL_OF_IT = "--depth=2147483647"
FETCH = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--force")
# What git tidies up, it does before it ends: nothing goes on in the background when our lock is let go.
_FOREGROUND = ("-c", "gc.autoDetach=false", "-c", "maintenance.autoDetach=false")


def fetched(git: Git) -> str:
    """Its id. A commit that is there is not asked for again; a branch or tag is asked for where it is now. Without history."""
    block = git.block
    if not block.commit:
        return _fetched(git, f"refs/heads/{block.branch}" if block.branch else _tag(block))
    if not git.has(block.commit):
        _fetch_commit(git, block.commit)
    if not git.has(block.commit):
        raise NotFound(f"{block.url} has no commit {block.commit}: correct {named(block)}")
    return block.commit


def _tag(block: GitRepository) -> str:
    return f"refs/tags/{block.tag}" if block.tag else "HEAD"


def _fetched(git: Git, theirs: str) -> str:
    ours = f"refs/bondstone/{sha256(theirs.encode()).hexdigest()}"  # names that go into each other, as a and a/b, do not meet
    _online(git, "--depth=1", "origin", f"+{theirs}:{ours}")
    return git("rev-parse", "--verify", "--quiet", f"{ours}^{{commit}}").strip()


def _fetch_commit(git: Git, commit: str) -> None:
    try:
        _online(git, "--depth=1", "origin", f"+{commit}:refs/bondstone/{commit}")
    except Unadvertised:  # an older server, which hands out only what has a name
        _online(git, _ALL_OF_IT, "origin", "+refs/heads/*:refs/remotes/origin/*")


def _online(git: Git, *words: str) -> None:
    git(*STALLED, *_FOREGROUND, *FETCH, *words, online=True)
