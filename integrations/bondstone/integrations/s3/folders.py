"""A folder on disk and a prefix in a bucket: which files, below which keys."""

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bondstone.blocks import InvalidName
from bondstone.integrations.progress import progress
from bondstone.integrations.receipts import FolderReceipt, ObjectReceipt
from bondstone.integrations.s3.access import Access
from bondstone.integrations.s3.in_flight import in_flight
from bondstone.integrations.s3.keys import encodable, folder
from bondstone.integrations.s3.settings import Settings
from bondstone.integrations.s3.sources import Source, of_path

_SMALL = 8 * 1024 * 1024  # bytes; sixteen of these are 128 MiB


class File(NamedTuple):
    """A file below a folder."""

    name: str  # relative to the folder, with slashes
    key: str
    path: str
    size: int


def files(root: str, prefix: str) -> list[File]:
    """The files below `root`, in order of their names.

    A link to a file inside the folder counts as that file. A link to a folder inside is left out: what it leads to is there anyway,
    and no walk goes round. Raises `InvalidName` for a link that leads out or nowhere, for what is no file (a pipe, a device), and for
    names that are not UTF-8; nothing has been sent by then.
    """
    real, before = os.path.realpath(root), folder(prefix)
    found = (File(name, encodable(before + name), path, size) for name, path, size in _walk(root, "", real))
    return sorted(found)


def _walk(root: str, below: str, real: str) -> Iterator[tuple[str, str, int]]:
    with os.scandir(os.path.join(root, below)) as entries:  # noqa: PTH118 -- names may be no UTF-8
        for entry in entries:
            name = below + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(root, f"{name}/", real)
                continue
            mode, size = _inside(entry, name, real)
            if stat.S_ISREG(mode):
                yield name, entry.path, size
            elif not stat.S_ISDIR(mode):
                raise InvalidName(f"{name!a} is no file, but a pipe, socket or device: move it out of the folder")


def _inside(entry: "os.DirEntry[str]", name: str, real: str) -> tuple[int, int]:
    """Mode and size of what an entry leads to."""
    if entry.is_symlink():
        target = os.path.realpath(entry.path)
        if not (target.startswith(real + os.sep) or target == real) or not os.path.exists(target):  # noqa: PTH110
            raise InvalidName(f"the link {name!a} leads out of the folder, or nowhere: replace it by what you mean")
    status = entry.stat()
    return status.st_mode, status.st_size


type Put = Callable[[Access, Source, str, Settings, Callable[[int], None]], ObjectReceipt]


def uploaded(access: Access, these: Sequence[File], settings: Settings, what: str, put: Put) -> list[ObjectReceipt]:
    """Small files sixteen at a time; then the large ones three at a time, each with 64 MiB of parts in flight: that bounds the memory."""
    with progress(Path(what).name or what, sum(file.size for file in these)) as moved:

        def one(file: File) -> ObjectReceipt:
            return put(access, of_path(file.path), file.key, settings, moved)

        small, large = ([file for file in these if (file.size > _SMALL) is big] for big in (False, True))
        receipts = dict(zip(small + large, in_flight(one, small) + in_flight(one, large, most=3), strict=True))
    return [receipts[file] for file in these]


def receipt(access: Access, prefix: str, objects: Sequence[ObjectReceipt], start: float) -> FolderReceipt:
    """What is written down of many objects."""
    block, size = access.block, sum(each.size for each in objects)
    uri, reference, seconds = access.place.uri(folder(prefix)), str(block.reference), time.perf_counter() - start
    return FolderReceipt(uri, reference, block.version or 0, None, size, None, seconds, len(objects), tuple(objects))
