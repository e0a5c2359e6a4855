"""`bondstone save`."""

from bondstone.blocks import find
from bondstone.cli import output
from bondstone.cli.fields import collect
from bondstone.cli.references import whole


def save(name: str, words: list[str], *, overwrite: bool) -> None:
    reference = whole(name)
    kind = find(reference.kind)
    block = kind(**collect(kind, words)).save(reference.name, overwrite=overwrite)
    output.emit(f"saved {reference}@{block.version}\n")
