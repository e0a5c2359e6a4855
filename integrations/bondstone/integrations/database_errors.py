"""What a database's errors mean, without the values that drivers put into them."""

from collections.abc import Iterable
from typing import Any

from bondstone.blocks import AccessDenied, BondstoneError, Conflict, InvalidStatement, NotFound, ServiceUnavailable
from bondstone.blocks.redact import redact

_NO_TABLE = "no such table"
# By how a code begins. Sources: PostgreSQL documentation, appendix A; SQLite documentation, "Result and Error Codes".
_DENIED = ("28", "42501", "SQLITE_AUTH", "SQLITE_READONLY")
_MISSING = ("3F", "42P01", _NO_TABLE)
_REFUSED = ("23", "40", "42P07", "SQLITE_CONSTRAINT", "IntegrityError")
_FAILED = (
    *("08", "53", "57", "58", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR"),
    *("OperationalError", "InterfaceError", "TimeoutError"),
)
_OF_VALUES = "22"


def told(error: Exception, block: str, values: Iterable[Any]) -> BondstoneError:
    """Of an error of SQLAlchemy's, or one of pandas' around it, or a driver's, for a statement that was sent with `values`."""
    error = error.__cause__ if isinstance(error.__cause__, Exception) and not hasattr(error, "orig") else error
    code = _code(error)
    shown = f"{code}{_text(error, code, values)}"
    if code.startswith(_DENIED):
        return AccessDenied(f"the database of {block} does not permit this ({shown}): grant it to its user")
    if code.startswith(_MISSING):
        return NotFound(f"the database of {block} has no such table or schema ({shown}): make it, or correct the name")
    if code.startswith(_REFUSED):
        return Conflict(f"the database of {block} refused the rows, and nothing was changed ({shown})")
    if code.startswith(_FAILED):
        return ServiceUnavailable(f"the database of {block} failed ({shown}): try again, or correct the block")
    return InvalidStatement(f"the database of {block} cannot do this ({shown}): correct the statement or its values")


def _code(error: Any) -> str:
    """The server's code for it, else the class of the error."""
    original = getattr(error, "orig", None)
    if _NO_TABLE in str(original):  # SQLite has the same code for nearly everything
        return _NO_TABLE
    return getattr(original, "sqlstate", None) or getattr(original, "sqlite_errorname", None) or type(error).__name__


def _text(error: Any, code: str, values: Iterable[Any]) -> str:
    """What the database says, where that is known to name tables and columns only; with none of `values` in it."""
    original: Any = getattr(error, "orig", None)
    module = type(original).__module__.partition(".")[0]
    if module == "psycopg":
        text = original.diag.message_primary or ""
    else:
        text = str(original).partition("\n")[0] if module in ("sqlite3", "sqlalchemy") else ""
    if not text or code.startswith(_OF_VALUES) or any(str(value) in text for value in values):
        return ""
    return f": {redact(text)}"
