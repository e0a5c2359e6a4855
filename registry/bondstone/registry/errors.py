"""Everything that bondstone raises, by what a caller would do about it.

    BondstoneError
    ├── NotFound            save it, or correct the name
    │   └── UnknownKind     correct the kind, or install what defines it
    ├── Conflict            load again and retry, or pass overwrite=True
    ├── InvalidName         correct the name
    ├── InvalidBlock        correct the fields
    │   └── InvalidClass    correct the class of your own kind (in bondstone.blocks.errors)
    ├── InvalidSettings     correct the BONDSTONE_ variables
    ├── MissingExtra        install an extra
    ├── NotSaved            save the block first
    ├── KeyMissing          bring the key back
    ├── WrongKey            bring the right key
    ├── KeyExposed          chmod 600
    ├── Unreadable          restore from a backup
    │   └── RolledBack      find out who set it back; after a restore run 'bondstone doctor --accept-restored'
    ├── UnsupportedFormat   install a newer bondstone
    ├── RegistryUnavailable try again, or correct where the registry lies
    ├── AccessDenied        correct the credential at its source
    ├── ServiceUnavailable  try again, or correct the endpoint
    ├── InvalidStatement    correct the SQL, or the values
    └── InvalidData         correct the data, as the line says

`code` is for machines and is never renamed; the list only grows. No message holds a value of a block.
"""

from typing import ClassVar


class BondstoneError(Exception):
    """The base of all. Its text is one line that says what to do."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1


class NotFound(BondstoneError, LookupError):
    """There is no such name, version or remote thing."""

    code = "not_found"
    exit_code = 3


class UnknownKind(NotFound):
    """No installed block class has this kind."""

    code = "unknown_kind"
    exit_code = 4


class Conflict(BondstoneError, ValueError):
    """The name is taken, or another writer was first; nothing was changed."""

    code = "conflict"
    exit_code = 5


class InvalidName(BondstoneError, ValueError):
    """Not a legal kind, name or reference."""

    code = "invalid_name"
    exit_code = 6


class InvalidBlock(BondstoneError, ValueError):
    """The fields do not make a block. Names the fields, never their values."""

    code = "invalid_block"
    exit_code = 7


class InvalidSettings(BondstoneError, ValueError):
    """A BONDSTONE_ variable, or an option that stands for one, cannot be used."""

    code = "invalid_settings"
    exit_code = 8


class MissingExtra(BondstoneError, ImportError):
    """An optional package is not installed."""

    code = "missing_extra"
    exit_code = 9


class NotSaved(BondstoneError, TypeError):
    """A block without a name was asked to travel as a reference."""

    code = "not_saved"
    exit_code = 10


class KeyMissing(BondstoneError, LookupError):
    """The registry exists and its key does not."""

    code = "key_missing"
    exit_code = 11


class WrongKey(BondstoneError, ValueError):
    """Another key than the one that sealed this."""

    code = "wrong_key"
    exit_code = 12


class KeyExposed(BondstoneError, PermissionError):
    """Others than the owner can read the key file."""

    code = "key_exposed"
    exit_code = 13


class Unreadable(BondstoneError, ValueError):
    """A record was changed, moved, cut or replaced outside bondstone. There is one text for all the ways."""

    code = "unreadable"
    exit_code = 14


class RolledBack(Unreadable):
    """The registry, or a name in it, is older than what was seen here before."""

    code = "rolled_back"
    exit_code = 19


class UnsupportedFormat(BondstoneError, ValueError):
    """Written by a newer bondstone."""

    code = "unsupported_format"
    exit_code = 15


class RegistryUnavailable(BondstoneError, OSError):
    """The registry cannot be opened, read or written just now."""

    code = "registry_unavailable"
    exit_code = 16


class AccessDenied(BondstoneError, PermissionError):
    """A service refused the credential."""

    code = "access_denied"
    exit_code = 17


class ServiceUnavailable(BondstoneError, ConnectionError):
    """A service did not answer."""

    code = "service_unavailable"
    exit_code = 18


class InvalidStatement(BondstoneError, ValueError):
    """A database cannot carry out a statement, or cannot hold its values. Shows no value."""

    code = "invalid_statement"
    exit_code = 20


class InvalidData(BondstoneError, ValueError):
    """The data does not go with what is stored. Names the variable, and what it is there and here."""

    code = "invalid_data"
    exit_code = 21
