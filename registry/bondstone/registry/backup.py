"""Everything of a registry, into a sealed file, out of it into a new registry, or from one registry into another.

Versions, heads and times stay; the id and the root keys are new. What was written is read back and compared at the end.
"""

import hashlib
import json
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from bondstone.registry.archive import END, HEAD, ROTATION, SETTINGS, VERSION, WHAT, ArchiveWriter, read_header, records
from bondstone.registry.envelope import MALFORMED, unreadable
from bondstone.registry.errors import Conflict, RegistryUnavailable, Unreadable
from bondstone.registry.files import publish
from bondstone.registry.head import Head
from bondstone.registry.keys import KeyProvider
from bondstone.registry.registry import Registry
from bondstone.registry.results import Plain, WholeName

_NUMBERS = struct.Struct(">7Q")
_VERSION = struct.Struct(">QQ")
_COUNTS = struct.Struct(">QQ")
_PAGE_NAMES, _PAGE_BYTES = 500, 8 * 1024 * 1024

Progress = Callable[[int, int], None]
"""How many versions were written, then compared, and of how many in all: each counts twice."""
Create = Callable[[int, str], Registry]
"""Makes the new registry, with this `max_ttl`, to be filled with what has this id, or finds the unfinished one that is
(`Registry.create`); raises `Conflict` if there is another one already."""


class Copied(NamedTuple):
    """How much there was."""

    names: int
    versions: int
    unreadable: list[str]  # what does not open, and is not in the copy


