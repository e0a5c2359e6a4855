"""The tables in PostgreSQL: how they are made, migrated, and kept apart from those of others."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from bondstone.registry import Registry, RegistryUnavailable, UnsupportedFormat, tables
from bondstone.registry.schema import SCHEMA
from tests.postgres import Server
from tests.registry.postgresql.registries import KIND, opened

pytestmark = pytest.mark.xdist_group("postgres")


def test_the_migrations_make_the_tables(registry: Registry, postgres: Server, database: str) -> None:
    """What the migrations make is what the tables say; names are ordered by their bytes in whatever language."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: postgres.connect(database))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        differences = compare_metadata(context, tables.metadata)
        revision = context.get_current_revision()
    engine.dispose()
    with postgres.connect(database) as raw:
        columns = raw.execute(
            "SELECT a.attname, c.collname FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation"
            " JOIN pg_class t ON t.oid = a.attrelid WHERE t.relname IN ('heads', 'versions', 'journal') AND t.relkind = 'r'"
        ).fetchall()

    assert differences == []
    assert revision == SCHEMA
    assert sorted(columns) == [("kind", "C")] * 3 + [("name", "C")] * 3


@pytest.mark.parametrize("version", ["r9999", "zzz"])
def test_a_newer_schema_is_refused(registry: Registry, postgres: Server, database: str, url: str, version: str) -> None:
    """Written by a newer bondstone: told so, and left as it is."""
    with postgres.connect(database) as raw:
        raw.execute("UPDATE alembic_version SET version_num = %s", (version,))

    with pytest.raises(UnsupportedFormat, match="newer"):
        opened(url)


@pytest.mark.parametrize("schema", ["r0001", "r0002"])
def test_an_older_schema_is_migrated(
    registry: Registry, postgres: Server, database: str, url: str, schema: str
) -> None:
    """By whoever comes first, while others wait; what is there stays."""
    registry.save(KIND, "a", b"x")
    with postgres.connect(database) as raw:
        raw.execute("DROP TABLE journal; DROP TABLE leases")
        if schema == "r0001":
            raw.execute("ALTER TABLE audit DROP COLUMN mac; ALTER TABLE audit ALTER seq TYPE integer")
        raw.execute("UPDATE alembic_version SET version_num = %s", (schema,))

    with ThreadPoolExecutor(4) as pool:
        others = list(pool.map(lambda _: opened(url), range(4)))

    assert [other.load(KIND, "a").content for other in others] == [b"x"] * 4
    assert others[0].save(KIND, "a", b"y", overwrite=True).version == 2
    assert others[0].leases.take(KIND, "a", 2, 60) in others[1].leases.all()
    with postgres.connect(database) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchall() == [(SCHEMA,)]
    for other in others:
        other.close()


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE alembic_version (version_num varchar(32)); INSERT INTO alembic_version VALUES ('abc')",
        "CREATE TABLE alembic_version (version_num varchar(32))",
        "CREATE TABLE registry (x int)",
        "CREATE TABLE versions (x int)",
    ],
)
def test_a_database_of_another_program(postgres: Server, database: str, url: str, script: str) -> None:
    """Its tables are left as they are, and none is added."""
    listing = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
    with postgres.connect(database) as raw:
        raw.execute(script)
        before = raw.execute(listing).fetchall()

        with pytest.raises(RegistryUnavailable, match=r"BONDSTONE_REGISTRY|of its own"):
            opened(url)

        assert raw.execute(listing).fetchall() == before


def test_schemas_keep_registries_apart(postgres: Server, database: str, url: str) -> None:
    """Two registries in one database, by libpq's own option in the URL."""
    with postgres.connect(database) as raw:
        raw.execute("CREATE SCHEMA one; CREATE SCHEMA two")
    one, two = (opened(f"{url}?options=-csearch_path%3D{name}") for name in ("one", "two"))

    one.save(KIND, "a", b"one")
    two.save(KIND, "a", b"two")

    assert (one.load(KIND, "a").content, two.load(KIND, "a").content) == (b"one", b"two")
    assert one.id != two.id
    one.close()
    two.close()
