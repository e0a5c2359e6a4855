"""A forked process has none of its parent's threads: what needs those of a library would wait for ever, and is refused."""

import os
import sys

from bondstone.blocks import ServiceUnavailable

_STARTED_WHEN = {"icechunk": "imported", "obstore": "used"}  # measured: icechunk starts its threads on import
_starters: dict[
    str, int
] = {}  # the process that started them, by library; a fork inherits the note, and not the threads


def refuse_after_fork(library: str) -> None:
    """Before the threads of `library` are used. Raises `ServiceUnavailable` where they belong to a process that this one is a fork of."""
    if _starters.setdefault(library, os.getpid()) == os.getpid():
        return
    done = _STARTED_WHEN[library]
    raise ServiceUnavailable(
        f"this process was forked from one that had {done} {library} already, and would wait for ever: "
        f"start workers by 'spawn' or 'forkserver', or fork before {library} is {done}"
    )


def _note_imports() -> None:
    """Whoever imported it: a program may do so itself."""
    for library, when in _STARTED_WHEN.items():
        if when == "imported" and library in sys.modules:
            _starters.setdefault(library, os.getpid())


os.register_at_fork(before=_note_imports)
