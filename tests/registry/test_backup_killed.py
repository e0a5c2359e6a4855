"""A restore or a copy that is killed: what it leaves is told from a whole registry, is refused for use, and is gone on with."""

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from bondstone.registry import Conflict, NoRegistry, Registry, RegistryUnavailable, Settings, WrongKey
from bondstone.registry.backup import Copied, backup, copy, restore
from bondstone.registry.keys import RawKey
from bondstone.registry.results import WholeName
from tests.postgres import Server
from tests.registry.processes import start
from tests.registry.test_backup import KIND, RECOVERY, all_of

KEY_TEXT = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s"  # of the new registry
NAMES = 300

RESTORE = """
import os, sys
from pathlib import Path
from bondstone.registry import Settings
from bondstone.registry import backup
from bondstone.registry.keys import RawKey

backup._PAGE_NAMES = 10
there = Settings(registry=sys.argv[2], key=sys.argv[3])
def create(ttl, filling):
    return there.create(max_ttl=ttl, filling=filling)
def progress(done, of):
    if done % 10 == 0:
        os.write(1, b"ten more\\n")
os.write(1, b"ready\\n")
backup.restore(Path(sys.argv[1]), RawKey("key-file", "a test", b"r" * 32), create, progress=progress)
os.write(1, b"done\\n")
"""


@pytest.fixture
def archive(registry: Registry, tmp_path: Path) -> Path:
    """A backup of so many names that reading it takes a while."""
    for number in range(NAMES):
        registry.save(KIND, f"name-{number}", b"%d" % number)
    registry.set_max_ttl(77)
    backup(registry, tmp_path / "backup", RECOVERY)
    return tmp_path / "backup"


def there_at(url: str) -> Settings:
    return Settings(registry=url, key=KEY_TEXT)


def again(path: Path, url: str) -> Copied:
    """The same restore once more, to its end."""
    return restore(path, RECOVERY, lambda ttl, filling: there_at(url).create(max_ttl=ttl, filling=filling))


def killed(path: Path, url: str, moments: random.Random) -> None:
    """A restore, killed after so many lines of its progress and some milliseconds: often in the midst, at times when it is done."""
    child = start(RESTORE, str(path), url, KEY_TEXT)
    assert child.stdout is not None
    for _ in range(moments.randrange(2 * NAMES // 10)):  # written, then compared
        child.stdout.readline()
    time.sleep(moments.uniform(0, 0.02))
    child.send_signal(signal.SIGKILL)
    errors = child.communicate()[1]
    assert not errors or "there is a registry" in errors  # the one before was faster


def names_there(url: str) -> int:
    """How many names a registry holds, finished or not; 0 if there is none."""
    store = there_at(url).store()
    try:
        return len(store.all_heads(("", ""), 10_000)) if store.exists() else 0
    finally:
        store.close()


@pytest.mark.parametrize("where", ["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgres"))])
def test_kills_at_random_moments(
    registry: Registry, archive: Path, tmp_path: Path, where: str, request: pytest.FixtureRequest
) -> None:
    """Ten kills, or more: each leaves nothing, or an unfinished registry that nobody can use, or a whole one; the next restore ends it."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"{seed=}")  # noqa: T201 -- shown when the test fails
    moments, unfinished = random.Random(seed), 0
    postgres: Server | None = request.getfixturevalue("postgres") if where == "postgresql" else None

    for number in range(30):
        if number >= 5 and unfinished:
            break
        url = f"sqlite:///{tmp_path}/new-{number}.db" if postgres is None else postgres.url(postgres.database())
        for _ in range(2):  # the second goes on where the first was
            killed(archive, url, moments)
            with suppress(NoRegistry, RegistryUnavailable), closing(there_at(url).open()) as whole:
                assert all_of(whole) == all_of(registry)
            if 0 < names_there(url) < NAMES:
                unfinished += 1
                with pytest.raises(RegistryUnavailable, match="not whole"):
                    there_at(url).create()
        with suppress(Conflict):  # that was its end
            assert again(archive, url) == Copied(NAMES, NAMES, [])

        with closing(there_at(url).open()) as whole:
            assert all_of(whole) == all_of(registry)
            assert whole.max_ttl == 77

    assert unfinished


def interrupted(at: int) -> Callable[[int, int], None]:
    """A progress that ends the work after so many versions."""

    def progress(done: int, of: int) -> None:
        if done >= at:
            raise KeyboardInterrupt

    return progress


@pytest.fixture
def unfinished(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a registry whose restore was interrupted in the middle."""
    monkeypatch.setattr("bondstone.registry.backup._PAGE_NAMES", 10)
    url = f"sqlite:///{tmp_path}/new.db"
    with pytest.raises(KeyboardInterrupt):
        restore(
            archive,
            RECOVERY,
            lambda ttl, filling: there_at(url).create(max_ttl=ttl, filling=filling),
            progress=interrupted(150),
        )
    assert 0 < names_there(url) < NAMES
    return url


