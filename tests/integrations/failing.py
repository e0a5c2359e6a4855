"""How the tests of tasks look at an error."""

from collections.abc import Callable

import pytest

from bondstone.blocks import BondstoneError


def fails(kind: type[BondstoneError], call: Callable[[], object]) -> str:
    """The text of the error, which is one line and has no vendor's error behind it."""
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    text = str(caught.value)
    assert "\n" not in text
    return text
