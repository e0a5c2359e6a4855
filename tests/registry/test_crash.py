"""Nothing is lost: a process killed at any moment leaves what it acknowledged, and a registry that works."""

import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from bondstone.registry import Registry
from bondstone.registry import settings as settings_module
from bondstone.registry.settings import current_registry
from tests.conftest import Make
from tests.registry.processes import start

SAVE_IN_A_LOOP = """
import os, sys
from pathlib import Path
from bondstone.registry.keys import RawKey
from bondstone.registry import Registry
from bondstone.registry.sqlite import SqliteDatabase
from bondstone.registry.sql import SqlStore

registry = Registry.open(SqlStore(SqliteDatabase(Path(sys.argv[1]))), RawKey("key", "a test", b"k" * 32))
while True:
    for name in "abc":
        number = registry.save("secret", name, os.urandom(8).hex().encode() * 50, overwrite=True)
        os.write(1, f"{name} {number.version} {number.content[:16].decode()}\\n".encode())
    registry.delete("secret", "c")
    os.write(1, f"d {number.version} -\\n".encode())
"""

FIRST_SAVE = """
import os
from bondstone.registry import current_registry
os.write(1, b"ready\\n")
current_registry(create=True).save("secret", "first", b"content")
os.write(1, b"saved\\n")
"""


def killed(code: str, *arguments: str, after: float) -> list[str]:
    """Start `code`, kill it `after` seconds after its first line; the whole lines that it wrote."""
    child = start(code, *arguments)
    assert child.stdout is not None
    first = child.stdout.readline()
    time.sleep(after)
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read()  # by the same reader: `communicate` would miss what that has in its buffer
    errors = child.communicate(timeout=60)[1]
    assert first, errors
    return [line for line in (first + rest).split("\n")[:-1] if line]


@pytest.mark.parametrize("part", range(2))
def test_what_was_acknowledged_is_there_after_a_kill(registry: Registry, make: Make, path: Path, part: int) -> None:
    """Twenty kills of a process that saves in a loop (ten in each part): every acknowledged version loads with its content."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"{seed=}")  # noqa: T201 -- shown when the test fails
    moments, acknowledged = random.Random(seed), dict[tuple[str, int], str]()
    deleted = 0

    for _ in range(10):
        for line in killed(SAVE_IN_A_LOOP, str(path), after=moments.uniform(0, 0.12)):
            name, number, content = line.split()
            if name == "d":
                deleted = int(number)
            else:
                assert (name, int(number)) not in acknowledged, "a number was used twice"
                acknowledged[name, int(number)] = content

    after = make("registry")
    for (name, version), content in acknowledged.items():
        if name != "c":
            assert after.load("secret", name, version).content == content.encode() * 50
    newest = max(version for name, version in acknowledged if name == "a")
    assert len(acknowledged) > 10
    assert after.load("secret", "a").version in (newest, newest + 1)
    assert all(item.readable for item in after.list())
    assert all(line.state != "unreadable" for name in "ab" for line in after.history("secret", name))
    assert all(line.deleted for line in after.history("secret", "c") if line.version <= deleted)
    assert after.save("secret", "a", b"next", overwrite=True).version in (newest + 1, newest + 2)


def test_a_kill_during_the_first_save(home: Path, data: Path, key_path: Path) -> None:
    """Killed at random moments while registry and key are made: there is all of each or none of it, and the next save works."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"{seed=}")  # noqa: T201 -- shown when the test fails
    moments = random.Random(seed)

    for _ in range(8):
        lines = killed(FIRST_SAVE, after=moments.uniform(0, 0.5))

        if "saved" in lines:
            assert current_registry().load("secret", "first").content == b"content"
        assert current_registry(create=True).save("secret", "next", b"after").version == 1
        assert current_registry().load("secret", "next").content == b"after"
        assert {data.stat().st_mode & 0o777, key_path.stat().st_mode & 0o777} == {0o600}
        assert all(path.stat().st_mode & 0o077 == 0 for path in (*data.parent.iterdir(), *key_path.parent.iterdir()))

        current_registry().close()
        settings_module._opened.clear()
        shutil.rmtree(home)
        home.mkdir()
