"""`bondstone backup`, `restore` and `copy`."""

import re
import sys
from pathlib import Path

from bondstone.cli import output
from bondstone.cli.ask import at_terminal, hidden
from bondstone.cli.faults import Usage
from bondstone.cli.progress import progress
from bondstone.registry import Conflict, InvalidSettings, NotFound, Settings, current_registry
from bondstone.registry.archive import Header, read_header
from bondstone.registry.backup import Copied, Create
from bondstone.registry.backup import backup as write
from bondstone.registry.backup import copy as copy_all
from bondstone.registry.backup import restore as read
from bondstone.registry.keys import KeyProvider, Passphrase, key_file, make_key_file

_SHOWN = 20


def backup(path: Path, key: Path | None, passphrase: str | None) -> None:
    if key is not None and passphrase is not None:
        raise Usage("give --key-file or --passphrase, not both")
    if path.exists():
        raise Conflict(f"{path} exists: choose another file")
    if key is not None and key.expanduser().resolve().parent == path.expanduser().resolve().parent:
        raise InvalidSettings("the key file must not lie in the folder of the backup: choose another folder")
    registry = current_registry()
    provider = _passphrase(passphrase, twice=True) if key is None else make_key_file(key.expanduser().absolute())
    with progress("backup", "versions") as tell:
        done = write(registry, path.expanduser().absolute(), provider, progress=tell)
    _tell(done, f"in {path}, which opens with {_name(provider)} only: keep that elsewhere")


def restore(path: Path, key: Path | None, passphrase: str | None) -> None:
    settings = Settings.from_environment()
    header = _header(path)
    _refuse_existing(settings, header.archive_id)
    provider = _provider_for(header, key, passphrase)
    with progress("restore", "versions") as tell:
        done = read(path.expanduser(), provider, _maker(settings), progress=tell)
    _tell(done, f"in the new registry {settings.url}, which has a new id")


def copy(to: str, key: Path | None) -> None:
    if re.search(r"://[^/]*:[^/]*@", to):  # without an echo: it is the password that must not be seen
        raise Usage("others can read a password in --to: leave it out, and keep it in the file that PGPASSFILE names")
    source = current_registry()
    settings = Settings.from_environment()._replace(registry=to)
    if key is not None:
        settings = settings._replace(key_file=str(key), key="", passphrase="")
    _refuse_existing(settings, source.id)
    with progress("copy", "versions") as tell:
        done = copy_all(source, _maker(settings), progress=tell)
    _tell(done, f"in the new registry {settings.url}, which has a new id")


def _maker(settings: Settings) -> Create:
    return lambda max_ttl, filling: settings.create(max_ttl=max_ttl, filling=filling)


def _refuse_existing(settings: Settings, filling: str) -> None:
    """Before anybody is asked for a passphrase. One that was interrupted is gone on with."""
    store = settings.store()
    try:
        exists = store.exists()
    finally:
        store.close()
    if exists:
        settings.create(filling=filling).close()


def _header(path: Path) -> Header:
    try:
        with path.expanduser().open("rb") as file:
            return read_header(file)
    except OSError as error:
        raise NotFound(f"cannot read {path} ({error.strerror}): give a file that 'bondstone backup' wrote") from None


def _provider_for(header: Header, key: Path | None, passphrase: str | None) -> KeyProvider:
    """What opens a backup is told in its first bytes."""
    if header.provider == "passphrase":
        return _passphrase(passphrase, twice=False)
    if key is None:
        raise Usage(f"this backup opens with the key {header.key_id}: give its file with --key-file")
    return key_file(key.expanduser())


def _passphrase(source: str | None, *, twice: bool) -> Passphrase:
    """Asked for, or from `@FILE` or `-`: never from the command line itself."""
    if source is None:
        if not at_terminal():
            raise Usage(
                "give --passphrase @FILE, --passphrase - (standard input) or --key-file FILE: nobody can be asked here"
            )
        return _checked(hidden("passphrase of the backup: "), hidden("once more: ") if twice else None)
    if source == "-":
        return _checked(sys.stdin.readline().rstrip("\n"), None)
    if not source.startswith("@"):
        raise Usage("--passphrase takes @FILE or - (standard input): others can read the command line")
    try:
        return _checked(Path(source[1:]).expanduser().read_text().rstrip("\n"), None)
    except (OSError, UnicodeDecodeError):
        pass
    raise Usage("the file of --passphrase cannot be read")


def _checked(passphrase: str, again: str | None) -> Passphrase:
    if not passphrase:
        raise Usage("the passphrase is empty")
    if again is not None and again != passphrase:
        raise Usage("the two passphrases differ")
    return Passphrase(passphrase)


def _name(provider: KeyProvider) -> str:
    return "its passphrase" if provider.kind == "passphrase" else f"the key {provider.key_id}"


def _tell(done: Copied, where: str) -> None:
    output.emit(f"{done.names} names with {done.versions} versions, compared one by one, are {where}\n")
    if done.unreadable:
        more = f" and {len(done.unreadable) - _SHOWN} more" if len(done.unreadable) > _SHOWN else ""
        output.note(f"left out, since unreadable: {', '.join(done.unreadable[:_SHOWN])}{more}")
