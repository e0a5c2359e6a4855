"""A COMMIT whose answer never comes: the change is made once, or it is said that nobody knows."""

from contextlib import suppress

import psycopg
import pytest

from bondstone.registry import Registry, RegistryUnavailable
from bondstone.registry import postgresql as postgresql_module
from tests.registry.postgresql.registries import KIND
from tests.registry.postgresql.wire import Wire, over_the
from tests.registry.processes import database_of

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.mark.parametrize("cut", ["before", "after", "late"])
def test_a_commit_without_an_answer(wire: Wire, url: str, cut: str) -> None:
    """Whether it happened is found out: the save is done once, and recorded once."""
    with over_the(wire, url) as registry:
        registry.save(KIND, "a", b"one")

        wire.cut = cut
        saved = registry.save(KIND, "a", b"two", overwrite=True)
        wire.cut = cut
        registry.delete(KIND, "a")

        assert wire.seen == 2
        assert saved.version == 2
        assert [(line.version, line.deleted) for line in registry.history(KIND, "a")] == [(1, True), (2, True)]
        assert [row.action for row in registry.audit()] == ["delete", "save", "save"]


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_commit_of_which_nothing_is_heard(wire: Wire, url: str, cut: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server does not come back, the error says that it is unknown whether the save was made. It was, or it was not."""
    monkeypatch.setattr(postgresql_module, "RIDE_OUT_SECONDS", 0.3)
    with over_the(wire, url) as registry:
        registry.save(KIND, "a", b"one")

        wire.cut, wire.stay_away = cut, True
        with pytest.raises(RegistryUnavailable, match="unknown whether"):
            registry.save(KIND, "a", b"two", overwrite=True)
        wire.cut, wire.stay_away = "", False

        expected = (b"two", 2) if cut == "after" else (b"one", 1)
        assert (registry.load(KIND, "a").content, registry.load(KIND, "a").version) == expected


@pytest.mark.parametrize("cut", ["before", "after"])
def test_other_changes_without_an_answer(wire: Wire, url: str, cut: str) -> None:
    """Settings and reads on record are changed once, too."""
    with over_the(wire, url) as registry:
        registry.save(KIND, "a", b"one")

        wire.cut = cut
        registry.set_max_ttl(77)
        registry.load(KIND, "a")
        wire.cut = cut
        registry.flush()

        assert registry.max_ttl == 77
        assert [row.action for row in registry.audit()] == ["load", "settings", "save"]


def test_a_commit_that_is_answered_by_a_rollback(registry: Registry) -> None:
    """What a transaction in which a statement failed answers to COMMIT is no error, and no commit."""
    registry.save(KIND, "a", b"one")
    connection = database_of(registry).connection()

    def change() -> None:
        with connection.transaction():
            connection.change("purge", {"kind": KIND, "name": "a", "through": 1})
            with suppress(psycopg.Error):
                connection._raw.execute(b"SELECT 1 / 0")

    with pytest.raises(psycopg.InternalError, match="rolled back"):
        change()

    assert registry.load(KIND, "a").content == b"one"
