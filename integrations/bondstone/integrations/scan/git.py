"""The whole history of a Git repository: every object, also of branches that were deleted."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from bondstone.blocks import InvalidBlock
from bondstone.integrations.scan.pieces import Piece

_GIT = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false")


def of_repository(folder: Path) -> Iterator[Piece]:
    """Commits, files and tags, each with its object id; and the configuration, where clones keep passwords of URLs.

    Raises `InvalidBlock` where there is no repository or no Git.
    """
    config = _git(folder, "config", "--list", "--local", "-z")
    yield Piece("the configuration of the Git repository", config)
    command = [*_GIT, "-C", str(folder), "cat-file", "--batch", "--batch-all-objects", "--unordered"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603 -- no shell; ours but the folder
        assert process.stdout is not None  # noqa: S101 -- it was asked for
        yield from _objects(process.stdout)


def place(folder: Path, object_id: str) -> str:
    """The first commit and path of an object, where the history tells; else nothing."""
    told = _git(folder, "log", "--all", "--reverse", "--format=%h", "--name-only", f"--find-object={object_id}")
    lines = told.decode(errors="replace").split("\n")
    return f"{lines[0]}:{lines[2]}" if len(lines) > 2 else ""


def _objects(output: IO[bytes]) -> Iterator[Piece]:
    while header := output.readline():
        object_id, kind, size = header.split()
        data = output.read(int(size))
        output.read(1)
        if kind != b"tree":
            yield Piece(f"{kind.decode()} {object_id.decode()} of the Git history", data, line=1)


def _git(folder: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run([*_GIT, "-C", str(folder), *arguments], capture_output=True, check=False)  # noqa: S603
    except OSError as error:
        raise InvalidBlock(f"git cannot be run ({error.strerror}): install it") from None
    if done.returncode not in (0, 1):  # 1: there is nothing to list
        raise InvalidBlock(f"{folder} is no Git repository, or not one that git trusts: see 'git -C {folder} status'")
    return done.stdout
