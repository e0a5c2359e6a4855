"""SQLite: files of every sort, what they cost to open, and the texts that stand for SQLAlchemy."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

import bondstone.registry.texts
from bondstone.registry import (
    NotFound,
    Registry,
    RegistryUnavailable,
    RolledBack,
    Settings,
    Unreadable,
    UnsupportedFormat,
    current_registry,
    statements,
    tables,
)
from bondstone.registry import settings as settings_module
from bondstone.registry.schema import SCHEMA
from tests.conftest import Make
from tests.registry.processes import database_of, run

KIND = "secret"


def test_the_texts_are_what_sqlalchemy_compiles() -> None:
    """`texts.py` is what `statements.py` writes: no statement is in use that Core did not make."""
    assert statements.texts("SQLITE") == bondstone.registry.texts.SQLITE
    assert statements.texts("POSTGRESQL") == bondstone.registry.texts.POSTGRESQL
    assert Path(bondstone.registry.texts.__file__).read_text() == statements.source()


def test_the_migrations_make_the_tables(registry: Registry, path: Path) -> None:
    """What the migrations make is what the tables say, and the newest one is what loads look for."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        differences = compare_metadata(context, tables.metadata)
        revision = context.get_current_revision()
    engine.dispose()

    assert differences == []
    assert revision == SCHEMA


def test_settings_of_the_file(registry: Registry, path: Path) -> None:
    """Write-ahead log on, each save synchronous, and no other than the owner reads any of the files."""
    registry.save(KIND, "a", b"x")

    raw = database_of(registry).connection()._raw
    files = {file.name: file.stat().st_mode & 0o777 for file in path.parent.glob("registry.db*")}

    assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert raw.execute("PRAGMA synchronous").fetchone() == (2,)
    assert files == {"registry.db": 0o600, "registry.db-wal": 0o600, "registry.db-shm": 0o600}


def replace(new: Path, path: Path) -> None:
    """Put `new` in the place of `path`, whose log goes with it: SQLite would take the old log for one of the new file."""
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    new.replace(path)


def test_a_replaced_file_is_noticed(registry: Registry, make: Make, path: Path) -> None:
    """A file put in the place of the one that is open, with the same registry in an older state, is what the next load reads.

    It is refused, until the restore is accepted.
    """
    registry.save(KIND, "a", b"old")
    registry.close()
    shutil.copy(path, path.with_name("backup.db"))
    registry.save(KIND, "a", b"new", overwrite=True)
    assert registry.load(KIND, "a").content == b"new"

    replace(path.with_name("backup.db"), path)

    with pytest.raises(RolledBack):
        registry.load(KIND, "a")
    registry.accept(registry.set_back())
    assert registry.load(KIND, "a").content == b"old"
    assert registry.save(KIND, "a", b"next", overwrite=True).version == 2


def test_another_registry_in_its_place_is_refused(registry: Registry, make: Make, path: Path) -> None:
    """Another registry's file under the name of the one that is open does not serve its blocks as ours."""
    registry.save(KIND, "a", b"ours")
    other = make("other")
    other.save(KIND, "a", b"theirs")
    other.close()

    replace(path.with_name("other.db"), path)

    with pytest.raises(Unreadable):
        registry.load(KIND, "a")
    with pytest.raises(Unreadable):
        registry.save(KIND, "a", b"x", overwrite=True)


WITHOUT_RIGHTS = """
import json, os, sys, warnings
from pathlib import Path
import bondstone.blocks, bondstone.blocks.secret, bondstone.registry.spool, difflib, platformdirs.unix, getpass, pwd
from bondstone.blocks import Secret, BondstoneError
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
print(Secret.load("a").get(), Secret.load("a", version=1).get(), Secret.names(), len(Secret.history("a")))
try:
    Secret(value="new").save("a", overwrite=True)
except BondstoneError as error:
    print(error.code, "read-only" in str(error) or "readonly" in str(error))
print(Secret.load("a").get())
"""


@pytest.mark.parametrize(("folder", "file"), [(0o500, 0o400), (0o700, 0o400), (0o500, 0o600)])
def test_a_read_only_registry_loads(shared: Path, monkeypatch: pytest.MonkeyPatch, folder: int, file: int) -> None:
    """Without the right to write, to the file or the folder, loads work and a save says why not; loads are recorded when it is back."""
    monkeypatch.setenv("HOME", str(shared))
    current_registry(create=True).save(KIND, "a", b'{"fields":{"value":"value"},"schema_version":1}')
    for registry in settings_module._opened.values():
        registry.close()
    data = shared / ".local/share/bondstone"
    if os.getuid() == 0:
        for inside in (shared, *shared.rglob("*")):
            os.chown(inside, 65534, 65534)
    (data / "registry.db").chmod(file)
    data.chmod(folder)

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_RIGHTS], capture_output=True, text=True, timeout=60
    )

    assert done.stdout.splitlines() == ["value value ['a'] 1", "registry_unavailable True", "value"], done.stderr
    assert done.stderr == ""
    data.chmod(0o700)
    (data / "registry.db").chmod(0o600)
    settings_module._opened.clear()
    current_registry().load(KIND, "a")
    recorded = [(row.action, row.outcome) for row in current_registry().audit()]
    assert recorded == [("load", "ok")] * 4 + [("save", "ok")]


def opened(path: Path) -> Registry:
    return Settings(registry=f"sqlite:///{path}", key="A" * 43).open()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """It is told as another kind of file, and left as it is."""
    path = tmp_path / "notes.txt"
    path.write_text("notes, " * 1000)

    with pytest.raises(RegistryUnavailable, match="another kind of file"):
        opened(path)

    assert path.read_text() == "notes, " * 1000
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["notes.txt"]


