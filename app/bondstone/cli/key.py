"""`bondstone key`: the slots that open the registry, and its root keys."""

import base64
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from bondstone.cli import key_given, output
from bondstone.cli.ask import at_terminal, confirmed
from bondstone.cli.faults import Usage
from bondstone.cli.progress import progress
from bondstone.registry import Settings, current_registry, rekey
from bondstone.registry.keyring import Keyring
from bondstone.registry.keys import KeyProvider, environment_key, make_key_file
from bondstone.registry.providers import KINDS
from bondstone.registry.results import when
from bondstone.registry.store import Store

RECOVERY = "recovery"
_WHY = (
    "sealing again does not undo a compromise: whoever had the old key and a copy of the database can read what was in it. "
    "Replace each of these at its source, then save the new one:"
)
_WRAPPING = (
    "the keys of the slots are the same as before: if one of them leaked, run 'key add' with a new one, "
    "'key remove' for the old one, and this once more"
)


@contextmanager
def _opened() -> Iterator[tuple[Store, Settings, KeyProvider]]:
    """The registry's store, and what opens it here by its settings."""
    current_registry()  # says what is wrong if there is none, or the key is another
    settings = Settings.from_environment()
    store = settings.store()
    try:
        yield store, settings, settings.provider()
    finally:
        store.close()


def ls(*, as_json: bool) -> None:
    with _opened() as (store, _, provider):
        _show(rekey.slots(store, [provider]), as_json=as_json)


def _show(slots: list[rekey.Slot], *, as_json: bool) -> None:
    if as_json:
        output.emit_json([slot._asdict() | {"changed_at": when(slot.changed_at).isoformat()} for slot in slots])
        return
    rows = [
        (s.slot, s.provider, s.key_id, output.clock(when(s.changed_at)), s.state, ", ".join(map(str, s.root_keys)))
        for s in slots
    ]
    output.table(("slot", "provider", "key", "changed", "state", "root keys"), rows)


def add(word: str, slot: str | None) -> None:
    with _opened() as (store, settings, provider):
        name = slot or word.partition(":")[0]
        rekey.refuse_taken(store, name)  # before a key is made for it
        new = key_given.new(word, settings)
        rekey.add_slot(store, [provider], name, new)
    output.emit(f"added slot {name}: {new.key_id} ({new.kind})\n")
    if new.kind in KINDS:
        output.note(f"to open with it, set BONDSTONE_KEY={new.kind}:{new.key_id}, or put that address into a key file")


def remove(slot: str, *, yes: bool) -> None:
    if not yes and not at_terminal():
        raise Usage(f"'key remove' shuts slot {slot} for good: add --yes, since nobody can be asked here")
    if not yes and not confirmed(f"remove slot {slot}? Its key opens this registry no more"):
        output.note("nothing was removed")
        raise typer.Abort
    with _opened() as (store, _, provider):
        rekey.remove_slot(store, [provider], slot)
    output.emit(f"removed slot {slot}\n")


def export_recovery(to: Path | None, *, passphrase: bool) -> None:
    if to and passphrase:
        raise Usage("a passphrase is not written to a file: leave out --to or --passphrase")
    if not to and not passphrase and not output.terminal():
        raise Usage("a recovery key is shown on a terminal only: give --to FILE")
    with _opened() as (store, settings, provider):
        rekey.refuse_taken(store, RECOVERY)
        if passphrase:
            rekey.add_slot(store, [provider], RECOVERY, key_given.new_passphrase())
            output.emit("added slot recovery: the passphrase opens this registry (BONDSTONE_PASSPHRASE)\n")
        elif to:
            _to_file(store, settings, provider, to.expanduser().absolute())
        else:
            _to_terminal(store, provider)


def _to_file(store: Store, settings: Settings, provider: KeyProvider, path: Path) -> None:
    if path.exists():
        raise Usage("--to names a file that is there already: give a new one")
    settings.apart(path)
    made = make_key_file(path, lambda line: None)
    try:
        rekey.add_slot(store, [provider], RECOVERY, made)
    except BaseException:
        path.unlink()  # it opens nothing
        raise
    output.emit(f"added slot recovery: its key is in {path}; keep it elsewhere (BONDSTONE_KEY_FILE opens with it)\n")


def _to_terminal(store: Store, provider: KeyProvider) -> None:
    text = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    rekey.add_slot(store, [provider], RECOVERY, environment_key(text))
    output.emit(
        f"recovery key, shown this once (BONDSTONE_KEY, or a line in a key file, opens with it):\n\n  {text}\n\n"
    )


def check(given: Sequence[str], *, as_json: bool) -> None:
    with _opened() as (store, _, provider):
        slots = rekey.slots(store, [provider, *map(key_given.existing, given)])
    _show(slots, as_json=as_json)
    if any(slot.state not in ("opens", "shut") for slot in slots):
        raise typer.Exit(1)
    shut = [slot.slot for slot in slots if slot.state == "shut"]
    if shut:
        output.note(f"not tried, for want of their keys (--with KEY): {', '.join(shut)}")


def rotate(given: Sequence[str], drop: Sequence[str], *, compromised: bool, give_up: bool) -> None:
    with _opened() as (store, _, provider), progress("sealing again", "versions and heads") as tell:
        providers = [provider, *map(key_given.existing, given)]
        total = _left(store, provider, another=compromised)
        done = rekey.rotate(
            store,
            providers,
            drop=drop,
            another=compromised,
            give_up=give_up,
            progress=lambda versions, heads: tell(versions + heads, total),
        )
    output.emit(f"root key {done.newest} seals now: {done.versions} versions and {done.heads} heads sealed again\n")
    if compromised:
        _compromised()
    if done.unreadable and not done.removed:
        output.note(_kept(done.unreadable))
        raise typer.Exit(1)


def _left(store: Store, provider: KeyProvider, *, another: bool) -> int:
    """How much there is to seal again: all, or what a rotation that was interrupted left."""
    keyring = Keyring.unwrap(store.settings().registry_id, store.keyrings(), provider)
    interrupted = len(keyring.root_keys) > 1 and not another
    return sum(store.count_of_other_keys(keyring.newest if interrupted else 0))


def _kept(unreadable: list[str]) -> str:
    return (
        f"the old root key stays, since {len(unreadable)} records do not open, such as {unreadable[0]}: restore or delete them and "
        "run this again, or give them up with --give-up"
    )


def _compromised() -> None:
    output.note(_WHY)
    listed = current_registry().list()
    output.table(("kind", "name", "version"), [(item.kind, item.name, str(item.version)) for item in listed])
    output.note(_WRAPPING)
