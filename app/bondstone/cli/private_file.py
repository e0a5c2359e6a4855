"""Files with secrets in them: whole or not at all, and for nobody else's eyes."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from bondstone.cli.faults import Usage
from bondstone.registry.names import shown


def write_private(path: Path, text: str, *, force: bool) -> None:
    """Write `text` to `path`, mode 0600, in the place of what is there. Raises `Usage` if it cannot, or if Git would see it.

    `force` writes into the work tree of a Git repository all the same.
    """
    path = path.expanduser().absolute()
    if not force and _in_work_tree(path.parent):
        raise Usage(
            "the file would lie in the work tree of a Git repository, with the values: write it elsewhere, or add --force"
        )
    if path.exists() and not path.is_file():
        raise Usage(f"cannot write {shown(path.name)} (not a file)")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with os.fdopen(
            os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8", newline=""
        ) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        reason = error.strerror or type(error).__name__
    else:
        return
    raise Usage(f"cannot write {shown(path.name)} ({reason})")


def _in_work_tree(folder: Path) -> bool:
    folder = folder.resolve()
    return any((one / ".git").exists() for one in (folder, *folder.parents))
