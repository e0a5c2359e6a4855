"""`bondstone rm`."""

import typer

from bondstone.blocks import find
from bondstone.cli import output
from bondstone.cli.ask import at_terminal, confirmed
from bondstone.cli.faults import Usage
from bondstone.cli.references import whole
from bondstone.registry import NotFound, Reference, Registry, current_registry


def rm(text: str, *, purge: bool, yes: bool) -> None:
    reference = whole(text)
    doing, question = ("erases", "erase") if purge else ("deletes", "delete")
    if not yes and not at_terminal():
        raise Usage(f"'rm' {doing} all versions of {reference}: add --yes, since nobody can be asked here")
    if not yes and not confirmed(f"{question} {reference} with all its versions?"):
        output.note("nothing was deleted")
        raise typer.Abort
    try:
        done = _removed(current_registry(), reference, purge=purge)
    except NotFound:
        find(reference.kind)  # the kind may be what is misspelt
        raise
    output.emit(f"{done}\n")


def _removed(registry: Registry, reference: Reference, *, purge: bool) -> str:
    if purge:
        return f"erased {registry.purge(reference.kind, reference.name)} versions of {reference}"
    registry.delete(reference.kind, reference.name)
    return f"deleted {reference}"
