"""The errors: what each derives from, and the codes that machines hold on to."""

import builtins
from collections.abc import Iterator

import pytest

import bondstone.blocks
import bondstone.registry
from bondstone.blocks.errors import InvalidClass
from bondstone.registry import BondstoneError, NoRegistry, UnknownKind, errors

# Written out, not derived: a code or an exit code that changes breaks somebody's script. Lines are only ever added.
CODES = {
    "NotFound": ("not_found", 3, LookupError),
    "UnknownKind": ("unknown_kind", 4, LookupError),
    "Conflict": ("conflict", 5, ValueError),
    "InvalidName": ("invalid_name", 6, ValueError),
    "InvalidBlock": ("invalid_block", 7, ValueError),
    "InvalidSettings": ("invalid_settings", 8, ValueError),
    "MissingExtra": ("missing_extra", 9, ImportError),
    "NotSaved": ("not_saved", 10, TypeError),
    "KeyMissing": ("key_missing", 11, LookupError),
    "WrongKey": ("wrong_key", 12, ValueError),
    "KeyExposed": ("key_exposed", 13, PermissionError),
    "Unreadable": ("unreadable", 14, ValueError),
    "UnsupportedFormat": ("unsupported_format", 15, ValueError),
    "RegistryUnavailable": ("registry_unavailable", 16, OSError),
    "RolledBack": ("rolled_back", 19, ValueError),
    "AccessDenied": ("access_denied", 17, PermissionError),
    "ServiceUnavailable": ("service_unavailable", 18, ConnectionError),
    "InvalidStatement": ("invalid_statement", 20, ValueError),
    "InvalidData": ("invalid_data", 21, ValueError),
}


def below(cls: type[BondstoneError]) -> Iterator[type[BondstoneError]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from below(sub)


def listed() -> list[type[BondstoneError]]:
    return [value for value in vars(errors).values() if isinstance(value, type) and value is not BondstoneError]


@pytest.mark.parametrize("name", CODES)
def test_an_error_keeps_its_code(name: str) -> None:
    """Code, exit code and built-in parent are as they were; the class is importable from both rooms."""
    cls = getattr(errors, name)
    code, exit_code, parent = CODES[name]

    assert (cls.code, cls.exit_code) == (code, exit_code)
    assert issubclass(cls, parent)
    assert parent.__name__ in dir(builtins)
    assert issubclass(cls, BondstoneError)
    assert getattr(bondstone.registry, name) is getattr(bondstone.blocks, name) is cls
    assert name in bondstone.registry.__all__
    assert name in bondstone.blocks.__all__


def test_the_list_is_complete() -> None:
    """Every error class is in this list, and in the tree at the top of its module."""
    tree = errors.__doc__ or ""

    assert {cls.__name__ for cls in listed()} == set(CODES)
    assert all(f" {name} " in tree for name in CODES)


def test_codes_are_unique() -> None:
    """No two classes of the list share a code or an exit code; exit codes leave 0, 1 and 2 to others."""
    assert len({cls.code for cls in listed()}) == len(CODES)
    exits = {cls.exit_code for cls in listed()}
    assert len(exits) == len(CODES)
    assert min(exits) > 2


def test_every_class_has_its_own_words() -> None:
    """Whoever derives from one, here or in another room, says what it means."""
    assert all(cls.__doc__ and cls.__doc__ != (cls.__bases__[0].__doc__) for cls in below(BondstoneError))
    assert issubclass(InvalidClass, TypeError)
    assert UnknownKind in below(errors.NotFound)
    assert NoRegistry in below(errors.NotFound)


def test_errors_are_one_line() -> None:
    """What is raised in ordinary use is one line that says what to do."""
    with pytest.raises(BondstoneError) as caught:
        bondstone.blocks.Secret.load("nothing")

    assert len(str(caught.value).splitlines()) == 1
