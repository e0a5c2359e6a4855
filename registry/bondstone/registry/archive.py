"""The file of a backup: sealed record by record, and proved as a whole. `docs/format.md`, "Archive", is the specification."""

import os
import struct
import uuid
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from bondstone.registry.envelope import KEY_BYTES, MALFORMED, Context, key_id, open_envelope, seal, unreadable
from bondstone.registry.errors import Unreadable, UnsupportedFormat, WrongKey
from bondstone.registry.keys import KeyProvider

SETTINGS, HEAD, ROTATION, VERSION, END = b"S", b"H", b"R", b"V", b"E"
_LETTERS, _FORMAT = b"BSA", 1
_START = struct.Struct(">3sB16sQ")
_LENGTH = struct.Struct(">I")
_LONGEST = 2 * 1024 * 1024  # no record is: a huge length would exhaust the reader
WHAT = "this backup"


class Header(NamedTuple):
    """What stands in clear at the start of an archive."""

    archive_id: str
    created_at: int  # microseconds since 1970
    provider: str
    key_id: str
    wrapped: bytes

    @property
    def context(self) -> Context:
        return Context("archive-key", self.archive_id, self.provider, self.key_id, 0, self.created_at)

    def record(self, number: int) -> Context:
        return Context("archive", self.archive_id, "", "", number, self.created_at)


class ArchiveWriter:
    """Adds records to a file; each is sealed under a key of this archive, which `provider` wraps."""

    def __init__(self, file: BinaryIO, provider: KeyProvider, now: int) -> None:
        self._file, self._key, self._number = file, os.urandom(KEY_BYTES), 0
        header = Header(uuid.uuid4().hex, now, provider.kind, provider.key_id, b"")
        self._header = header._replace(wrapped=provider.wrap(self._key, header.context))
        file.write(_START.pack(_LETTERS, _FORMAT, bytes.fromhex(header.archive_id), now))
        file.write(b"".join(map(_prefixed, (header.provider.encode(), header.key_id.encode(), self._header.wrapped))))

    def add(self, type_: bytes, body: bytes) -> None:
        self._number += 1
        self._file.write(_prefixed(seal(self._key, 0, self._header.record(self._number), type_ + body)))


def read_header(file: BinaryIO) -> Header:
    """Raises `Unreadable` or `UnsupportedFormat`."""
    start = file.read(_START.size)
    if len(start) < _START.size or start[:3] != _LETTERS:
        raise Unreadable("this file is not a bondstone backup, or it was cut: give one that 'bondstone backup' wrote")
    _, format_, archive_id, created_at = _START.unpack(start)
    if format_ != _FORMAT:
        raise UnsupportedFormat(
            f"{WHAT} is written in format {format_}; this bondstone reads {_FORMAT}: install a newer one"
        )
    provider, key_id, wrapped = (_part(file) for _ in range(3))
    try:
        return Header(archive_id.hex(), created_at, provider.decode(), key_id.decode(), wrapped)
    except UnicodeDecodeError:
        pass
    raise unreadable(WHAT)


def records(file: BinaryIO, provider: KeyProvider) -> Iterator[tuple[bytes, bytes]]:
    """Type and body of every record, in order; the last is of type `END`, and nothing follows it.

    Raises `WrongKey`, or `Unreadable` for whatever was changed, cut, moved, repeated or added.
    """
    header = read_header(file)
    key, number, type_ = _unwrapped(header, provider), 0, b""
    while type_ != END:
        number += 1
        plain = _opened(key, header.record(number), _part(file))
        type_ = plain[:1]
        yield type_, plain[1:]
    if file.read(1):
        raise unreadable(WHAT)


def _opened(key: bytes, context: Context, envelope: bytes) -> bytes:
    try:
        if key_id(envelope, WHAT) == 0:  # one byte form: nothing else proves it
            return open_envelope(key, context, envelope, WHAT)
    except MALFORMED:
        pass
    raise unreadable(WHAT)


def _unwrapped(header: Header, provider: KeyProvider) -> bytes:
    raw = ("key", "key-file")  # a raw key is the same key in a file and in the environment
    same_kind = provider.kind == header.provider or (provider.kind in raw and header.provider in raw)
    if not same_kind or provider.key_id != header.key_id:
        raise WrongKey(
            f"wrong key: {WHAT} opens with {header.key_id} ({header.provider}), not {provider.key_id} ({provider.kind})"
        )
    try:
        return provider.unwrap(header.wrapped, header.context)
    except WrongKey:
        pass
    except Unreadable:
        raise unreadable(WHAT) from None
    raise WrongKey(f"wrong passphrase for {WHAT} (or its first bytes were changed)")


def _prefixed(part: bytes) -> bytes:
    return _LENGTH.pack(len(part)) + part


def _part(file: BinaryIO) -> bytes:
    length = file.read(_LENGTH.size)
    size = _LENGTH.unpack(length)[0] if len(length) == _LENGTH.size else _LONGEST + 1
    part = file.read(size) if size <= _LONGEST else b""
    if len(part) != size:
        raise unreadable(WHAT)
    return part
