"""`backup`, `restore`, `copy`, `rm --purge` and `doctor --accept-restored`, as they are typed."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bondstone.registry import current_registry
from bondstone.registry import settings as settings_module
from tests.app.program import SENTINEL, Ended, bondstone, on_a_terminal

Cli = Callable[..., Ended]


@pytest.fixture
def saved(home: Path) -> Path:
    """A default registry with two versions of one secret."""
    registry = current_registry(create=True)
    content = b'{"fields":{"value":"%s"},"schema_version":1}'
    registry.save("secret", "token", content % b"old")
    registry.save("secret", "token", content % SENTINEL.encode(), overwrite=True)
    return home


def fresh() -> None:
    """As in a new process."""
    for registry in settings_module._opened.values():
        registry.close()
    settings_module._opened.clear()


def test_a_backup_under_a_key_file_is_restored_elsewhere(
    saved: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it, into a place where there is no registry; and not a second time."""
    monkeypatch.setattr("sys.stdin", None)
    key, file = tmp_path / "recovery/key", tmp_path / "backup"

    made = cli("backup", str(file), "--key-file", str(key))
    again = cli("backup", str(file), "--key-file", str(key))
    over = cli("restore", str(file), "--key-file", str(key))
    monkeypatch.setenv("BONDSTONE_REGISTRY", f"sqlite:///{tmp_path}/new/registry.db")
    without = cli("restore", str(file))
    restored = cli("restore", str(file), "--key-file", str(key))

    assert (made.code, made.out.startswith("1 names with 2 versions")) == (0, True), made
    assert "made a new key" in made.err
    assert [again.code, over.code, without.code, restored.code] == [5, 5, 2, 0], (again, over, without, restored)
    assert "--key-file" in without.err
    assert cli("show", "secret/token#value", "--reveal").out == SENTINEL
    assert cli("show", "secret/token@1#value", "--reveal").out == "old"


def test_a_backup_under_a_passphrase(saved: Path, tmp_path: Path) -> None:
    """Typed twice on a terminal, and shown nowhere; a wrong one is told."""
    file, new = tmp_path / "backup", f"sqlite:///{tmp_path}/new/registry.db"

    made = on_a_terminal("backup", str(file), answers=("correct horse", "correct horse"))
    wrong = bondstone("restore", str(file), "--passphrase", "-", stdin=b"wrong\n", BONDSTONE_REGISTRY=new)
    right = bondstone("restore", str(file), "--passphrase", "-", stdin=b"correct horse\n", BONDSTONE_REGISTRY=new)

    assert made.code == 0, made
    assert "correct horse" not in made.out
    assert (wrong.code, right.code) == (12, 0), (wrong, right)
    shown = bondstone("show", "secret/token#value", "--reveal", BONDSTONE_REGISTRY=new)
    assert shown.out == SENTINEL


def test_passphrases_that_cannot_be(saved: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the command line, empty, unreadable, with a key file too, or nobody there to ask: told, and nothing is written."""
    monkeypatch.setattr("sys.stdin", None)
    (tmp_path / "empty").write_text("\n")
    file = tmp_path / "backup"

    ended = [
        cli("backup", str(file), *arguments)
        for arguments in [
            ("--passphrase", "s3cret-on-argv"),
            ("--passphrase", f"@{tmp_path}/empty"),
            ("--passphrase", f"@{tmp_path}/none"),
            ("--passphrase", "-", "--key-file", str(tmp_path / "key")),
            (),
        ]
    ]

    assert [end.code for end in ended] == [2] * 5, ended
    assert not any("s3cret-on-argv" in end.err for end in ended)
    assert not file.exists()


def test_a_key_beside_its_backup_is_refused(saved: Path, cli: Cli, tmp_path: Path) -> None:
    """Who takes the one would take the other."""
    assert cli("backup", str(tmp_path / "backup"), "--key-file", str(tmp_path / "key")).code == 8


def test_a_copy(saved: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To another file under another key; the registry there has another id."""
    to, key = f"sqlite:///{tmp_path}/new/registry.db", tmp_path / "other/key"

    made = cli("copy", "--to", to, "--key-file", str(key))
    again = cli("copy", "--to", to, "--key-file", str(key))
    here = current_registry().id
    monkeypatch.setenv("BONDSTONE_REGISTRY", to)
    monkeypatch.setenv("BONDSTONE_KEY_FILE", str(key))

    assert (made.code, again.code) == (0, 5), (made, again)
    assert current_registry().id != here
    assert cli("show", "secret/token#value", "--reveal").out == SENTINEL


def test_purge_erases(saved: Path, cli: Cli) -> None:
    """A block, also one that was deleted before; its history stays."""
    cli("rm", "secret/token", "--yes")

    purged = cli("rm", "secret/token", "--purge", "--yes")
    history = json.loads(cli("history", "secret/token", "--json").out)

    assert (purged.code, purged.out) == (0, "erased 2 versions of secret/token\n")
    assert [(line["version"], line["deleted"]) for line in history] == [(1, True), (2, True)]


@pytest.fixture
def set_back(saved: Path, data: Path) -> None:
    """The default registry, restored from a copy of its file from before a save."""
    fresh()
    shutil.copy(data, data.with_name("copy.db"))
    current_registry().save("secret", "token", b"newest", overwrite=True)
    fresh()
    data.with_name("copy.db").replace(data)


@pytest.mark.usefixtures("set_back")
def test_a_restore_in_place_is_accepted_once_asked(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads refuse with a code of their own, doctor fails, `--accept-restored` shows both generations and wants a yes."""
    monkeypatch.setattr("sys.stdin", None)

    refused = cli("show", "secret/token")
    checked = cli("doctor")
    asked = cli("doctor", "--accept-restored")
    still = cli("show", "secret/token")
    accepted = cli("doctor", "--accept-restored", "--yes")
    after = cli("show", "secret/token")

    assert (refused.code, still.code) == (19, 19)
    assert "--accept-restored" in refused.err
    assert "freshness" in checked.out
    assert asked.code == 2
    assert "generation 3\tgeneration 2" in asked.out
    assert (accepted.code, after.code) == (0, 0), (accepted, after)
    assert cli("doctor", "--accept-restored").out == "nothing here is older than what was seen\n"


def test_bars_have_totals_on_a_terminal(cli: Cli, saved: Path, tmp_path: Path) -> None:
    """How much of how much; in a pipe there is none."""
    seen = [
        (("audit", "verify"), "rows"),
        (("backup", str(tmp_path / "one"), "--key-file", str(tmp_path / "keys" / "key")), "versions"),
        (("key", "rotate"), "versions and heads"),
    ]
    for arguments, unit in seen:
        shown = on_a_terminal(*arguments).out

        assert re.search(rf"\d+/\d+ {unit}", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)), shown
    assert not cli("key", "rotate").err
