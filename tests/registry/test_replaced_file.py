"""A registry file restored by `cp`, in place, while the write-ahead log of a killed process still lies beside it."""

import shutil
import signal
from contextlib import closing
from pathlib import Path

import pytest

from bondstone.registry import BondstoneError, Registry
from bondstone.registry.keys import RawKey
from bondstone.registry.sql import SqlStore
from bondstone.registry.sqlite import SqliteDatabase
from tests.registry.processes import start

KIND, NAMES, LAST = "secret", 40, 6

SAVE_AND_WAIT = """
import os, sys
from pathlib import Path
from bondstone.registry import Registry
from bondstone.registry.keys import RawKey
from bondstone.registry.sql import SqlStore
from bondstone.registry.sqlite import SqliteDatabase

store = SqlStore(SqliteDatabase(Path(sys.argv[1])))
registry = Registry.open(store, RawKey("key", "a test", b"k" * 32), state=Path(sys.argv[2]))
for number in range(2, int(sys.argv[3]) + 1):
    for name in range(int(sys.argv[4])):
        registry.save("secret", f"name-{name}", b"%d of %d" % (number, name) * 20, overwrite=True)
os.write(1, b"saved\\n")
sys.stdin.read()
"""


def opened(path: Path, state: Path | None) -> Registry:
    return Registry.open(SqlStore(SqliteDatabase(path)), RawKey("key", "a test", b"k" * 32), state=state)


@pytest.fixture
def mixed(registry: Registry, path: Path, tmp_path: Path) -> Path:
    """An older copy of the file under a newer log; the state folder knows the newer versions."""
    for name in range(NAMES):
        registry.save(KIND, f"name-{name}", b"1 of %d" % name * 20)
    registry.close()
    shutil.copy(path, tmp_path / "older.db")
    child = start(SAVE_AND_WAIT, str(path), str(tmp_path / "state"), str(LAST), str(NAMES))
    assert child.stdout is not None
    assert child.stdout.readline() == "saved\n", child.communicate()
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert path.with_name("registry.db-wal").stat().st_size > 0
    path.write_bytes((tmp_path / "older.db").read_bytes())  # as `cp` does: into the file that is there
    return path


def told(registry: Registry, name: int) -> str:
    """The version that a load gives, if its content is what was saved as that; else the code of the refusal."""
    try:
        document = registry.load(KIND, f"name-{name}")
    except BondstoneError as error:
        return error.code
    assert document.content == b"%d of %d" % (document.version, name) * 20
    return str(document.version)


def test_who_has_seen_the_newer_state_takes_no_older_one(mixed: Path, tmp_path: Path) -> None:
    """Each name is at its newest version, or is refused with a code that says why."""
    try:
        registry = opened(mixed, tmp_path / "state")
    except BondstoneError as error:
        assert error.code in ("registry_unavailable", "unreadable")  # noqa: PT017 -- either way is right
        return
    with closing(registry):
        outcomes = {told(registry, name) for name in range(NAMES)}

    assert outcomes <= {str(LAST), "rolled_back", "unreadable", "registry_unavailable"}


def test_nobody_is_given_what_was_never_saved(mixed: Path) -> None:
    """A client that has seen nothing may get older versions, each whole, under its own number; never a mixture."""
    try:
        registry = opened(mixed, None)
    except BondstoneError as error:
        assert error.code in ("registry_unavailable", "unreadable")  # noqa: PT017 -- either way is right
        return
    with closing(registry):
        outcomes = {told(registry, name) for name in range(NAMES)}

    assert outcomes <= {*map(str, range(1, LAST + 1)), "unreadable", "registry_unavailable"}


def test_without_the_old_log_the_copy_is_what_was_copied(mixed: Path, tmp_path: Path) -> None:
    """As the page says: both files beside it are removed first. Then it is an older state, which is told."""
    for part in ("-wal", "-shm"):
        mixed.with_name(mixed.name + part).unlink(missing_ok=True)

    with closing(opened(mixed, None)) as fresh:
        assert {told(fresh, name) for name in range(NAMES)} == {"1"}
    with closing(opened(mixed, tmp_path / "state")) as registry:
        assert {told(registry, name) for name in range(NAMES)} == {"rolled_back"}
        registry.accept(registry.set_back())
        assert {told(registry, name) for name in range(NAMES)} == {"1"}
