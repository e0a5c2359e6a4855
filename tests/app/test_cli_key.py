"""`bondstone key`: who can open the registry, changed without ever losing the last way in."""

import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from bondstone.blocks import Secret
from bondstone.registry import settings as settings_module
from tests.app.program import SENTINEL, Ended, bondstone, on_a_terminal

Cli = Callable[..., Ended]
USAGE, NOT_FOUND, CONFLICT, SETTINGS, MISSING, WRONG = 2, 3, 5, 8, 11, 12
PHRASE = f"correct horse {SENTINEL}"


@pytest.fixture
def saved(home: Path) -> None:
    Secret(value="content").save("a")
    Secret(value="other").save("prod/b")
    anew()


def anew() -> None:
    for registry in settings_module._opened.values():
        registry.close()
    settings_module._opened.clear()


def slots(cli: Cli) -> dict[str, tuple[str, list[int]]]:
    """State and root keys of each slot."""
    listed = cli("key", "ls", "--json")
    assert listed.code == 0, listed.err
    return {slot["slot"]: (slot["state"], slot["root_keys"]) for slot in json.loads(listed.out)}


@pytest.mark.usefixtures("saved")
def test_the_slots_are_listed(cli: Cli, key_path: Path) -> None:
    """Which key, where it is kept, since when, whether it opens here, and which root keys it holds."""
    listed = cli("key", "ls")

    assert re.fullmatch(r"primary\tkey-file\tk[0-9a-f]{8}\t20..-..-.. ..:..:..Z\topens\t1\n", listed.out)
    assert key_path.read_text().strip() not in listed.out


