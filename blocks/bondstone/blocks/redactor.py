"""Finds many values in a text at once, in every encoding."""

import threading
from collections.abc import Callable

from bondstone.blocks import known
from bondstone.blocks.encodings import encodings
from bondstone.blocks.secret_values import MASK

# A form of 8 characters has a gram of 6 at each of 3 places next to each other, and we look at every third.
_GRAM, _STEP = 6, 3


class Redactor:
    """Masks values in texts: `Redactor()(text)`. It takes about 10 µs for a line of 200 characters, whatever the number of secrets."""

    def __init__(self, values: Callable[[], list[str | bytes]] = known.values, count: Callable[[], int] = known.count):
        self._values, self._count = values, count
        self._known: set[str | bytes] = set()
        self._seen, self._lock = -1, threading.Lock()
        self._grams: dict[str, tuple[tuple[int, str], ...]] = {}  # what begins how many characters before a gram

    def __call__(self, text: str) -> str:
        """`text` with a mask in place of every secret."""
        if self._seen != self._count():
            self._learn()
        grams = self._grams
        found = [at for at in range(0, len(text) - _GRAM + 1, _STEP) if text[at : at + _GRAM] in grams]
        return self._masked(text, found) if found else text

    def _learn(self) -> None:
        with self._lock:
            seen = self._count()
            for value in self._values():
                if value not in self._known:
                    self._known.add(value)
                    for form in encodings(value).values():
                        self._add(_text(form))
            self._seen = seen

    def _add(self, form: str) -> None:
        for before in range(_STEP):
            gram = form[before : before + _GRAM]
            self._grams[gram] = (*self._grams.get(gram, ()), (before, form))

    def _masked(self, text: str, found: list[int]) -> str:
        spans = sorted(
            (at - before, at - before + len(form))
            for at in found
            for before, form in self._grams[text[at : at + _GRAM]]
            if at >= before and text.startswith(form, at - before)
        )
        pieces, end = [], 0
        for start, stop in spans:
            if start >= end:
                pieces += [text[end:start], MASK]
            end = max(end, stop)
        return "".join((*pieces, text[end:]))


def _text(form: bytes) -> str:
    try:
        return form.decode()
    except UnicodeDecodeError:
        return form.decode("latin-1")
