"""Finds secret values in a lot of data, by fingerprints: once it is made it holds none of the values."""

import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bondstone.blocks.encodings import SHORTEST, encodings
from bondstone.blocks.secret_values import MASK

_GRAM = 6  # bytes
_LARGEST_STEP = 24
_LINE, _END = rb"[A-Za-z0-9+/=_-]", rb"(?:\\+[rn]|[\r\n])++[ \t]*+"  # in JSON a line end is a backslash and a letter
_WRAPPED = re.compile(rb"(?<!%b)(?:%b{16,}+%b)++%b+" % (_LINE, _LINE, _END, _LINE))
_BREAK = re.compile(_END)


class Secret(NamedTuple):
    """Which field of which version of a block a value is of."""

    reference: str
    version: int
    field: str


class Found(NamedTuple):
    """Where in the data a value begins, whose it is, and how it was written down."""

    at: int
    length: int
    secret: Secret
    encoding: str


class _Window(NamedTuple):
    before: int  # how many bytes before the window the form begins
    length: int
    digest: bytes
    secret: Secret
    encoding: str


class Finder:
    """Looks for many values at once, in about a second per 30 MB.

    A window of six bytes is known by Python's hash of it, which is keyed anew in each process (SipHash); the whole form by keyed BLAKE2b.
    Windows overlap so that it is enough to look at every third byte, or fewer if all values are long.
    """

    def __init__(self, values: Iterable[tuple[Secret, str | bytes]]) -> None:
        self.count, self.too_short, self.longest = 0, 0, 0
        self._key, self._windows = secrets.token_bytes(32), dict[int, tuple[_Window, ...]]()
        forms = [form for value in values for form in self._forms(*value)]
        self._step = min([_LARGEST_STEP, *(len(form) - _GRAM + 1 for _, _, form in forms)])
        for secret, encoding, form in forms:
            self._add(secret, encoding, form)

    def _forms(self, secret: Secret, value: str | bytes) -> list[tuple[Secret, str, bytes]]:
        if len(value) < SHORTEST:
            self.too_short += 1
            return []
        self.count += 1
        return [(secret, how, form) for how, form in encodings(value).items()]

    def _add(self, secret: Secret, encoding: str, form: bytes) -> None:
        self.longest, digest = max(self.longest, len(form)), self._digest(form)
        for before in range(self._step):
            window = hash(form[before : before + _GRAM])
            known = _Window(before, len(form), digest, secret, encoding)
            self._windows[window] = (*self._windows.get(window, ()), known)

    def _digest(self, data: bytes) -> bytes:
        return hashlib.blake2b(data, key=self._key, digest_size=16).digest()

    def search(self, data: bytes) -> Iterator[Found]:
        """Every place, in order; base64 that is broken into lines is also searched in one piece."""
        yield from self._in(data)
        for wrapped in _WRAPPED.finditer(data):
            for found in self._in(_BREAK.sub(b"", wrapped[0])):
                whole = len(wrapped[0])
                yield Found(wrapped.start(), whole, found.secret, f"{found.encoding}, in lines")

    def masked(self, text: str) -> str:
        """`text` with a mask in place of each value: the name of a file may be one."""
        data = text.encode("utf-8", "surrogateescape")
        for found in sorted(self.search(data), reverse=True):
            data = data[: found.at] + MASK.encode() + data[found.at + found.length :]
        return data.decode("utf-8", "surrogateescape")

    def _in(self, data: bytes) -> Iterator[Found]:
        windows = self._windows
        for at in [at for at in range(0, len(data) - _GRAM + 1, self._step) if hash(data[at : at + _GRAM]) in windows]:
            for window in windows[hash(data[at : at + _GRAM])]:
                start = at - window.before
                if start >= 0 and self._digest(data[start : start + window.length]) == window.digest:
                    yield Found(start, window.length, window.secret, window.encoding)
