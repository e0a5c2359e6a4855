"""Text without secrets, for what leaves the process to be read by people."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

from pydantic import BaseModel

from bondstone.blocks import SecretData, SecretStr
from bondstone.blocks.errors import strings
from bondstone.blocks.loading import loaded
from bondstone.blocks.secret_values import MASK

_SHORTEST = 4  # characters; less stands in any text by chance
_SHORTEST_PATH = 8  # a key is longer


def redacted(message: Any) -> Any:
    """`message`, JSON values, with a mask in place of every secret that this process has loaded, however it was quoted."""
    values = sorted(_values(), key=len, reverse=True)  # of two that overlap the longer one first
    return _without(message, re.compile("|".join(map(re.escape, values)))) if values else message


def _without(message: Any, secrets: re.Pattern[str]) -> Any:
    if isinstance(message, Mapping):
        return {_without(str(name), secrets): _without(item, secrets) for name, item in message.items()}
    if isinstance(message, list | tuple):
        return [_without(item, secrets) for item in message]
    if isinstance(message, str):
        return secrets.sub(MASK, message)
    return MASK if secrets.search(str(message)) else message


def _values() -> set[str]:
    found = {text for block in list(loaded.values()) for text in secrets_of(block)}
    return {form for text in found for form in _forms(text) if len(form) >= _SHORTEST}


def secrets_of(value: object) -> Iterator[str]:
    """The texts of the secret fields of a block, and of those in it."""
    if isinstance(value, SecretStr | SecretData):
        yield from strings(value)
    elif isinstance(value, BaseModel | Mapping):
        items = value.__dict__ if isinstance(value, BaseModel) else value
        for item in items.values():
            yield from secrets_of(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from secrets_of(item)


def _forms(text: str) -> Iterator[str]:
    """As it stands in messages: plain, in JSON or a repr, in a URL; of a URL also what clients show, which is its path."""
    yield from (text, json.dumps(text)[1:-1], repr(text)[1:-1], quote(text, safe=""), quote_plus(text))
    if "://" in text and len(path := text.partition(urlsplit(text).netloc)[2]) > _SHORTEST_PATH:
        yield path
