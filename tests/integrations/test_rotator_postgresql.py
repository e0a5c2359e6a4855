"""Two roles take turns, at a real PostgreSQL that was set up by the words of the documentation and logs every statement."""

import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bondstone.blocks import AccessDenied, Conflict, DatabaseCredentials, InvalidSettings, SecretStr, ServiceUnavailable
from bondstone.blocks import rotation as rotations
from bondstone.blocks.rotator import rotator_of
from bondstone.cli.demo.hunt import hunt_bytes
from bondstone.integrations.rotators.postgresql import database_credentials as rotator
from tests.integrations.paired_roles import Pair


def test_it_is_the_rotator_of_its_kind() -> None:
    """By entry point."""
    assert type(rotator_of("database-credentials")) is type(rotator)


class TestARotation:
    """Step by step, each of them twice, as after a kill."""

    def test_there_and_back(self, pair: Pair) -> None:
        """Both are good until the old one is disabled; then the roles have changed places, and may do so again."""
        a = pair.block
        for old_role, new_role in (("app_a", "app_b"), ("app_b", "app_a")):
            assert [rotator.existing(a) for _ in range(2)] == [(old_role,)] * 2
            b = rotator.create(a, {})
            assert pair.may_log_in() == {old_role}  # nothing has been sent
            for _ in range(2):
                rotator.install(b, a)
            assert pair.usable(a)
            assert pair.usable(b)
            verified = rotator.verify(b)
            assert (verified.by, verified.identity) == ("SELECT session_user", new_role)
            assert "can act as app;" in verified.proves
            for _ in range(2):
                rotator.disable(a, b)
            assert not pair.usable(a)
            assert pair.with_password() == {"app_a", "app_b"}  # it could be let in again
            for _ in range(2):
                rotator.retire(a, b)
            assert pair.with_password() == pair.may_log_in() == {new_role}
            a = b

    def test_what_either_makes_is_the_owners(self, pair: Pair) -> None:
        """So each can drop what the other made."""
        b = rotator.create(pair.block, {})
        rotator.install(b, pair.block)

        with pair.server.connect(pair.name) as owner:
            owner.execute("GRANT CREATE ON SCHEMA public TO app")
        with pair.connection(pair.block) as first, pair.connection(b) as second:
            first.execute("CREATE TABLE t (a int)")
            second.execute("DROP TABLE t")
            assert second.execute("SELECT session_user, current_user").fetchone() == ("app_b", "app")

    def test_sessions_outlive_it(self, pair: Pair) -> None:
        """A flow that holds a connection is not disturbed."""
        with pair.connection(pair.block) as held:
            b = rotator.create(pair.block, {})
            rotator.install(b, pair.block)
            rotator.disable(pair.block, b)
            rotator.retire(pair.block, b)

            assert held.execute("SELECT session_user").fetchone() == ("app_a",)

    def test_an_undone_one(self, pair: Pair) -> None:
        """The other role is as before; the current one is never touched, nor one that was there."""
        before, b = rotator.existing(pair.block), rotator.create(pair.block, {})
        rotator.discard(before, None, pair.block)
        rotator.install(b, pair.block)

        rotator.discard([*before, "app_b"], b, pair.block)
        assert pair.usable(b)
        for _ in range(2):
            rotator.discard(before, b, pair.block)

        assert not pair.usable(b)
        assert pair.may_log_in() == pair.with_password() == {"app_a"}

    def test_the_password_is_in_no_statement(self, pair: Pair) -> None:
        """The server's log has every statement with its parameters, and the verifier; it has no password."""
        b = rotator.create(pair.block, {})
        rotator.install(b, pair.block)
        rotator.verify(b)
        assert pair.usable(b)

        log = pair.server.log.read_bytes()

        assert b"bondstone.turn" in log
        assert b"SCRAM-SHA-256$4096:" in log
        assert not hunt_bytes(pair.passwords, log, "log")
        assert len(set(pair.passwords.values())) == 2

    def test_a_role_that_ends(self, pair: Pair) -> None:
        """The server tells until when its password is good; for ever is no date."""
        pair.ask("ALTER ROLE app_a VALID UNTIL '2099-01-01 00:00:00+00'")
        told = rotator.verify(pair.block).expires_at
        assert told is not None
        assert told.year == 2099 or told.isoformat().startswith("2098-12-31")

        pair.ask("ALTER ROLE app_a VALID UNTIL 'infinity'")
        assert rotator.verify(pair.block).expires_at is None


class TestTheEngine:
    """The whole way, by the name of the block."""

    def test_taken_back(self, pair: Pair) -> None:
        """The role that was in use is in use; the other one stays good for those who have it already, then waits for its turn."""
        rotations.rotate("database-credentials/dwh")

        rotations.rollback("database-credentials/dwh")
        assert DatabaseCredentials.load("dwh").username == "app_a"
        assert pair.may_log_in() == {"app_a", "app_b"}
        rotations.finish("database-credentials/dwh", at_once=True)

        assert pair.may_log_in() == pair.with_password() == {"app_a"}
        assert rotations.verify("database-credentials/dwh") is not None


