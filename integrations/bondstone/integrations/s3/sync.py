"""Make a prefix hold what a folder holds, or a folder what a prefix holds."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bondstone.blocks import Conflict, InvalidName, NotFound
from bondstone.integrations.receipts import ObjectReceipt, SyncReceipt
from bondstone.integrations.s3 import folders
from bondstone.integrations.s3.access import Access
from bondstone.integrations.s3.checksum import etag_of
from bondstone.integrations.s3.delete import deleted
from bondstone.integrations.s3.download import S3Download, fetched
from bondstone.integrations.s3.folders import File
from bondstone.integrations.s3.keys import folder, targets
from bondstone.integrations.s3.listing import Item, items
from bondstone.integrations.s3.sources import of_path
from bondstone.integrations.s3.upload import S3Upload, put


@dataclass(frozen=True)
class S3Sync:
    """Transfer what differs between a folder and a prefix, `up` to the bucket or `down` from it."""

    bucket: str  # the name of an S3Bucket block
    direction: Literal["up", "down"] = "up"
    delete: bool = False  # at the end, what only the target has
    dry_run: bool = False
    ttl: float | None = None

    def __call__(self, path: str | os.PathLike[str], /, *, prefix: str) -> SyncReceipt:
        """See `synced`."""
        return synced(self, Path(path), prefix)


@dataclass(frozen=True)
class _Sides:
    access: Access
    root: Path
    here: Mapping[str, File]  # by name
    there: Mapping[str, Item]


def synced(task: S3Sync, root: Path, prefix: str) -> SyncReceipt:
    """Compare by size, then by content: a file's MD5, or that of its parts, with the etag of the object.

    Where S3 encrypts by KMS an etag says nothing of the content, so there everything is transferred. Raises as `S3Upload`; `NotFound` if
    the folder to send is not there, and `Conflict` rather than delete all because the side to copy from is empty.
    """
    if task.direction not in ("up", "down"):
        raise InvalidName("a sync goes 'up', from the folder to the bucket, or 'down'")
    start = time.perf_counter()
    sides = _sides(task, root, prefix)
    source, target = (sides.here, sides.there) if task.direction == "up" else (sides.there, sides.here)
    differing = [name for name in source if name not in target or not _same(sides.here[name], sides.there[name])]
    surplus = sorted(set(target) - set(source)) if task.delete else []
    if surplus and not source:
        raise Conflict(
            "the side to copy from is empty, so the sync would delete everything: use S3Delete if you mean that"
        )
    sent = [] if task.dry_run else _transferred(task, sides, differing)
    if not task.dry_run:
        _cleared(task, sides, surplus)
    block, same, size = sides.access.block, len(source) - len(differing), sum(each.size for each in sent)
    where = (sides.access.place.uri(folder(prefix)), str(block.reference), block.version or 0)
    seconds = time.perf_counter() - start
    return SyncReceipt(*where, tuple(differing), tuple(surplus), same, size, task.dry_run, seconds)


def _sides(task: S3Sync, root: Path, prefix: str) -> _Sides:
    access = Access.of(task)
    if not root.is_dir() and task.direction == "up":
        raise NotFound(f"there is no folder {str(root)!r} to send")
    here = {file.name: file for file in folders.files(str(root), prefix)} if root.is_dir() else {}
    there = {item.key.removeprefix(folder(prefix)): item for item in items(access, folder(prefix))}
    return _Sides(access, root, here, {name: item for name, item in there.items() if name and not name.endswith("/")})


def _same(file: File, item: Item) -> bool:
    return file.size == item.size and etag_of(of_path(file.path)) == item.etag


def _transferred(task: S3Sync, sides: _Sides, names: list[str]) -> list[ObjectReceipt]:
    if task.direction == "up":
        files = [sides.here[name] for name in names]
        return folders.uploaded(sides.access, files, S3Upload(task.bucket), str(sides.root), put)
    # All names are looked at, also of what is the same: a folder that cannot hold them is refused before anything is written.
    paths = targets(list(sides.there), sides.root)
    return fetched(
        sides.access, S3Download(task.bucket, as_stored=True), [(sides.there[n], paths[n]) for n in names], sides.root
    )


def _cleared(task: S3Sync, sides: _Sides, names: list[str]) -> None:
    if task.direction == "up":
        deleted(sides.access, [sides.there[name].key for name in names])
        return
    for name in names:
        Path(sides.here[name].path).unlink()
