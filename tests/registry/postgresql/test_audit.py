"""The audit log in PostgreSQL: the same chain, and a server that goes away."""

import signal
from pathlib import Path

import pytest

from bondstone.registry import Registry, current_registry
from bondstone.registry import postgresql as postgresql_module
from tests.postgres import Server
from tests.registry.processes import at_once
from tests.registry.test_audit import KIND, SAVE_AND_LOAD, faults, spool_of

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture
def registry(postgres: Server, database: str, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """An empty registry on the server, which the environment names."""
    monkeypatch.setenv("BONDSTONE_REGISTRY", postgres.url(database))
    monkeypatch.setenv("BONDSTONE_KEY", "A" * 43)
    return current_registry(create=True)


def test_eight_writers_make_one_chain(registry: Registry) -> None:
    """Saves and batches of reads of eight processes at once: every row is there, and the chain is whole."""
    outputs = at_once(SAVE_AND_LOAD, [f"name-{number}" for number in range(8)])

    assert outputs == [("", "", 0)] * 8
    assert registry.verify_audit() == (320, 0, 320, [], 0)


@pytest.mark.parametrize(
    ("statement", "refused"),
    [
        ("UPDATE audit SET actor = 'you@host:1' WHERE seq = 2", [2]),
        ("DELETE FROM audit WHERE seq = 2", [2]),
        ("DELETE FROM audit WHERE seq = 3", []),
        ("INSERT INTO audit SELECT 4, at, actor, action, kind, name, version, outcome, mac FROM audit WHERE seq = 3", [4]),
        ("INSERT INTO audit SELECT -4, at, actor, action, kind, name, version, outcome, mac FROM audit WHERE seq = 3", [-4]),
        ("UPDATE audit SET mac = '' WHERE seq = 3", [3]),
    ],
)  # fmt: skip
def test_attacks(registry: Registry, postgres: Server, database: str, statement: str, refused: list[int]) -> None:
    """Are found as in SQLite; a cut tail with the checkpoint."""
    for name in "abc":
        registry.save(KIND, name, b"x")
    checkpoint = registry.audit_checkpoint()

    with postgres.connect(database) as connection:
        connection.execute(statement)

    assert faults(registry) == refused
    assert set(faults(registry, checkpoint)) == set(refused or [3])
    registry.save(KIND, "d", b"x")


def test_reads_wait_for_a_server_that_is_down(
    registry: Registry,
    postgres: Server,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They are spooled, and recorded when it is back."""
    monkeypatch.setattr(postgresql_module, "RIDE_OUT_SECONDS", 0.2)
    registry.save(KIND, "a", b"x")
    registry.load(KIND, "a")
    postgres.end(signal.SIGQUIT)
    try:
        registry.flush()
        spooled = spool_of(registry, home / ".local/state/bondstone").read_text()
    finally:
        postgres.start()

    registry.load(KIND, "a")

    assert len(spooled.splitlines()) == 1
    assert [row.action for row in registry.audit()] == ["load", "load", "save"]
    assert registry.verify_audit().whole
    assert "not recorded" not in capsys.readouterr().err
