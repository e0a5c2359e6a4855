"""The secret values that this process has met, so that `bondstone.blocks.redact` can mask them."""

from collections.abc import Iterator

from bondstone.blocks.encodings import SHORTEST

_MOST = 10_000  # values; of more the oldest are forgotten
_LINE = 16  # characters; a key in PEM form may be shown line by line

_values: dict[str | bytes, None] = {}
_noted = 0


def note(value: object) -> None:
    """Remember a value: a text, bytes, or the texts inside a JSON value. What has less than 8 characters is not masked."""
    if isinstance(value, str | bytes):
        if value not in _values and len(value) >= SHORTEST:
            _add(value)
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            note(item)


def count() -> int:
    """How many have been noted so far: it grows whenever there is something new."""
    return _noted


def values() -> list[str | bytes]:
    """All that are remembered, the oldest first."""
    return list(_values)


def _add(value: str | bytes) -> None:
    global _noted
    for piece in (value, *(_lines(value) if isinstance(value, str) else ())):
        _values[piece] = None
        _noted += 1
    while len(_values) > _MOST:
        _values.pop(next(iter(_values)), None)


def _lines(text: str) -> Iterator[str]:
    if "\n" in text:
        yield from (line for line in text.splitlines() if len(line) >= _LINE and not line.startswith("-----"))
