"""Runs a flow in a folder, watches its processes, and tells in which channels one of its secrets is found."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal, NamedTuple
from uuid import uuid4

from bondstone.cli.demo.hunt import hunt
from tests.leaks.sentinel.processes import Processes, watched
from tests.leaks.sentinel.services import services

ROOT = Path(__file__).parents[3]
CHANNELS = {  # by the beginning of where a hit is; the first that fits
    "argv": "argv",
    "environment": "environment",
    "prefect/prefect.db*, table log*": "log",
    "*.log": "log",
    "*.db*": "database",
    "postgresql-rows": "database",
    "pickles*": "pickle",
    "dask-*": "Dask dump",
    "*": "file",
}
PACKED = ("base64", "gzip", "zlib", "zstd")


class Found(NamedTuple):
    """Which secret was found where."""

    channel: str
    place: str  # relative to the folder
    name: str


@dataclass
class Outcome:
    """What a flow left in `folder`, its processes included."""

    folder: Path
    secrets: dict[str, str] = field(repr=False)
    marker: str

    def found(self, wanted: Mapping[str, str]) -> set[Found]:
        """Where one of `wanted` is."""
        return {_found(hit.where, hit.name) for hit in hunt(wanted, self.folder)}

    def hits(self) -> set[Found]:
        """Where a secret is."""
        return self.found(self.secrets)

    def searched(self) -> set[Found]:
        """Where things are that are no secrets: the marker, and the digest of what the deployment's flow found in its environment."""
        digest = hashlib.sha256(self.secrets["deployed token"].encode()).hexdigest()
        return self.found({"marker": self.marker, "digest": digest})


def run(author: Literal["ours", "peers"], folder: Path) -> Outcome:
    """Run the flow of an author, all of it, and put what it left behind into one folder."""
    marker, searched, keys = f"found-{uuid4().hex[:12]}", folder / "searched", folder / "keys"
    for path in (searched / "home", searched / "tmp", keys):
        path.mkdir(parents=True)
    argv = [sys.executable, "-m", "tests.leaks.sentinel.program", author, str(searched), marker]
    with services(folder / "services", marker) as running:
        processes = _ended(
            argv, _environment(searched, keys, marker), json.dumps(running.given), searched / "output.log"
        )
        running.leave(searched)
        secrets = running.secrets()
    (searched / "argv").write_bytes(processes.arguments())
    (searched / "environment").write_bytes(processes.environments(secrets["deployed token"]))
    if (keys / "key").exists():
        secrets["root key"] = (keys / "key").read_text().split()[-1]
    return Outcome(searched, secrets, marker)


def _ended(argv: list[str], environment: dict[str, str], given: str, log: Path) -> Processes:
    """Run a program to its end; what was seen of its processes."""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            argv, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=output, stderr=output
        ) as process,
        watched(process.pid) as processes,
    ):
        process.communicate(given.encode(), timeout=200)
    assert process.returncode == 0, log.read_text()[-3000:]
    return processes


def _environment(searched: Path, keys: Path, marker: str) -> dict[str, str]:
    """Nothing of ours, but what leads into the folder; and the marker, which every child inherits."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(searched / "home"),
        "TMPDIR": str(searched / "tmp"),
        "BONDSTONE_KEY_FILE": str(keys / "key"),
        "BONDSTONE_REGISTRY": f"sqlite:///{searched}/registry.db",
        "NO_PROXY": "127.0.0.1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "LC_ALL": "C.UTF-8",
        "MARKER": marker,
    }


def _found(where: str, name: str) -> Found:
    parts = where.removeprefix("the name of ").split(", ")
    place = ", ".join(part for part in parts if part not in PACKED)
    channel = next(channel for pattern, channel in CHANNELS.items() if fnmatch(place, pattern))
    return Found(channel, place, name.rstrip(" 0123456789"))
