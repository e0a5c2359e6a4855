"""Which URLs name a registry, and what of them may be shown."""

from pathlib import Path

import pytest

from bondstone.registry import InvalidSettings, Settings
from bondstone.registry.address import server_address


@pytest.mark.parametrize(
    ("url", "shown", "parameters"),
    [
        ("postgresql+psycopg://u:p@h:5433/d", "u@h:5433/d", {"user": "u", "password": "p", "host": "h", "port": "5433", "dbname": "d"}),
        ("postgresql://h/d", "h/d", {"host": "h", "dbname": "d"}),
        ("postgresql+psycopg:///d", "/d", {"dbname": "d"}),
        ("postgresql+psycopg://u@[::1]/d", "u@[::1]/d", {"user": "u", "host": "::1", "dbname": "d"}),
        (
            "postgresql+psycopg://a%40b:%2F%3A%40%3F%23%25@h/my%2Fd",
            "a%40b@h/my%2Fd",
            {"user": "a@b", "password": "/:@?#%", "host": "h", "dbname": "my/d"},
        ),
        ("postgresql+psycopg://u@%2Frun%2Fpg/d", "u@%2Frun%2Fpg/d", {"user": "u", "host": "/run/pg", "dbname": "d"}),
        (
            "postgresql+psycopg://u:p@h/d?sslmode=require&options=-csearch_path%3Dx",
            "u@h/d?sslmode=require&options=-csearch_path%3Dx",
            {"user": "u", "password": "p", "host": "h", "dbname": "d", "sslmode": "require", "options": "-csearch_path=x"},
        ),
        ("postgresql+psycopg://u:äß@h/d", "u@h/d", {"user": "u", "password": "äß", "host": "h", "dbname": "d"}),
        ("postgresql+psycopg://u:a:b@h/d", "u@h/d", {"user": "u", "password": "a:b", "host": "h", "dbname": "d"}),
    ],
)  # fmt: skip
def test_addresses(url: str, shown: str, parameters: dict[str, str]) -> None:
    """Read as SQLAlchemy reads them; shown without the password, and read again the same, without the password."""
    address = server_address(url)

    assert address is not None
    assert address.url == f"postgresql+psycopg://{shown}"
    assert address.parameters == parameters
    again = server_address(address.url)
    assert again is not None
    assert again.url == address.url
    assert again.parameters == {name: value for name, value in parameters.items() if name != "password"}


SECRET = "hunter22"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://u:{SECRET}@h/", f"postgresql+psycopg://u:{SECRET}@h", f"postgresql+psycopg://u:x@{SECRET}@h/d",
        f"postgresql+psycopg://u:x/{SECRET}@h/d", f"postgresql+psycopg://u:12/{SECRET}@h/d", f"postgresql+psycopg://u:12?{SECRET}@h/d",
        f"postgresql+psycopg://u:12#{SECRET}@h/d", f"postgresql+psycopg://u:x[{SECRET}@h/d", f"postgresql+psycopg://u:x {SECRET}@h/d",
        f"postgresql+psycopg://u@h/d?password={SECRET}", f"postgresql+psycopg://u@h/d?sslpassword={SECRET}",
        f"postgresql+psycopg://u@h/d?sslmode=require#{SECRET}", f"postgresql+psycopg://u:{SECRET}@h:port/d",
        f"postgresql+psycopg://u:{SECRET}@h:99999/d", f"postgresql+psycopg:u:{SECRET}@h/d", f"postgresql+psycopg://u:{SECRET}@h/d/e",
        f"postgresql+asyncpg://u:{SECRET}@h/d", f"mysql://u:{SECRET}@h/d", f"https://u:{SECRET}@h/d", SECRET, f"sqlite://{SECRET}",
        f"postgresql+psycopg://u:{SECRET}\n@h/d", f"postgresql+psycopg://u:{SECRET}@h/d?options=a@b", f"postgres://u:{SECRET}@h/d",
    ],
)  # fmt: skip
def test_what_is_no_address_is_not_echoed(url: str) -> None:
    """Refused with the form that is right, and nothing of what was given."""
    settings = Settings(registry=url, key="A" * 43)

    for ask in (settings.store, settings.open, settings.create, lambda: settings.url):
        with pytest.raises(InvalidSettings, match="BONDSTONE_REGISTRY must be") as caught:
            ask()
        assert SECRET not in str(caught.value)
    assert SECRET not in repr(settings)


def test_a_store_is_made_of_an_sqlite_url(tmp_path: Path) -> None:
    """Nothing is made by naming it."""
    store = Settings(registry=f"sqlite:///{tmp_path}/x/registry.db").store()

    assert store.url == f"sqlite:///{tmp_path}/x/registry.db"
    assert not store.exists()
    assert not (tmp_path / "x").exists()
