"""Files that commands are given by name."""

from pathlib import Path

from bondstone.cli.faults import Usage
from bondstone.registry.names import shown
from bondstone.registry.registry import MAX_DOCUMENT


def content(path: Path) -> bytes:
    """What the file holds. Raises `Usage` if it cannot be read or holds more than 1 MiB."""
    try:
        with path.expanduser().open("rb") as file:
            read = file.read(MAX_DOCUMENT + 1)
    except (OSError, ValueError, RuntimeError) as error:  # the last: ~nobody
        raise Usage(f"cannot read {shown(path.name)} ({getattr(error, 'strerror', None) or 'not a path'})") from None
    if len(read) > MAX_DOCUMENT:
        raise Usage(f"{shown(path.name)} is larger than 1 MiB")
    return read


def text(path: Path) -> str:
    """The same as text. Raises `Usage` also if it is no UTF-8."""
    try:
        return content(path).decode("utf-8-sig")
    except UnicodeDecodeError:  # it holds the bytes
        pass
    raise Usage(f"{shown(path.name)} is not text in UTF-8")
