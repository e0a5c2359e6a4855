"""The end of the demo: what is saved, committed, uploaded and recorded, and the hunt for secrets in clear."""

import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bondstone.blocks import Block
from bondstone.cli.demo.hunt import Hit, hunt
from bondstone.cli.demo.main import Story
from bondstone.integrations import icechunk, s3
from bondstone.registry import current_registry


@dataclass(frozen=True)
class Summary:
    """Everything that the last page shows."""

    story: Story
    blocks: list[tuple[str, str]]  # reference, versions
    commits: list[tuple[str, str, str]]  # snapshot, message, provenance
    objects: list[tuple[str, int]]  # key, bytes
    audit_lines: int
    searched: tuple[int, int]  # files, bytes
    hits: list[Hit]

    @classmethod
    def collect(cls, story: Story) -> "Summary":
        """Ask the registry, the repository and the server, then search everything that lies in the folder."""
        registry = current_registry()
        audit_lines = len(registry.audit())
        blocks = [(name, ", ".join(str(v.version) for v in Block.history(name))) for name in Block.names()]
        files = [path for path in story.folder.rglob("*") if path.is_file()]
        searched = (len(files), sum(path.stat().st_size for path in files))
        return cls(story, blocks, _commits(), _objects(), audit_lines, searched, hunt(story.secrets, story.folder))

    def tell(self, console: Console) -> int:
        """Print it. Returns the exit code."""
        console.print()
        console.print(_table("Blocks", ("block", "versions"), self.blocks))
        console.print(_table("Commits to icechunk-repo/ocean", ("snapshot", "message", "provenance"), self.commits))
        console.print(_table("Objects in s3-bucket/reports", ("key", "bytes"), self.objects))
        console.print(f"Audit log: {self.audit_lines} lines ('bondstone audit' shows them)")
        console.print(f"Picture:   {_short(self.story.folder / 'seasons.png')}")
        self._tell_hunt(console)
        console.print(f"{time.perf_counter() - self.story.started:.0f} s on {self.story.engine}, {self.story.server}\n")
        console.print("Try next:")
        for command in _next_commands():
            console.print(f"  {command}", soft_wrap=True)
        return 1 if self.hits else 0

    def _tell_hunt(self, console: Console) -> None:
        files, size = self.searched
        places = f"{size / 1e6:.1f} MB: registry, {self.story.engine}, logs, pickles, results"
        what = f"{len(self.story.secrets)} secrets in {files} files ({places})"
        style = "bold red" if self.hits else "bold green"
        console.print(f"Searched for {what}: [{style}]{len(self.hits)} found in clear[/{style}]", soft_wrap=True)
        for hit in self.hits:
            console.print(f"  {hit.name} as {hit.encoding} in {hit.where}", soft_wrap=True)


def _table(title: str, heads: tuple[str, ...], rows: list[Any]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for head in heads:
        table.add_column(head, justify="right" if head == "bytes" else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(str, row))
    return table


def _commits() -> list[tuple[str, str, str]]:
    repository = icechunk.connect("ocean")
    return [(c.id, c.message, _provenance(c.metadata)) for c in repository.ancestry(branch="main") if c.parent_id]


def _provenance(metadata: dict[str, Any]) -> str:
    facts = {
        name.removeprefix("bondstone."): value for name, value in metadata.items() if name.startswith("bondstone.")
    }
    run = f"run {facts['flow_run'][:8]}" if "flow_run" in facts else ""
    block = f"{facts['block']}@{facts['version']} with {facts['credentials']}"
    return f"{block}, key {facts['key']}, {facts['engine']} {run}".strip()


def _objects() -> list[tuple[str, int]]:
    listed = s3.client("reports").list_objects_v2(Bucket="reports")["Contents"]
    tables = [(item["Key"], item["Size"]) for item in listed if not item["Key"].startswith("ocean/")]
    chunks = [item["Size"] for item in listed if item["Key"].startswith("ocean/")]
    return [*tables, (f"ocean/… ({len(chunks)} objects of the Icechunk repo)", sum(chunks))]


def _next_commands() -> list[str]:
    """As they can be typed here: the program need not be on the PATH."""
    program = "bondstone" if shutil.which("bondstone") else _short(Path(sys.prefix) / "bin" / "bondstone")
    return [f"{program} save secret/my-token value", f"{program} ls", f"{program} show secret/my-token --reveal"]


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
