"""A registry on PostgreSQL from end to end: what users call, and the command line."""

import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bondstone.blocks import Block, Secret, live
from bondstone.registry import Conflict, NoRegistry, NotFound
from tests.postgres import PASSWORD, ROLE
from tests.registry.processes import run

pytestmark = pytest.mark.xdist_group("postgres")


def test_the_contract(configured: str, home: Path) -> None:
    """Saved, loaded, listed, overwritten, deleted: on the server all is as in a file."""
    with pytest.raises(NoRegistry):
        Secret.load("token")

    Secret(value="first").save("token")
    Secret(value="second").save("token", overwrite=True)
    with pytest.raises(Conflict):
        Secret(value="third").save("token")
    Secret(value="x").save("prod/other")
    Secret.delete("prod/other")

    assert Secret.load("token").get() == "second"
    assert Secret.load("token", version=1).get() == "first"
    assert Block.load("secret/token@1") == Secret.load("token", version=1)
    assert [item.version for item in Secret.history("token")] == [1, 2]
    assert Secret.names() == ["token"]
    with pytest.raises(NotFound):
        Secret.load("prod/other")
    assert not (home / ".local/share").exists()


def test_a_live_handle(configured: str) -> None:
    """It sees a value that another process saved."""
    Secret(value="first").save("token")
    handle = live(Secret, "token", ttl=1)
    assert handle.get().get() == "first"

    run("from bondstone.blocks import Secret; Secret(value='second').save('token', overwrite=True)")
    until = time.monotonic() + 10
    while handle.get().get() == "first":
        assert time.monotonic() < until
        time.sleep(0.05)

    assert handle.get().get() == "second"


def test_a_pickle_carries_no_password(configured: str) -> None:
    """A block and a handle travel as the URL without its password; who unpickles them has it from the settings."""
    Secret(value="the value").save("token")

    for thing in (Secret.load("token"), live(Secret, "token")):
        data = pickle.dumps(thing)

        assert ROLE.encode() in data
        assert not any(word in data for word in (PASSWORD.encode(), b"p%3Aa", b"the value"))
        assert (
            run(
                "import pickle, sys; thing = pickle.loads(bytes.fromhex(sys.argv[1]));"
                "thing = thing.get() if not hasattr(thing, 'value') else thing; print(thing.get())",
                data.hex(),
            ).strip()
            == "the value"
        )


def test_the_command_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`init`, `ls` and `doctor` know a registry that is no file."""
    monkeypatch.setenv("BONDSTONE_REGISTRY", url)
    shown = ""
    for words in (["init"], ["ls"], ["doctor"]):
        done = subprocess.run(
            [sys.executable, "-m", "bondstone.cli", *words], capture_output=True, text=True, timeout=60
        )
        shown += done.stdout + done.stderr
        assert done.returncode == 0, shown

    assert "postgresql+psycopg://bondstone@127.0.0.1" in shown.replace("\n", "")
    assert "p%3A" not in shown
    assert PASSWORD not in shown
