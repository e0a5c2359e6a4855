"""Flow code from Git: a deployment holds the name of a `GitRepository` block, and each run fetches what the block says then."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bondstone.blocks.block import in_thread
from bondstone.integrations.git import GitCheckout

_PULL = "bondstone.integrations.prefect.pull"


@dataclass
class GitStorage:
    """Where a flow's code lies: ``flow.from_source(GitStorage("flows"), entrypoint="flow.py:daily").deploy(…)``.

    The code of a branch is that of its head when the run begins, of a tag or commit always the same. Entry points are relative to the
    block's `subpath`. What the deployment keeps is the name of the block; the worker needs the registry and its key.
    """

    repository: str
    submodules: bool = False
    interval: int | None = 60  # seconds after which `serve` looks for newer code; None for once
    _base: Path = field(default_factory=Path.cwd, init=False, repr=False, compare=False)
    _subpath: str = field(default="", init=False, repr=False, compare=False)

    def set_base_path(self, path: Path) -> None:
        """The folder in which the checkout is made."""
        self._base = path

    @property
    def pull_interval(self) -> int | None:
        """For `serve`."""
        return self.interval

    @property
    def destination(self) -> Path:
        """The folder of the code; once that was pulled, the block's `subpath` in it."""
        return _checkout_in(self._base, self.repository) / self._subpath

    async def pull_code(self) -> None:
        """Bring the folder up to date. Raises what `git.checkout` raises."""
        checkout, folder = (
            GitCheckout(self.repository, submodules=self.submodules),
            _checkout_in(self._base, self.repository),
        )
        receipt = await in_thread(lambda: checkout(folder.absolute()))
        self._subpath = str(Path(receipt.path).relative_to(folder.absolute()))

    def to_pull_step(self) -> dict[str, Any]:
        """What the deployment keeps."""
        return {_PULL: {"repository": self.repository} | ({"submodules": True} if self.submodules else {})}


def pull(repository: str, submodules: bool = False) -> dict[str, str]:
    """A step of ``pull:`` in prefect.yaml. The next step, and the entry point, find the code in its `directory`; `commit` says which."""
    receipt = GitCheckout(repository, submodules=submodules)(_checkout_in(Path.cwd(), repository))
    return {"directory": receipt.path, "commit": receipt.commit}


def _checkout_in(folder: Path, repository: str) -> Path:
    return folder / repository.replace("/", "-")
