"""Other processes that use a registry, for the tests of crashes and of concurrency."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from bondstone.registry import Registry


def database_of(registry: Registry) -> Any:
    """The database behind a registry, for tests of what is peculiar to one."""
    store: Any = registry._store
    return store.database


def start(code: str, *arguments: str) -> "subprocess.Popen[str]":
    """Python with `code`; its words are `sys.argv[1:]`. Every warning in it is an error."""
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(code: str, *arguments: str) -> str:
    """What `code` printed; an error with its standard error if it failed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    return done.stdout


def at_once(code: str, words: Sequence[str]) -> list[tuple[str, str, int]]:
    """One process per word, all let loose at the same moment: `code` is to import, print a line, wait for a line, then work.

    Gives what each then printed, its standard error and its return code.
    """
    children = [start(code, word) for word in words]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    outputs = [(*child.communicate(timeout=60), child.returncode) for child in children]
    return [(out, err, code) for out, err, code in outputs]