class _Tally:
    """Counts names and versions, and sums up a digest of each name, in whatever order they come."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        self.names = self.versions = self._digest = 0
        self._progress = progress

    def add(self, name: WholeName) -> WholeName:
        whole = hashlib.sha256(_head_body(name.head) + name.rotation)
        for version in name.versions:
            whole.update(_version_body(version)[:16] + hashlib.sha256(version.content).digest())
        self.names += 1
        self.versions += len(name.versions)
        self._digest += int.from_bytes(whole.digest())
        self._progress(self.versions)
        return name

    def same(self, names: Iterable[WholeName], progress: Callable[[int], None]) -> bool:
        other = _Tally(progress)
        for name in names:
            other.add(name)
        return (self.names, self.versions, self._digest) == (other.names, other.versions, other._digest)


def _silent(_: int, __: int) -> None:
    pass


def _halves(progress: Progress, count: int) -> tuple[Callable[[int], None], Callable[[int], None]]:
    """What is told of `count` versions while they are written, and while they are compared."""
    return lambda done: progress(done, 2 * count), lambda done: progress(count + done, 2 * count)


def backup(registry: Registry, path: Path, provider: KeyProvider, *, progress: Progress = _silent) -> Copied:
    """Write all of a registry to a new file, sealed for `provider`. Raises `Conflict` if the file exists.

    Each name is as it was at one moment; names are read one after the other, while others may write.
    """
    lost: list[str] = []
    writing, comparing = _halves(progress, registry.count())
    tally = _Tally(writing)

    def make(draft: Path) -> None:
        with draft.open("wb") as file:
            _write(ArchiveWriter(file, provider, registry.now()), registry, tally, lost)
        if not tally.same(_names_in(draft, provider), comparing):
            raise RegistryUnavailable(f"what was written to {path} reads back otherwise: is the disk in order?")

    if not publish(path, make):
        raise Conflict(f"{path} exists: choose another file")
    registry.note("backup")
    return Copied(tally.names, tally.versions, lost)


def _write(archive: ArchiveWriter, registry: Registry, tally: _Tally, lost: list[str]) -> None:
    archive.add(SETTINGS, json.dumps({"max_ttl": registry.max_ttl, "registry_id": registry.id}).encode())
    for name in map(tally.add, registry.whole_names(lost.append)):
        archive.add(HEAD, _head_body(name.head))
        if name.rotation:
            archive.add(ROTATION, name.rotation)
        for version in name.versions:
            archive.add(VERSION, _version_body(version))
    archive.add(END, _COUNTS.pack(tally.names, tally.versions))


def restore(path: Path, provider: KeyProvider, create: Create, *, progress: Progress = _silent) -> Copied:
    """Make a new registry of a backup, or end a restore of it that was interrupted. The whole file is proved before anything is made."""
    count = sum(len(name.versions) for name in _names_in(path, provider))
    registry = create(_max_ttl(path, provider), archive_id(path))
    return _fill(registry, _names_in(path, provider), "restore", [], _halves(progress, count))


def copy(source: Registry, create: Create, *, progress: Progress = _silent) -> Copied:
    """Make a new registry of another one, wherever each of them lies, or end a copy of it that was interrupted."""
    lost: list[str] = []
    done = _fill(
        create(source.max_ttl, source.id),
        source.whole_names(lost.append),
        "copy",
        lost,
        _halves(progress, source.count()),
    )
    source.note("copy")
    return done


def _fill(
    registry: Registry,
    names: Iterable[WholeName],
    action: str,
    lost: list[str],
    progress: tuple[Callable[[int], None], Callable[[int], None]],
) -> Copied:
    writing, comparing = progress
    tally, there = _Tally(writing), registry.all_names()  # of an interrupted one; each name came whole
    for page in _pages(name for name in map(tally.add, names) if name.head[:2] not in there):
        registry.adopt(page, action)
    if not tally.same(registry.whole_names(_known), comparing):
        raise Unreadable(f"the new registry at {registry.url} is not what was read: remove it and try again")
    registry.filled(action)
    return Copied(tally.names, tally.versions, lost)


def _known(_: str) -> None:
    """What was left out is missing in the copy too: what else is missing shows in the count."""


def _pages(names: Iterable[WholeName]) -> Iterator[list[WholeName]]:
    page: list[WholeName] = []
    size = 0
    for name in names:
        page.append(name)
        size += sum(len(version.content) for version in name.versions)
        if len(page) >= _PAGE_NAMES or size >= _PAGE_BYTES:
            yield page
            page, size = [], 0
    if page:
        yield page


def archive_id(path: Path) -> str:
    """What tells a backup from every other one. Raises `Unreadable`."""
    with path.open("rb") as file:
        return read_header(file).archive_id


def _max_ttl(path: Path, provider: KeyProvider) -> int:
    with path.open("rb") as file:
        for type_, body in records(file, provider):
            return _parse_settings(type_, body)
    raise unreadable(WHAT)


def _parse_settings(type_: bytes, body: bytes) -> int:
    try:
        max_ttl = json.loads(body)["max_ttl"]
        if type_ == SETTINGS and type(max_ttl) is int and max_ttl >= 1:
            return max_ttl
    except (ValueError, TypeError, KeyError):
        pass
    raise unreadable(WHAT)


def _names_in(path: Path, provider: KeyProvider) -> Iterator[WholeName]:
    """Every name in a backup. Raises at the end, if not before, for a file that is not whole."""
    with path.open("rb") as file:
        try:
            yield from _grouped(records(file, provider))
        except (*MALFORMED, UnicodeDecodeError):
            fault = unreadable(WHAT)
        else:
            return
    raise fault


def _grouped(found: Iterator[tuple[bytes, bytes]]) -> Iterator[WholeName]:
    name: WholeName | None = None
    names = versions = 0
    first = True
    for type_, body in found:
        if first is not (type_ == SETTINGS) or (type_ == VERSION and name is None):
            raise unreadable(WHAT)
        first = False
        if type_ == VERSION and name is not None:
            version, saved_at = _VERSION.unpack(body[:16])
            if not (name.versions[-1].version if name.versions else 0) < version <= name.head.highest:
                raise unreadable(WHAT)
            name.versions.append(Plain(version, saved_at, body[16:]))
            versions += 1
            continue
        if type_ == ROTATION and name is not None and not (name.versions or name.rotation):
            name = name._replace(rotation=body)
            continue
        if name is not None:
            yield name
        name = WholeName(_parse_head(body), []) if type_ == HEAD else None
        names += type_ == HEAD
        if type_ not in (SETTINGS, HEAD) and (type_, body) != (END, _COUNTS.pack(names, versions)):
            raise unreadable(WHAT)


def _head_body(head: Head) -> bytes:
    kind, name = head.kind.encode(), head.name.encode()
    return len(kind).to_bytes(4) + kind + len(name).to_bytes(4) + name + _NUMBERS.pack(*head[2:])


def _parse_head(body: bytes) -> Head:
    end_of_kind = 4 + int.from_bytes(body[:4])
    start_of_name = end_of_kind + 4
    end_of_name = start_of_name + int.from_bytes(body[end_of_kind:start_of_name])
    kind, name = body[4:end_of_kind].decode(), body[start_of_name:end_of_name].decode()
    head = Head(kind, name, *_NUMBERS.unpack(body[end_of_name:]))
    if not head.consistent:
        raise unreadable(WHAT)
    return head


def _version_body(version: Plain) -> bytes:
    return _VERSION.pack(version.version, version.saved_at) + version.content
