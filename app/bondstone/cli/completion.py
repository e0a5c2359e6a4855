"""Shell completion: what may come next. Names are read without the key; whatever fails completes nothing, and says nothing."""

import io
import os
from collections.abc import Iterator
from contextlib import redirect_stderr, suppress
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from bondstone.blocks.describe import Field

VARIABLE = "_BONDSTONE_COMPLETE"
_MOST = 10_000  # names that are looked through
_SCRIPT_END = "    return 0\n"
# Bash puts a space behind what it has completed; after secret/ or bucket= the word goes on.
_NO_SPACE = "    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=/] ]] && compopt -o nospace\n    return 0\n"
# zsh runs the whole file at the first Tab, which would do no more than define the function.
_AT_ONCE = "[[ $funcstack[1] == _bondstone ]] && _bondstone_completion\n"


def script(shell: str) -> str:
    """What the shell is to source, as typer makes it."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    text = get_completion_script(prog_name="bondstone", complete_var=VARIABLE, shell=shell) + "\n"
    if shell == "bash":
        return text.replace(_SCRIPT_END, _NO_SPACE)
    return text + _AT_ONCE if shell == "zsh" else text


def answer(command: Any) -> None:
    """Print what may follow, for the shell that asks by `VARIABLE`. A failure in the middle of somebody's typing is not told."""
    from typer.completion import completion_init  # type: ignore[attr-defined]

    completion_init()
    with redirect_stderr(io.StringIO()), suppress(Exception, SystemExit):
        command.main([], "bondstone", complete_var=VARIABLE, standalone_mode=False)


def kinds(incomplete: str) -> list[str]:
    """The kinds."""
    from bondstone.blocks import catalog

    return [kind for kind in catalog() if kind.startswith(incomplete)]


def names(incomplete: str) -> list[str]:
    """Saved names; after ``#`` the fields of one."""
    name, has_field, _ = incomplete.partition("#")
    if has_field:
        return [f"{name}#{field.name}" for field in _fields_of(name)]
    return list(_saved(incomplete))


def whole_names(incomplete: str) -> list[str]:
    """Saved names."""
    return list(_saved(incomplete))


def new_names(incomplete: str) -> list[str]:
    """Where a block may be saved: a kind, which a name is to follow, or a name that is there."""
    begun = [] if "/" in incomplete else [f"{kind}/" for kind in kinds(incomplete)]
    return [*begun, *_saved(incomplete)]


def fields(context: typer.Context, incomplete: str) -> list[str]:
    """Fields of the kind; behind ``=`` of a field that holds a block, the saved ones."""
    given = list(context.params.get("fields") or [])
    by_name = {field.name: field for field in _fields_of(context.params["name"])}
    if given[-1:] == ["="]:
        return _values(by_name[given[-2]], incomplete)
    if _at_equals():
        return _values(by_name[given[-1]], "")
    name, equals, value = incomplete.partition("=")
    if equals:
        return [f"{name}={reference}" for reference in _values(by_name[name], value)]
    taken = {word.partition("=")[0] for word in given}
    return [name if field.secret else f"{name}=" for name, field in by_name.items() if name not in taken]


def _at_equals() -> bool:
    """Whether it is bash that asks, which makes three words of name=value, and the cursor is behind the second. Typer hides that."""
    words, at = os.environ.get("COMP_WORDS", "").split("\n"), int(os.environ.get("COMP_CWORD", "0"))
    return at < len(words) and words[at] == "="


def _fields_of(reference: str) -> "list[Field]":
    from bondstone.blocks import Reference, find
    from bondstone.blocks.describe import fields_of

    return fields_of(find(Reference.parse(reference).kind))


def _values(field: "Field", incomplete: str) -> list[str]:
    kinds = field.type.split(" | ")
    return [name for name in _saved(incomplete) if name.partition("/")[0] in kinds]


def _saved(incomplete: str) -> Iterator[str]:
    """Only what is a legal name: the others were planted, and a shell may run what is completed."""
    from bondstone.registry import InvalidName, Reference, Settings

    store = Settings.from_environment().store()
    kind, slash, _ = incomplete.partition("/")
    for head, _ in store.heads(kind if slash else "", _MOST, 0) if store.exists() else ():
        with suppress(InvalidName):
            if (reference := Reference(head.kind, head.name)).startswith(incomplete):
                yield str(reference)
