"""`bondstone plan` and `apply`."""

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from bondstone.blocks import Block, InvalidBlock
from bondstone.blocks.resolving import Resolver
from bondstone.cli import output
from bondstone.cli.changes import CHANGE, CREATE, DELETE, SAME, Change, carry_out, change
from bondstone.cli.described import Files, made, needs, read
from bondstone.cli.faults import Usage
from bondstone.registry import Reference


def plan(paths: Sequence[Path], *, prune: bool, as_json: bool) -> None:
    _show(_changes(read(paths), prune), as_json)


def apply(paths: Sequence[Path], *, prune: bool, as_json: bool) -> None:
    changes = _changes(read(paths), prune)
    carry_out(changes)
    _show(changes, as_json)


def _changes(files: Files, prune: bool) -> list[Change]:
    """All of them, with every block made and compared: what is wrong anywhere keeps everything from being written."""
    if prune and not files.prefixes:
        raise Usage("--prune deletes below the prefix of a file, and none has one: write 'prefix: team/' at its top")
    parts: dict[Reference, Block] = {}
    resolver = Resolver(lambda text: parts.get(Reference.parse(text)) or Block.load(text))
    changes, names, there = [], dict[int, Reference](), set(Block.names())
    for reference in _in_order(files):
        wanted = made(files.blocks[reference], parts, resolver)
        found = change(reference, wanted, there, names)
        assert found.block is not None  # noqa: S101 -- for the type checker: only DELETE has none
        parts[reference] = found.block
        names[id(found.block)] = reference
        changes.append(found)
    pruned = [Change(DELETE, one) for one in _below(files, there)] if prune else []
    return changes + pruned


def _in_order(files: Files) -> list[Reference]:
    """What others need comes before them; otherwise as in the files."""
    graph = {name: [one for one in needs(block) if one in files.blocks] for name, block in files.blocks.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " and ".join(dict.fromkeys(error.args[1]))
    raise InvalidBlock(f"a circle, which cannot be saved: {circle}")


def _below(files: Files, there: set[str]) -> list[Reference]:
    """What is saved below a prefix of the files, and in none of them."""
    saved = map(Reference.parse, sorted(there))
    return [one for one in saved if one.name.startswith(files.prefixes) and one not in files.blocks]


def _show(changes: Sequence[Change], as_json: bool) -> None:
    if as_json:
        keys = ("action", "reference", "fields")
        output.emit_json([{key: getattr(one, key) for key in keys} for one in changes])
        return
    output.table(("what", "block", "fields"), [(one.action, one.reference, ", ".join(one.fields)) for one in changes])
    if output.terminal():
        counts = {action: sum(one.action == action for one in changes) for action in (CREATE, CHANGE, SAME, DELETE)}
        output.emit("\n" + ", ".join(f"{count} {action}" for action, count in counts.items() if count) + "\n")
