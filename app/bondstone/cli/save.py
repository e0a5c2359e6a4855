"""`bondstone save`."""

import typer

from bondstone.blocks import Block, Reference, find
from bondstone.cli import output
from bondstone.cli.ask import at_terminal, confirmed
from bondstone.cli.faults import Usage
from bondstone.cli.fields import collect
from bondstone.cli.references import whole
from bondstone.registry.names import SCHEME


def save(name: str | None, words: list[str], *, overwrite: bool) -> None:
    reference = _reference(name)
    kind = find(reference.kind)
    if words or not at_terminal():
        block = kind(**collect(kind, words))
    else:
        overwrite = overwrite or _over(reference)
        block = _interviewed(kind)
    block.save(reference.name, overwrite=overwrite)
    output.emit(f"saved {reference}@{block.version}\n")


def _reference(text: str | None) -> Reference:
    """What to save it as; on a terminal what is missing is asked for."""
    if not at_terminal():
        if text is None:
            raise Usage(
                "give KIND/NAME, such as secret/token: nobody can be asked here; 'bondstone types' lists the kinds"
            )
        return whole(text)
    from bondstone.cli.interview import kind_asked, name_asked

    kind = text.removeprefix(SCHEME) if text is not None else kind_asked()
    return whole(kind) if "/" in kind else name_asked(find(kind).kind)


def _over(reference: Reference) -> bool:
    from bondstone.cli.interview import taken

    if not taken(reference):
        return False
    if not confirmed(f"{reference} is there already: save a new version of it?"):
        output.note("nothing was saved")
        raise typer.Abort
    return True


def _interviewed(kind: type[Block]) -> Block:
    from bondstone.cli.interview import interviewed

    return interviewed(kind)