@pytest.mark.parametrize(
    "script",
    [
        "", "CREATE TABLE registry (x)", "CREATE TABLE alembic_version (version_num); INSERT INTO alembic_version VALUES ('abc')",
        "CREATE TABLE alembic_version (version_num); CREATE TABLE heads (x); CREATE TABLE registry (x)",
    ],
)  # fmt: skip
def test_a_database_of_another_application(tmp_path: Path, script: str) -> None:
    """It is told as not ours, nothing is created in it, and a save does not touch it either."""
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(script)
    before = path.read_bytes()

    for act in (Settings.open, Settings.create):
        with pytest.raises(RegistryUnavailable, match="not a bondstone registry"):
            act(Settings(registry=f"sqlite:///{path}", key="A" * 43))

    assert path.read_bytes() == before


@pytest.mark.parametrize("version", ["r0004", "r9999", "z"])
def test_a_newer_schema_is_refused(registry: Registry, make: Make, path: Path, version: str) -> None:
    """A file that a newer bondstone migrated is told as such, and not migrated back."""
    registry.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("UPDATE alembic_version SET version_num = ?", (version,))

    with pytest.raises(UnsupportedFormat, match="newer"):
        make("registry")


@pytest.mark.parametrize("version", [5, None, b"r0001"])
def test_a_schema_of_no_sort_is_refused(registry: Registry, make: Make, path: Path, version: object) -> None:
    """A version number that is none is an error of ours, not a crash."""
    registry.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("DROP TABLE alembic_version")
        raw.execute("CREATE TABLE alembic_version (version_num)")
        raw.execute("INSERT INTO alembic_version VALUES (?)", (version,))

    with pytest.raises(RegistryUnavailable):
        make("registry")


def test_a_path_below_a_file(tmp_path: Path) -> None:
    """Where no folder can be, the error says that it cannot be written; nothing is left behind."""
    (tmp_path / "file").touch()
    settings = Settings(registry=f"sqlite:///{tmp_path}/file/registry.db", key="A" * 43)

    with pytest.raises(RegistryUnavailable, match="BONDSTONE_REGISTRY"):
        settings.create()
    with pytest.raises(NotFound):
        settings.open()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "home"]


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    """A folder with the registry's name is told."""
    (tmp_path / "registry.db").mkdir()

    with pytest.raises(RegistryUnavailable):
        opened(tmp_path / "registry.db")


@pytest.mark.parametrize("name", ["with space", "a?b", "a#b", "50%25", "ä", "a'b", 'a"b', "a;b", "a&mode=ro"])
def test_paths_of_every_sort(tmp_path: Path, name: str) -> None:
    """Letters that mean something in a URL are letters of a path."""
    path = tmp_path / name / f"{name}.db"
    settings = Settings(registry=f"sqlite:///{path}", key="A" * 43)

    registry = settings.create()
    registry.save(KIND, "a", b"x")

    assert path.exists()
    assert opened(path).load(KIND, "a").content == b"x"
    assert [file.name for file in tmp_path.iterdir() if file.name != "home"] == [name]
    registry.close()


def test_a_damaged_file_is_told(registry: Registry, make: Make, path: Path) -> None:
    """Pages overwritten with rubbish: an error of ours, whatever is asked."""
    for turn in range(50):
        registry.save(KIND, f"n{turn}", b"x" * 2000)
    registry.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + bytes(range(256)) * 16 * 4 + whole[4096 * 5 :])

    with pytest.raises((RegistryUnavailable, Unreadable)):
        make("registry").load(KIND, "n1")


def test_a_locked_database_is_told(registry: Registry, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that holds the file: loads go on; a save waits, then says so."""
    registry.save(KIND, "a", b"x")
    database_of(registry).connection()._raw.execute("PRAGMA busy_timeout = 50")
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")

        with pytest.raises(RegistryUnavailable, match="try again"):
            registry.save(KIND, "a", b"y", overwrite=True)
        assert registry.load(KIND, "a").content == b"x"

        raw.execute("ROLLBACK")
    assert registry.save(KIND, "a", b"y", overwrite=True).version == 2


IMPORTS = """
import sys
{before}
forbidden = {forbidden!r}
print(sorted(name for name in sys.modules if name.partition(".")[0] in forbidden))
"""


def test_a_load_imports_no_sqlalchemy() -> None:
    """A cold load pays for neither SQLAlchemy nor Alembic."""
    current_registry(create=True).save(KIND, "a", b'{"fields":{"value":"value"},"schema_version":1}')
    load = 'from bondstone.blocks import Secret; assert Secret.load("a").get() == "value"; Secret.names(); Secret.history("a")'

    assert run(IMPORTS.format(before=load, forbidden=["sqlalchemy", "alembic", "asyncio", "typer", "rich"])) == "[]\n"


def test_the_blocks_import_no_vendor() -> None:
    """`import bondstone.blocks`, and the catalog of all kinds, import no vendor's package."""
    vendors = [
        "boto3", "botocore", "obstore", "s3fs", "fsspec", "xarray", "zarr", "numpy", "icechunk", "arraylake", "prefect", "dask",
        "distributed", "sqlalchemy", "alembic", "psycopg", "httpx", "pandas",
    ]  # fmt: skip
    before = "import bondstone.blocks; bondstone.blocks.catalog(); from bondstone.blocks import S3Bucket, IcechunkRepo"

    assert run(IMPORTS.format(before=before, forbidden=vendors)) == "[]\n"
