"""Keys: where they lie, who may read them, and what is told when they do not fit."""

import base64
import os
import pickle
import stat
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from bondstone.registry import (
    InvalidSettings,
    KeyExposed,
    KeyMissing,
    RegistryUnavailable,
    Settings,
    WrongKey,
    current_registry,
)
from bondstone.registry import settings as settings_module
from bondstone.registry.keys import Passphrase, RawKey, environment_key, key_file, make_key_file


def text_of(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


ONE, TWO = text_of(b"1" * 32), text_of(b"\xfb" * 32)


def anew() -> None:
    """Forget what this process opened, as another process would begin."""
    for registry in settings_module._opened.values():
        registry.close()
    settings_module._opened.clear()


def save(name: str = "a", content: bytes = b"content") -> None:
    current_registry(create=True).save("secret", name, content)


def test_the_first_save_makes_a_key(data: Path, key_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A key file of mode 0600 in the config folder, told in one line on standard error, once; the data folder has none."""
    save("a")
    save("b")
    anew()
    save("c")

    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert str(key_path) in err
    assert "back it up" in err
    text = key_path.read_text()
    assert text.strip() not in err
    assert stat.S_IMODE(key_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(key_path.parent.stat().st_mode) == 0o700
    assert (len(text), text[-1]) == (44, "\n")
    assert [path.name for path in key_path.parent.iterdir()] == ["key"]
    assert all(text.strip().encode() not in path.read_bytes() for path in data.parent.iterdir())
    assert data.parent != key_path.parent
    assert key_path.parent not in data.parents


def test_the_umask_does_not_matter(data: Path, key_path: Path) -> None:
    """Key and registry are private whatever the umask says."""
    before = os.umask(0)
    try:
        save()
    finally:
        os.umask(before)

    assert stat.S_IMODE(key_path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(path.stat().st_mode) for path in data.parent.iterdir()} == {0o600}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601, 0o620])
def test_a_key_that_others_can_reach_is_refused(key_path: Path, mode: int) -> None:
    """Any right for group or others: KeyExposed, and how to correct it."""
    save()
    anew()
    key_path.chmod(mode)

    with pytest.raises(KeyExposed, match="chmod 600"):
        current_registry().load("secret", "a")
    with pytest.raises(KeyExposed):
        save("b")

    key_path.chmod(0o400)
    assert current_registry().load("secret", "a").content == b"content"


def test_a_wrong_key_is_told_before_anything_is_written(data: Path, key_path: Path) -> None:
    """The error names the key that is expected and the one that came; the files are untouched."""
    save()
    anew()
    expected = key_file(key_path).key_id
    key_path.write_text(ONE + "\n")
    before = {path.name: path.read_bytes() for path in data.parent.iterdir() if path.suffix == ".db"}

    with pytest.raises(WrongKey, match=f"wrong key.*expected {expected}.*got {environment_key(ONE).key_id}"):
        save("b")
    with pytest.raises(WrongKey):
        current_registry().load("secret", "a")

    assert {path.name: path.read_bytes() for path in data.parent.iterdir() if path.suffix == ".db"} == before


def test_a_missing_key_is_told(key_path: Path) -> None:
    """A registry without its key: KeyMissing, which names the file and the key that is expected; no new key is made."""
    save()
    anew()
    expected = key_file(key_path).key_id
    key_path.unlink()

    for act in (save, lambda: current_registry().load("secret", "a")):
        with pytest.raises(KeyMissing, match=f"{key_path}.*expects {expected}"):
            act()

    assert not key_path.exists()


def test_a_key_in_the_environment(monkeypatch: pytest.MonkeyPatch, key_path: Path, data: Path) -> None:
    """BONDSTONE_KEY seals and opens; no key file is made; the same key in a file opens too; another does not."""
    monkeypatch.setenv("BONDSTONE_KEY", ONE)
    save()
    anew()

    assert current_registry().load("secret", "a").content == b"content"
    assert not key_path.exists()
    monkeypatch.delenv("BONDSTONE_KEY")
    key_path.parent.mkdir(parents=True)
    key_path.touch(0o600)
    key_path.write_text(ONE)
    assert current_registry().load("secret", "a").content == b"content"
    monkeypatch.setenv("BONDSTONE_KEY", TWO)
    with pytest.raises(WrongKey):
        current_registry()
    assert data.exists()


def test_a_passphrase(monkeypatch: pytest.MonkeyPatch, key_path: Path) -> None:
    """BONDSTONE_PASSPHRASE seals and opens, in either Unicode spelling; a wrong one is told as such; a key does not open it."""
    monkeypatch.setenv("BONDSTONE_PASSPHRASE", "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n SENTINEL")
    save()
    anew()

    monkeypatch.setenv("BONDSTONE_PASSPHRASE", "gru\N{COMBINING DIAERESIS}n SENTINEL")
    assert current_registry().load("secret", "a").content == b"content"
    assert not key_path.exists()
    monkeypatch.setenv("BONDSTONE_PASSPHRASE", "gruen SENTINEL")
    with pytest.raises(WrongKey, match="wrong passphrase") as caught:
        current_registry()
    frames = [frame.f_locals for frame, _ in traceback.walk_tb(caught.tb)][1:]  # not this one
    assert "SENTINEL" not in str(caught.value) + repr(frames)
    monkeypatch.delenv("BONDSTONE_PASSPHRASE")
    monkeypatch.setenv("BONDSTONE_KEY", ONE)
    with pytest.raises(WrongKey, match="expected passphrase"):
        current_registry()


@pytest.mark.parametrize(
    "names", [("KEY", "PASSPHRASE"), ("KEY", "KEY_FILE"), ("KEY_FILE", "PASSPHRASE"), ("KEY", "KEY_FILE", "PASSPHRASE")]
)
def test_two_keys_at_once_are_refused(monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], data: Path) -> None:
    """For keys the choice must be explicit; nothing is made."""
    for name in names:
        monkeypatch.setenv(f"BONDSTONE_{name}", ONE)

    with pytest.raises(InvalidSettings, match="only one") as caught:
        save()

    assert ONE not in str(caught.value)
    assert not data.exists()


NOT_KEYS = {
    "empty": "",
    "short": ONE[:-1],
    "long": ONE + "A",
    "padded": ONE + "=",
    "standard alphabet": base64.b64encode(b"\xfb\xff" * 16).decode().rstrip("="),
    "hex": "00" * 32,
    "white space": " " + ONE[1:],
    "trailing white space": ONE + " ",
    "two lines": ONE + "\n" + TWO,
    "bits that are thrown away": ONE[:-1] + chr(ord(ONE[-1]) + 1),
    "not ASCII": "\N{LATIN SMALL LETTER U WITH DIAERESIS}" + ONE[1:],
    "windows line": ONE + "\r",
}


@pytest.mark.parametrize("text", NOT_KEYS.values(), ids=NOT_KEYS.keys())
def test_only_one_text_is_a_key(text: str, tmp_path: Path) -> None:
    """Whatever is not the one spelling of 32 bytes is refused, from the environment and from a file, and not shown."""
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(text + "\n", "utf-8")

    reads: list[Callable[[], object]] = [lambda: environment_key(text), lambda: key_file(path)]
    for read in reads:
        with pytest.raises(InvalidSettings) as caught:
            read()
        frames = [frame.f_locals for frame, _ in traceback.walk_tb(caught.tb)][2:]  # not those of this function
        assert not text.strip() or text.strip() not in str(caught.value) + repr(frames)


def test_a_good_key_text() -> None:
    """43 characters of base64url, with or without the end of the line in a file."""
    assert environment_key(TWO).key == b"\xfb" * 32
    assert len(TWO) == 43


def test_a_key_file_that_is_something_else(tmp_path: Path) -> None:
    """A folder, a file that is too large, a link to nowhere: each told, none taken."""
    large = tmp_path / "large"
    large.touch(0o600)
    large.write_text(ONE * 1000)
    (tmp_path / "nowhere").symlink_to(tmp_path / "no such file")

    with pytest.raises(RegistryUnavailable):
        key_file(tmp_path)
    with pytest.raises(InvalidSettings):
        key_file(large)
    with pytest.raises(KeyMissing):
        key_file(tmp_path / "nowhere")
    with pytest.raises(KeyMissing):
        make_key_file(tmp_path / "nowhere")


@pytest.mark.parametrize("spelling", ["key", "./key", "sub/../key", "link/key"])
def test_a_key_beside_the_data_is_refused(tmp_path: Path, spelling: str) -> None:
    """A key in the folder of the registry, however it is spelt, is refused before either is made."""
    folder = tmp_path / "both"
    (folder / "sub").mkdir(parents=True)
    (folder / "link").symlink_to(folder, target_is_directory=True)
    settings = Settings(registry=f"sqlite:///{folder}/registry.db", key_file=f"{folder}/{spelling}")

    with pytest.raises(InvalidSettings, match="folder of the registry"):
        settings.create()

    assert sorted(path.name for path in folder.iterdir()) == ["link", "sub"]


def test_one_folder_for_data_and_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG folders that are one and the same would put the key beside the data."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "x"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "x"))

    with pytest.raises(InvalidSettings, match="BONDSTONE_KEY_FILE"):
        save()


def test_xdg_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG_DATA_HOME and XDG_CONFIG_HOME are where things lie."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "c"))

    save()

    assert (tmp_path / "d/bondstone/registry.db").exists()
    assert (tmp_path / "c/bondstone/key").exists()


@pytest.mark.parametrize(
    "url",
    [
        "registry.db",
        "sqlite://",
        "sqlite:///",
        "postgresql://user:SENTINEL@host/a/b",
        "https://SENTINEL@host",
        "/SENTINEL",
    ],
)
def test_a_registry_url_that_is_none(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused without being shown: it may hold a password."""
    monkeypatch.setenv("BONDSTONE_REGISTRY", url)

    with pytest.raises(InvalidSettings, match="BONDSTONE_REGISTRY") as caught:
        save()

    assert "SENTINEL" not in str(caught.value)


def test_keys_do_not_show() -> None:
    """No repr, and no pickle of what holds root keys, has key bytes in it."""
    registry = current_registry(create=True)
    key, phrase = RawKey("key", "a test", b"SENTINEL" * 4), Passphrase("SENTINEL")
    settings = Settings(key=ONE, passphrase="SENTINEL")
    roots = registry._keyring._keys[1]

    shown = repr([key, phrase, settings, registry, registry._keyring, roots, str(settings), str(roots)])

    assert "SENTINEL" not in shown
    assert ONE not in shown
    assert repr(roots.key) not in shown
    for thing in (registry._keyring, registry):
        with pytest.raises(TypeError):
            pickle.dumps(thing)


def test_what_is_stored_of_a_key_says_nothing_about_it(data: Path, key_path: Path) -> None:
    """The key's id is eight hex digits, the same each time, another for another key."""
    save()

    assert key_file(key_path).key_id == key_file(key_path).key_id
    assert key_file(key_path).key_id.startswith("k")
    assert len(key_file(key_path).key_id) == 9
    assert environment_key(ONE).key_id != environment_key(TWO).key_id
