"""The PostgreSQL store keeps the promises of all stores; and what it costs to import."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from bondstone.blocks import Secret
from bondstone.registry import Registry, RegistryUnavailable, Settings
from bondstone.registry.store import Store
from bondstone.registry.testing import StoreSuite
from tests.postgres import Server
from tests.registry.postgresql.registries import KIND
from tests.registry.processes import run

pytestmark = pytest.mark.xdist_group("postgres")


class TestPostgresqlStore(StoreSuite):
    @pytest.fixture
    def store(self, postgres: Server, database: str) -> Iterator[Store]:
        self.settings = Settings(registry=postgres.url(database))
        store = self.settings.store()
        yield store
        store.close()

    def beside(self, store: Store) -> Store:
        return self.settings.store()


IMPORTS = """
import sys
from bondstone.blocks import Secret
assert Secret.load("a").get() == "value"
print(sorted(name for name in sys.modules if name.partition(".")[0] in ("sqlalchemy", "alembic", "typer", "rich")))
"""

WITHOUT_PSYCOPG = """
import sys
sys.modules["psycopg"] = None
from bondstone.blocks import MissingExtra, Secret
try:
    Secret.load("a")
except MissingExtra as error:
    print(error)
"""


def test_a_load_imports_no_sqlalchemy(configured: str) -> None:
    """A cold load pays for neither SQLAlchemy nor Alembic."""
    Secret(value="value").save("a")

    assert run(IMPORTS) == "[]\n"


def test_without_psycopg(configured: str) -> None:
    """The error names the extra to install, and not the password."""
    printed = run(WITHOUT_PSYCOPG)

    assert "pip install 'bondstone[postgres]'" in printed
    assert "p%3A" not in printed


def test_a_library_that_does_not_use_it_does_not_import_it(home: Path) -> None:
    """An SQLite registry needs no psycopg, and no suite."""
    code = (
        "import sys; from bondstone.blocks import Secret; Secret(value='x').save('a'); print([name for name in sys.modules"
        " if name.startswith(('psycopg', 'bondstone.registry.testing', 'pytest', 'bondstone.registry.postgresql'))])"
    )

    assert run(code) == "[]\n"


def test_psycopg_errors_are_ours(registry: Registry, postgres: Server, database: str) -> None:
    """Tables that are gone: an error of ours, whatever is asked."""
    registry.save(KIND, "a", b"x")
    with postgres.connect(database) as raw:
        raw.execute("DROP TABLE versions")

    for ask in (registry.load, registry.history, registry.delete):
        with suppress(RegistryUnavailable):
            ask(KIND, "a")
    with pytest.raises(RegistryUnavailable) as caught:
        registry.load(KIND, "a")

    assert not isinstance(caught.value, psycopg.Error)
    assert "restore it from a backup" in str(caught.value)
