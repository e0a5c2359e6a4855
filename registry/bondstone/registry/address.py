"""Where a PostgreSQL registry is, read from a URL as SQLAlchemy writes it, without SQLAlchemy."""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

SERVERS = ("postgresql+psycopg", "postgresql")

# What may stand behind the "?": libpq's own names. No password: an address is shown.
_OPTIONS = {
    "application_name", "connect_timeout", "gssencmode", "keepalives_count", "keepalives_idle", "keepalives_interval",
    "options", "passfile", "sslcert", "sslkey", "sslmode", "sslrootcert", "target_session_attrs", "tcp_user_timeout",
}  # fmt: skip


class Address(NamedTuple):
    """How to reach a server."""

    url: str  # without the password: fit to be shown and to travel
    parameters: Mapping[str, str]  # libpq's, with the password if the URL had one

    def __repr__(self) -> str:
        return f"Address({self.url!r})"


def server_address(url: str) -> Address | None:
    """Where the server is; None for what is no URL of one, or can be read in two ways: a part of a password must not end in a name."""
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=True, keep_blank_values=True)) if parts.query else {}
        port = parts.port
    except ValueError:
        return None
    database = parts.path.removeprefix("/")
    if not _plain(url, parts) or not database or not options.keys() <= _OPTIONS:
        return None
    user, password, host = map(unquote, (parts.username or "", parts.password or "", parts.hostname or ""))
    named = {"user": user, "password": password, "host": host, "port": str(port or ""), "dbname": unquote(database)}
    where = (quote(user, safe="") + "@" if user else "") + (f"[{host}]" if ":" in host else quote(host, safe=""))
    where += f":{port}" if port else ""
    query = f"?{urlencode(options)}" if options else ""
    shown = f"postgresql+psycopg://{where}/{quote(unquote(database), safe='')}{query}"
    return Address(shown, {name: value for name, value in {**named, **options}.items() if value})


def _plain(url: str, parts: SplitResult) -> bool:
    """Whether nothing in it was taken for another part than was meant, as a password with an "@" or a "/" in it would be."""
    printable = re.fullmatch(r"[!-~\u00a1-\uffff]+", url) is not None
    return (
        parts.scheme in SERVERS and url.startswith(f"{parts.scheme}://") and printable
        and url.count("@") <= 1 and ("@" not in url or "@" in parts.netloc)
        and parts.netloc.count(":") - (parts.hostname or "").count(":") <= 2
        and "/" not in parts.path[1:] and not parts.fragment and "#" not in url
    )  # fmt: skip