def test_an_unfinished_registry_is_refused_by_everything(unfinished: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads, saves and listings say what to do, and change nothing."""
    before = names_there(unfinished)
    monkeypatch.setenv("BONDSTONE_REGISTRY", unfinished)
    monkeypatch.setenv("BONDSTONE_KEY", KEY_TEXT)

    for words in (["ls"], ["show", "secret/name-1"], ["audit"], ["history", "secret/name-1"]):
        done = subprocess.run(
            [sys.executable, "-m", "bondstone.cli", *words], capture_output=True, text=True, timeout=60
        )
        assert done.returncode != 0
        assert "run the same command again" in done.stderr.replace("\n", " ")
    assert names_there(unfinished) == before


def test_the_same_restore_goes_on(registry: Registry, unfinished: str, archive: Path) -> None:
    """What is there stays, what is missing is added, and the registry is one like any other."""
    first = sqlite3.connect(unfinished.removeprefix("sqlite:///"))
    with closing(first):
        before = dict(first.execute("SELECT name, sealed FROM versions").fetchall())

    assert again(archive, unfinished) == Copied(NAMES, NAMES, [])

    with closing(there_at(unfinished).open()) as whole:
        assert all_of(whole) == all_of(registry)
        assert before.items() <= {row[0]: _sealed(whole, row[0]) for row in before.items()}.items()
        assert [row.action for row in whole.audit() if row.action == "restore"][:1] == ["restore"]
        assert whole.verify_audit().whole
        assert whole.save(KIND, "new", b"x").version == 1


def _sealed(registry: Registry, name: str) -> bytes:
    found = registry._store.version(KIND, name, 1)
    assert found is not None
    return found.envelope


def test_another_restore_does_not_go_on(registry: Registry, unfinished: str, archive: Path, tmp_path: Path) -> None:
    """Of another backup, of the same registry too, or a copy, or with another key: nothing changes."""
    backup(registry, tmp_path / "other", RECOVERY)
    before = names_there(unfinished)

    with pytest.raises(Conflict, match="there is a registry"):
        again(tmp_path / "other", unfinished)
    with pytest.raises(Conflict, match="there is a registry"):
        copy(registry, lambda ttl, filling: there_at(unfinished).create(max_ttl=ttl, filling=filling))
    with pytest.raises(WrongKey):
        restore(
            archive,
            RECOVERY,
            lambda ttl, filling: Registry.create(
                there_at(unfinished).store(), RawKey("key", "a test", b"?" * 32), filling=filling
            ),
        )

    assert names_there(unfinished) == before


def test_a_finished_registry_is_not_touched(unfinished: str, archive: Path) -> None:
    """Once it is whole, the same restore is refused: what was saved meanwhile is safe."""
    again(archive, unfinished)
    with closing(there_at(unfinished).open()) as whole:
        whole.save(KIND, "name-1", b"later", overwrite=True)
        whole.purge(KIND, "name-2")

    with pytest.raises(Conflict, match="there is a registry"):
        again(archive, unfinished)

    with closing(there_at(unfinished).open()) as whole:
        assert whole.load(KIND, "name-1").content == b"later"
        assert len(whole.history(KIND, "name-2")) == 1


def test_a_copy_goes_on_too(registry: Registry, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted copy is refused, and ended by the same copy."""
    monkeypatch.setattr("bondstone.registry.backup._PAGE_NAMES", 10)
    there = there_at(f"sqlite:///{tmp_path}/copy.db")

    with pytest.raises(KeyboardInterrupt):
        copy(registry, lambda ttl, filling: there.create(max_ttl=ttl, filling=filling), progress=interrupted(100))
    with pytest.raises(RegistryUnavailable, match="not whole"):
        there.open()
    done = copy(registry, lambda ttl, filling: there.create(max_ttl=ttl, filling=filling))

    assert done == Copied(NAMES, NAMES, [])
    with closing(there.open()) as whole:
        names: list[WholeName] = all_of(whole)
        assert names == all_of(registry)


def test_a_lost_key_is_not_made_anew(archive: Path, unfinished: str, home: Path, key_path: Path) -> None:
    """To go on takes the key of the first time: a new one would open nothing."""
    shutil.rmtree(home / ".config", ignore_errors=True)

    with pytest.raises(LookupError):
        restore(
            archive,
            RECOVERY,
            lambda ttl, filling: Settings(registry=unfinished).create(max_ttl=ttl, filling=filling),
        )

    assert not key_path.exists()
