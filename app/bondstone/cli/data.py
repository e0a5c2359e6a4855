"""`bondstone log`, `diff` and `rollback-data`."""

from dataclasses import asdict
from itertools import takewhile
from typing import Any

import typer

from bondstone.blocks import NotFound
from bondstone.cli import output
from bondstone.cli.ask import at_terminal, confirmed, say
from bondstone.cli.faults import Usage
from bondstone.integrations.icechunk.history import IcechunkRollback
from bondstone.integrations.icechunk.log import LogEntry
from bondstone.integrations.icechunk.log import diff as differences
from bondstone.integrations.icechunk.log import log as entries
from bondstone.integrations.icechunk.repo import repo


def log(name: str, *, limit: int, as_json: bool) -> None:
    _found(name)
    versions = entries(name, limit=limit)
    if as_json:
        output.emit_json([_object(entry) for entry in versions])
        return
    columns = ("snapshot", "committed", "message", "tags", "key")
    output.table(columns, map(_row, versions))


def diff(name: str, old: str, new: str | None, *, as_json: bool) -> None:
    _found(name)
    changes = differences(name, old, new)
    if as_json:
        output.emit_json([asdict(change) for change in changes])
        return
    output.table(("change", "path", "chunks"), ((item.change, item.path, str(item.chunks)) for item in changes))


def rollback_data(name: str, to: str, *, yes: bool, as_json: bool) -> None:
    if not yes and not at_terminal():
        raise Usage("'rollback-data' changes what all readers see: add --yes, since nobody can be asked here")
    _found(name)
    seen = None if yes else _agreed(name, to)
    done = IcechunkRollback(name)(to=to, seen=seen)
    if as_json:
        output.emit_json(asdict(done))
    elif not done.changed:
        output.emit(f"{done.block} shows {done.snapshot} already\n")
    else:
        output.emit(f"{done.block} shows {done.snapshot} again\n")
        output.note(f"to undo that: bondstone rollback-data {name} --to {done.undo} --yes")


def _found(name: str) -> None:
    """A block that is not there is told before anything is imported, and a repository that is not is not made."""
    target = repo(name)
    block = target.handle.get()
    if not target.exists():
        raise NotFound(f"there is no repository at the place of {block.reference} yet: the first commit makes it")


def _agreed(name: str, to: str) -> str:
    """What the branch shows, which whoever was asked gave up with all that is listed."""
    versions = entries(name)
    undone = list(takewhile(lambda entry: to not in (entry.snapshot, *entry.tags), versions))
    for entry in undone if len(undone) < len(versions) else versions[:1]:
        say(f"  {entry.snapshot}  {output.clock(entry.at)}  {output.printable(output.one_line(entry.message))}")
    if not confirmed(f"Let readers of {name} see {output.printable(to)} instead of these?"):
        output.note("nothing was changed")
        raise typer.Abort
    return versions[0].snapshot


def _row(entry: LogEntry) -> tuple[str, ...]:
    key = entry.metadata.get("bondstone.key", "")
    return entry.snapshot, output.clock(entry.at), entry.message, " ".join(entry.tags), str(key)


def _object(entry: LogEntry) -> dict[str, Any]:
    return {**asdict(entry), "at": entry.at.isoformat()}
