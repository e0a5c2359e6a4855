"""Keys and prefixes: which of them mean the same to every client, and where they may lead on a disk."""

from pathlib import Path

from bondstone.blocks import Conflict, InvalidName


def checked(key: str) -> str:
    """A key that no client changes on its way."""
    if any(part in ("", ".", "..") for part in key.split("/")):
        raise InvalidName("a key is not empty, neither begins nor ends with '/', and has no empty, '.' or '..' segment")
    return encodable(key)


def encodable(key: str) -> str:
    """S3 keys are UTF-8, at most 1024 bytes. A file name on Linux may be neither."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidName(f"{key!a} is not UTF-8, as a key must be: rename the file") from None
    if size > 1024:
        raise InvalidName(f"a key has at most 1024 bytes, and one here {size}: shorten it")
    return key


def folder(prefix: str) -> str:
    """The prefix of a folder as keys have it: empty for the whole bucket, else with one slash at its end."""
    return f"{checked(prefix.removesuffix('/'))}/" if prefix else ""


def targets(names: list[str], root: Path) -> dict[str, Path]:
    """Where the objects of these names lie below `root`. Raises `InvalidName` for the first that would lead elsewhere.

    Names of folders (``a/``, and the empty one of `root`), as consoles make them, are left out. Raises `Conflict` where one name is a
    folder of another.
    """
    files = [name for name in names if name and not name.endswith("/")]
    for name in files:
        if any(part in ("", ".", "..") for part in name.split("/")) or "\0" in name:
            raise InvalidName(
                f"the key {name!r} would lead out of the folder: download it by itself, under another name"
            )
    taken = set(files)
    for name in files:
        for end in (at for at, letter in enumerate(name) if letter == "/"):
            if name[:end] in taken:
                raise Conflict(f"{name[:end]!r} is an object and a folder of others: a disk cannot hold both")
    return {name: root / name for name in files}


def made_below(path: Path, root: Path) -> None:
    """Make the folder that `path` lies in. A link on the way that leads out of `root` is refused."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.parent.resolve().is_relative_to(root.resolve()):
        raise InvalidName(f"{str(path.parent)!r} leads out of the folder by a link: remove the link")
