"""KEY arguments: which key is meant. The key itself is never part of a command line."""

import getpass
from pathlib import Path

import typer

from bondstone.cli.ask import at_terminal
from bondstone.cli.faults import Usage
from bondstone.registry import Settings
from bondstone.registry.keys import KeyProvider, Passphrase, environment_key, key_file, make_key_file
from bondstone.registry.providers import KEYRING, is_address, provider_at

FORMS = "key-file:PATH, keyring:, aws-kms:ARN, vault:MOUNT/NAME, passphrase or key (both are asked for)"


def existing(word: str) -> KeyProvider:
    """The provider that `word` means, whose key is there."""
    if word == "passphrase":
        return Passphrase(_asked("passphrase: "))
    if word == "key":
        return environment_key(_asked("key (43 characters): "))
    if word.startswith("key-file:"):
        return key_file(_path(word))
    if is_address(word):
        return provider_at(word)
    raise Usage(f"a KEY is {FORMS}")


def new(word: str, settings: Settings) -> KeyProvider:
    """As `existing`; a key file that is not there is made, ``keyring:`` alone makes a key there, a new passphrase is asked for twice."""
    if word == "passphrase":
        return new_passphrase()
    if word == f"{KEYRING}:":
        from bondstone.registry.os_keyring import make_keyring_key

        return make_keyring_key()
    if word.startswith("key-file:"):
        path = _path(word)
        settings.apart(path)
        return make_key_file(path)
    return existing(word)


def new_passphrase() -> Passphrase:
    """One that was typed twice alike."""
    first = _asked("new passphrase: ")
    if len(first) < 12:
        raise Usage("a passphrase has at least 12 characters: whoever copies the database can try them at leisure")
    if first != _asked("the same again: "):
        raise Usage("the two were not the same: nothing was changed")
    return Passphrase(first)


def _path(word: str) -> Path:
    return Path(word.partition(":")[2]).expanduser().absolute()


def _asked(prompt: str) -> str:
    if not at_terminal():
        raise Usage("a key is typed on a terminal, and here is none: give key-file:PATH")
    try:
        return getpass.getpass(prompt)
    except EOFError:
        raise typer.Abort from None