@pytest.mark.usefixtures("saved")
def test_a_new_key_file_takes_the_place_of_the_old(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the new one; open with it; remove the old one, which only then is allowed."""
    new = tmp_path / "keys" / "new"

    assert cli("key", "add", f"key-file:{new}").code == 0
    early = cli("key", "remove", "primary", "--yes")
    monkeypatch.setenv("BONDSTONE_KEY_FILE", str(new))
    removed = cli("key", "remove", "primary", "--yes")

    assert early.code == MISSING
    assert "BONDSTONE_KEY_FILE" in early.err
    assert removed.out == "removed slot primary\n"
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    assert Secret.load("a").get() == "content"
    monkeypatch.delenv("BONDSTONE_KEY_FILE")
    anew()
    assert cli("show", "secret/a").code == WRONG


@pytest.mark.usefixtures("saved")
def test_rotation(cli: Cli) -> None:
    """A new root key seals everything; the old one is gone; what is listed tells."""
    done = cli("key", "rotate")

    assert done.out == "root key 2 seals now: 2 versions and 2 heads sealed again\n"
    assert slots(cli) == {"primary": ("opens", [2])}
    assert Secret.load("a").get() == "content"
    assert cli("key", "rotate").out.startswith("root key 3 ")
    assert cli("doctor").code == 0


@pytest.mark.usefixtures("saved")
def test_a_compromise_lists_what_to_replace(cli: Cli) -> None:
    """Every live credential, by reference and never its value; and why sealing again is not enough."""
    Secret(value="gone").save("gone")
    Secret.delete("gone")

    done = cli("key", "rotate", "--compromised")

    assert done.out.splitlines()[1:] == ["secret\ta\t1", "secret\tprod/b\t1"]
    assert "does not undo" in done.err
    assert "at its source" in done.err
    assert "content" not in done.out + done.err


@pytest.mark.usefixtures("saved")
def test_a_recovery_key_in_a_file(cli: Cli, tmp_path: Path, key_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mode 0600, one line, never shown; it opens when the key is lost; rotation wants it, or to drop its slot."""
    path = tmp_path / "stick" / "recovery"

    made = cli("key", "export-recovery", "--to", str(path))

    text = path.read_text()
    assert (made.code, len(text), stat.S_IMODE(path.stat().st_mode)) == (0, 44, 0o600)
    assert text.strip() not in made.out + made.err
    refused = cli("key", "rotate")
    assert refused.code == MISSING
    assert "--with" in refused.err
    assert "--drop-slot recovery" in refused.err
    assert cli("key", "rotate", "--with", f"key-file:{path}").code == 0
    assert cli("key", "check", "--with", f"key-file:{path}").out.count("opens\t2") == 2
    key_path.unlink()
    monkeypatch.setenv("BONDSTONE_KEY_FILE", str(path))
    anew()
    assert Secret.load("a").get() == "content"
    assert cli("key", "rotate", "--drop-slot", "primary").code == 0
    assert slots(cli) == {"recovery": ("opens", [3])}


@pytest.mark.usefixtures("saved")
def test_what_is_refused(cli: Cli, tmp_path: Path, data: Path) -> None:
    """Each in one line that says what to do; the slots stay as they are."""
    there = tmp_path / "there"
    there.touch()
    before = slots(cli)
    refusals = [
        (["export-recovery"], USAGE, "--to FILE"),
        (["export-recovery", "--to", str(there)], USAGE, "new one"),
        (["export-recovery", "--to", str(data.parent / "key")], SETTINGS, "folder of the registry"),
        (["export-recovery", "--to", "x", "--passphrase"], USAGE, "leave out"),
        (["export-recovery", "--passphrase"], USAGE, "terminal"),
        (["add", f"key-file:{data.parent}/key"], SETTINGS, "folder of the registry"),
        (["add", SENTINEL], USAGE, "aws-kms:ARN"),
        (["add", "aws-kms:alias/x"], SETTINGS, "full ARN"),
        (["add", "vault:nothing"], SETTINGS, "vault:transit/bondstone"),
        (["add", "passphrase"], USAGE, "terminal"),
        (["add", f"key-file:{tmp_path}/new", "--slot", "primary"], CONFLICT, "another"),
        (["add", "passphrase", "--slot", "x" * 33], 6, "32 letters"),
        (["remove", "primary"], USAGE, "--yes"),
        (["remove", "none", "--yes"], NOT_FOUND, "key ls"),
        (["remove", "primary", "--yes"], MISSING, "only one"),
        (["rotate", "--with", f"key-file:{tmp_path}/none"], MISSING, "no key file"),
        (["rotate", "--drop-slot", "primary"], MISSING, "keep one"),
        (["rotate", "--with", SENTINEL], USAGE, "KEY"),
    ]
    for words, code, told in refusals:
        ended = cli("key", *words)
        assert (ended.code, told in ended.err, ended.err.count("\n")) == (code, True, 1), (words, ended)
        assert SENTINEL not in ended.err

    assert slots(cli) == before
    assert not (data.parent / "key").exists()


def test_without_a_registry(cli: Cli, data: Path) -> None:
    """Nothing is made; told."""
    for words in (["ls"], ["rotate"], ["check"], ["export-recovery", "--to", "x"], ["add", "key-file:x"]):
        ended = cli("key", *words)
        assert ended.code == NOT_FOUND
        assert "bondstone init" in ended.err
    assert not data.parent.exists()


@pytest.mark.usefixtures("saved")
def test_a_recovery_key_on_a_terminal(home: Path) -> None:
    """Shown once; it opens the registry by BONDSTONE_KEY."""
    shown = on_a_terminal("key", "export-recovery")

    found = re.search(r"^  ([A-Za-z0-9_-]{43})$", shown.out, re.MULTILINE)
    assert found, shown.out
    opened = bondstone("show", "secret/a#value", "--reveal", BONDSTONE_KEY=found[1])
    assert opened.out == "content"


@pytest.mark.usefixtures("saved")
def test_a_passphrase_for_recovery(home: Path) -> None:
    """Asked for twice, not shown; it opens by BONDSTONE_PASSPHRASE, and rotates when it is given."""
    wrong = on_a_terminal("key", "export-recovery", "--passphrase", answers=(PHRASE, PHRASE + "x"))
    short = on_a_terminal("key", "export-recovery", "--passphrase", answers=("short",))
    made = on_a_terminal("key", "export-recovery", "--passphrase", answers=(PHRASE, PHRASE))
    rotated = on_a_terminal("key", "rotate", "--with", "passphrase", answers=(PHRASE,))

    assert (wrong.code, short.code, made.code, rotated.code) == (USAGE, USAGE, 0, 0), (made.out, rotated.out)
    assert SENTINEL not in wrong.out + made.out + rotated.out
    assert "root key 2 seals now" in rotated.out
    opened = bondstone("show", "secret/a#value", "--reveal", BONDSTONE_PASSPHRASE=PHRASE)
    assert opened.out == "content"


@pytest.mark.usefixtures("saved")
def test_a_key_in_the_os_keyring(home: Path) -> None:
    """`keyring:` makes one there; its address, as `key add` tells it, opens the registry, and lets the key file go."""
    backend = {"PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring"}

    added = bondstone("key", "add", "keyring:", environment=backend)
    address = re.search(r"BONDSTONE_KEY=(keyring:k[0-9a-f]{8}),", added.err)
    assert address, added
    there = {**backend, "BONDSTONE_KEY": address[1]}
    removed = bondstone("key", "remove", "primary", "--yes", environment=there)
    shown = bondstone("show", "secret/a#value", "--reveal", environment=there)
    doctor = bondstone("doctor", environment=there)

    assert (removed.code, shown.out, doctor.code) == (0, "content", 0), (removed, doctor)
    assert "(keyring)" in doctor.out
    assert bondstone("ls").code == WRONG
    assert bondstone("ls", environment=there | {"BONDSTONE_KEY": "keyring:k00000000"}).code == MISSING


@pytest.mark.usefixtures("saved")
def test_a_damaged_slot_is_told(cli: Cli, data: Path, tmp_path: Path) -> None:
    """`key check` fails for a slot that does not open with its own key; the registry goes on to work."""
    import sqlite3
    from contextlib import closing

    cli("key", "export-recovery", "--to", str(tmp_path / "recovery"))
    with closing(sqlite3.connect(data, isolation_level=None)) as raw:
        raw.execute("UPDATE keyrings SET wrapped = x'00' WHERE slot = 'recovery'")

    checked = cli("key", "check", "--with", f"key-file:{tmp_path}/recovery")

    assert checked.code == 1
    assert "unreadable" in checked.out
    assert Secret.load("a").get() == "content"
    assert os.environ.get("BONDSTONE_KEY_FILE") is None
