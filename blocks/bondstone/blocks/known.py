"""The secret values that this process has met, so that `bondstone.blocks.redact` can mask them."""

from collections.abc import Iterator

from bondstone.blocks.encodings import SHORTEST

_MOST = 10_000  # values; of more the oldest are forgotten
_LINE = 16  # characters; a key in PEM form may be shown line by line

_values: dict[str | bytes, None] = {}
_noted = 0


def note(value: object) -> None:
    """Remember a value: a text, bytes, or the texts and long numbers inside a JSON value. Of less than 8 characters it is not masked."""
    if isinstance(value, str | bytes):
        if value not in _values and len(value) >= SHORTEST:
            _add(value)
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            note(item)
    elif isinstance(value, int | float):
        note(str(value))


def count() -> int:
    """How many have been noted so far: it grows whenever there is something new."""
    return _noted


def values() -> list[str | bytes]:
    """All that are remembered, the oldest first."""
    return list(_values)


def _add(value: str | bytes) -> None:
    global _noted
    for piece in (value, *(_parts(value) if isinstance(value, str) else ())):
        _values[piece] = None
        _noted += 1
    while len(_values) > _MOST:
        _values.pop(next(iter(_values)), None)


def _parts(text: str) -> Iterator[str]:
    """The lines of a key in PEM form; of a URL what clients show, which is its path."""
    if "://" in text and len(path := "/" + text.partition("://")[2].partition("/")[2]) > SHORTEST:
        yield path
    if "\n" in text:
        yield from (line for line in text.splitlines() if len(line) >= _LINE and not line.startswith("-----"))
