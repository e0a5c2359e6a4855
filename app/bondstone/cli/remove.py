"""`bondstone rm`."""

import typer

from bondstone.blocks import find
from bondstone.cli import output
from bondstone.cli.ask import at_terminal, confirmed
from bondstone.cli.faults import Usage
from bondstone.cli.references import whole
from bondstone.registry import NotFound, current_registry


def rm(text: str, *, yes: bool) -> None:
    reference = whole(text)
    if not yes and not at_terminal():
        raise Usage(f"'rm' deletes all versions of {reference}: add --yes, since nobody can be asked here")
    if not yes and not confirmed(f"delete {reference} with all its versions?"):
        output.note("nothing was deleted")
        raise typer.Abort
    try:
        current_registry().delete(reference.kind, reference.name)
    except NotFound:
        find(reference.kind)  # the kind may be what is misspelt
        raise
    output.emit(f"deleted {reference}\n")
