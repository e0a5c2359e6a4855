"""Files that appear whole or not at all, and never under somebody else's eyes."""

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from bondstone.registry.errors import RegistryUnavailable


def publish(path: Path, make: Callable[[Path], None]) -> bool:
    """Let `make` write a new file beside `path`, then give it that name; False, and no change, if the name was taken meanwhile.

    A hard link is the one way to give a name that fails if it exists, so of several processes that create the same file one wins and
    the others see it complete; a process killed on the way leaves only a hidden draft. Raises `RegistryUnavailable`.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        make(draft)
        _sync(draft)
        os.link(draft, path)
        _sync(path.parent)
    except FileExistsError:
        return False
    except RegistryUnavailable:
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RegistryUnavailable(f"cannot write {path} ({reason}): choose a folder that you can write to") from None
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()
    return True


def _sync(path: Path) -> None:
    """A name that was given must still be there after the power fails."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
