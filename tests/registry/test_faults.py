"""A full disk and many kills: what was acknowledged stays, and what was not leaves no trace."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from bondstone.registry import Registry, RegistryUnavailable
from bondstone.registry.backup import backup
from bondstone.registry.keys import RawKey
from bondstone.registry.sql import SqlStore
from bondstone.registry.sqlite import SqliteDatabase
from tests.conftest import Make
from tests.registry.test_crash import SAVE_IN_A_LOOP, killed

KIND = "secret"
PROVIDER = RawKey("key", "a test", b"k" * 32)

FILL = """
import os, resource, signal, sys
from pathlib import Path
from bondstone.registry import Registry, RegistryUnavailable
from bondstone.registry.keys import RawKey
from bondstone.registry.sql import SqlStore
from bondstone.registry.sqlite import SqliteDatabase

path = Path(sys.argv[1])
registry = Registry.open(SqlStore(SqliteDatabase(path)), RawKey("key", "a test", b"k" * 32), state=Path(sys.argv[2]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, most))  # no file may grow beyond: as a full disk
for number in range(1, 200):
    try:
        registry.save("secret", "a", os.urandom(5000), overwrite=True)
    except RegistryUnavailable as error:
        print(number - 1, error.code)
        break
assert registry.load("secret", "a").version == number - 1
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
assert registry.save("secret", "a", b"after", overwrite=True).version == number
"""


def test_a_full_disk_loses_nothing(registry: Registry, make: Make, path: Path, tmp_path: Path) -> None:
    """A save that finds no room is refused as such; all before it are there, and the same process saves again once there is room."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FILL, str(path), str(tmp_path / "state")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr

    number, code = done.stdout.split()
    again = make("registry")

    assert (int(number) > 5, code) == (True, "registry_unavailable")
    assert again.load(KIND, "a").content == b"after"
    assert [line.state == "unreadable" for line in again.history(KIND, "a")] == [False] * (int(number) + 1)


def test_a_backup_on_a_full_disk_leaves_no_file(registry: Registry, tmp_path: Path) -> None:
    """Whole or not at all."""
    for number in range(20):
        registry.save(KIND, f"n{number}", os.urandom(50_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))

    try:
        with pytest.raises(RegistryUnavailable, match="cannot write"):
            backup(registry, tmp_path / "folder" / "backup", PROVIDER)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)

    assert list((tmp_path / "folder").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of one megabyte, where this user may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("only root can mount a small disk; the limit on file sizes above stands in for it")
    return folder


def test_a_small_disk(small_disk: Path) -> None:
    """The same with a real end of the room: registry and state on it. What is deleted and erased makes room again."""
    registry = Registry.create(SqlStore(SqliteDatabase(small_disk / "r.db")), PROVIDER, state=small_disk / "state")
    try:
        number = 0
        with suppress(RegistryUnavailable):
            while number < 1000:
                registry.save(KIND, f"n{number}", os.urandom(20_000))
                number += 1
        with pytest.raises(RegistryUnavailable, match="full"):
            registry.save(KIND, "more", os.urandom(20_000))

        assert number > 5
        assert [len(registry.load(KIND, f"n{i}").content) for i in range(number)] == [20_000] * number
        assert [item.readable for item in registry.list()] == [True] * number
    finally:
        registry.close()
        subprocess.run(["umount", "-l", small_disk], check=False, capture_output=True)


@pytest.mark.slow
def test_two_hundred_kills_during_saves(registry: Registry, make: Make, path: Path) -> None:
    """Each at a random moment of a process that saves: every acknowledged version loads, and no number is used twice."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"{seed=}")  # noqa: T201 -- shown when the test fails
    moments, acknowledged = random.Random(seed), dict[tuple[str, int], bytes]()

    for _ in range(200):
        for line in killed(SAVE_IN_A_LOOP, str(path), after=moments.uniform(0, 0.05)):
            name, number, content = line.split()
            if name in "ab":
                assert (name, int(number)) not in acknowledged, "a number was used twice"
                acknowledged[name, int(number)] = content.encode() * 50

    after = make("registry")
    assert len(acknowledged) > 200
    for (name, version), expected in acknowledged.items():
        assert after.load(KIND, name, version).content == expected
    assert all(item.readable for item in after.list())