class TestRefusals:
    """Told before anything has changed at the server."""

    def test_no_room(self, pair: Pair) -> None:
        """The other role can log in: somebody may be using it."""
        pair.ask("ALTER ROLE app_b LOGIN PASSWORD 'somebody else'")

        with pytest.raises(Conflict, match="app_b can log in already"):
            rotations.rotate("database-credentials/dwh")

        assert DatabaseCredentials.load("dwh").version == 1

    @pytest.mark.parametrize(
        "spoilt",
        [
            "DROP FUNCTION bondstone.turn",
            "REVOKE ALL ON SCHEMA bondstone FROM app",
            "DELETE FROM bondstone.pairs",
            "REVOKE ADMIN OPTION FOR app_b FROM bondstone_rotator GRANTED BY dba",
            "REVOKE app FROM app_b GRANTED BY dba",
        ],
    )
    def test_a_server_that_is_not_set_up(self, spoilt: str, pair: Pair) -> None:
        """Whatever is missing, the page is named."""
        pair.ask(spoilt)

        with pytest.raises(AccessDenied, match=r"docs/rotation-postgresql\.md"):
            rotations.rotate("database-credentials/dwh")

        assert pair.may_log_in() == {"app_a"}

    def test_a_role_that_is_not_there(self, pair: Pair) -> None:
        """Or is not the one that takes turns."""
        for other in ("app_c", "dba"):
            block = pair.block.model_copy(update={"rotates_with": other})
            with pytest.raises((AccessDenied, Conflict)):
                rotator.existing(block)

    def test_a_role_of_somebody_else(self, pair: Pair) -> None:
        """The function turns the pair, and nobody else: not the administrator, not the current role, not for strangers."""
        with pair.connection(pair.block) as session:
            for other, step, verifier in (
                ("dba", "retire", None),
                ("app_a", "retire", None),
                ("app_b", "install", "a password in clear"),
                ("app_b", "install", "SCRAM-SHA-256$4096:a$a:a' SUPERUSER --"),
                ("app_b", "drop", None),
            ):
                with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue)):
                    session.execute("SELECT bondstone.turn(%s, %s, %s)", (other, step, verifier))
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("INSERT INTO bondstone.pairs VALUES ('app_a', 'dba')")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("ALTER ROLE app_b LOGIN")
        assert pair.may_log_in() == {"app_a"}

    def test_the_current_role_is_not_turned_off(self, pair: Pair) -> None:
        """Whoever calls it with the same block twice is told."""
        for step in (rotator.disable, rotator.retire):
            with pytest.raises(Conflict, match="app_a is the role"):
                step(pair.block, pair.block)
        rotator.discard((), pair.block.model_copy(update={"password": SecretStr("earlier")}), pair.block)

        assert pair.usable(pair.block)

    def test_a_wrong_password(self, pair: Pair) -> None:
        """Told as such, without it."""
        block = pair.block.model_copy(update={"password": SecretStr("of somebody else")})

        for call in (lambda: rotator.verify(block), lambda: rotator.existing(block)):
            with pytest.raises(AccessDenied, match="refused app_a") as caught:
                call()
            assert caught.value.__context__ is None or "somebody else" not in repr(vars(caught.value.__context__))

    def test_nobody_listens(self, pair: Pair) -> None:
        """Told within its deadline."""
        block = pair.block.model_copy(update={"port": 9})
        start = time.monotonic()

        with pytest.raises(ServiceUnavailable):
            rotator.verify(block)

        assert time.monotonic() - start < 10

    def test_fields_for_a_pair(self, pair: Pair) -> None:
        """Its password is not given, it is made."""
        with pytest.raises(Conflict, match="leave password out"):
            rotations.rotate("database-credentials/dwh", password="by hand")


class TestByHand:
    """Without a pair, and for other databases: the new password is given, and proved before it is current."""

    def test_a_single_role(self, pair: Pair) -> None:
        """The one that the server does not take is not promoted."""
        single = DatabaseCredentials(**{**fields(pair), "username": "dba", "password": "dba"}).save("dba")
        pair.ask("ALTER ROLE dba PASSWORD 'new'")
        try:
            with pytest.raises(AccessDenied):
                rotations.rotate("database-credentials/dba", password="wrong")
            assert DatabaseCredentials.load("dba") == single
            rotations.rotate("database-credentials/dba", password="new")
            assert DatabaseCredentials.load("dba").password == SecretStr("new")
        finally:
            pair.ask("ALTER ROLE dba PASSWORD 'dba'")

    def test_nothing_given(self, pair: Pair) -> None:
        """What to give is told."""
        DatabaseCredentials(**{**fields(pair), "username": "dba", "password": "dba"}).save("dba")

        with pytest.raises(InvalidSettings, match="is replaced by hand"):
            rotations.rotate("database-credentials/dba")

    def test_another_database(self, home: Path, tmp_path: Path) -> None:
        """Asked by way of its own driver; a pair is PostgreSQL's."""
        sqlite = DatabaseCredentials(drivername="sqlite", database=str(tmp_path / "x.db"))
        assert rotator.verify(sqlite).by == "SELECT 1"
        with pytest.raises(ServiceUnavailable):
            rotator.verify(sqlite.model_copy(update={"database": str(tmp_path / "none/x.db")}))

        mysql = DatabaseCredentials(drivername="mysql", username="a", password="p", rotates_with="b")
        with pytest.raises(InvalidSettings, match="is for PostgreSQL"):
            rotator.existing(mysql)


def fields(pair: Pair) -> dict[str, Any]:
    return {name: getattr(pair.block, name) for name in ("drivername", "host", "port", "database")}
