"""The password of a PostgreSQL server is nowhere to be seen."""

import socket
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from bondstone.registry import Registry, RegistryUnavailable, Settings
from bondstone.registry import postgresql as postgresql_module
from tests.postgres import PASSWORD, ROLE, Server
from tests.registry.postgresql.registries import KEY, KIND, opened
from tests.registry.processes import database_of

pytestmark = pytest.mark.xdist_group("postgres")


def frames(error: BaseException) -> Iterator[FrameType]:
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "/bondstone/" in frame.f_code.co_filename:
            yield frame


def test_the_password_is_nowhere_to_be_seen(registry: Registry, url: str) -> None:
    """Neither in what shows the registry, nor in what `vars` shows of it."""
    settings = Settings(registry=url, key=KEY)
    store = registry._store

    shown = [repr(thing) for thing in (registry, settings, store, vars(store), vars(database_of(registry)))]

    for text in [*shown, registry.url, settings.url, str(registry.address)]:
        assert PASSWORD not in text
        assert "p%3Aa" not in text
    assert registry.url.startswith(f"postgresql+psycopg://{ROLE}@127.0.0.1:")


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (("p%3A", "wrong%3A"), "password"),
        (("/db", "/nodb"), "make that database"),
        (("127.0.0.1:", "127.0.0.1:1"), "BONDSTONE_REGISTRY must"),
        (("bondstone:", "nobody:"), "password"),
    ],
)
def test_a_refusal_says_what_to_do(url: str, change: tuple[str, str], advice: str) -> None:
    """At once where waiting does not help, without the password in the text or in our frames' locals."""
    started = time.monotonic()
    fault: Exception | None = None
    try:
        Settings(registry=url.replace(*change), key=KEY).open()
    except (RegistryUnavailable, ValueError) as error:
        fault = error

    assert fault is not None
    assert advice in str(fault)
    assert "wrong" not in str(fault).split("authentication")[0]
    assert "w#rd" not in str(fault) + "".join(repr(frame.f_locals) for frame in frames(fault))
    assert time.monotonic() - started < 2


def test_nobody_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never answered is waited for a moment, then told as away."""
    monkeypatch.setattr(postgresql_module, "_FIRST_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(RegistryUnavailable, match="does not answer"):
        Settings(registry=f"postgresql+psycopg://someone@127.0.0.1:{port}/x", key=KEY).open()


def test_the_password_from_a_file(
    registry: Registry, postgres: Server, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PGPASSFILE is libpq's own way: the URL then has none."""
    registry.save(KIND, "a", b"x")
    escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    (tmp_path / "pgpass").write_text(f"127.0.0.1:{postgres.port}:*:{ROLE}:{escaped}\n")
    (tmp_path / "pgpass").chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))

    other = opened(postgres.url(database, password=False))

    assert other.load(KIND, "a").content == b"x"
    assert other.url == registry.url
    other.close()
