"""The page of the environment variables."""

from bondstone.cli.reference import NOTICE
from bondstone.registry import Settings

_INTRODUCTION = """# Settings

These environment variables, and nothing else. At most one of the three that name a key is set.

| variable | what it is | when it is not set |
| --- | --- | --- |
"""
_TEXTS = {
    "registry": (
        "URL of the registry: `sqlite:///path`, `sqlite:////absolute/path` or `postgresql+psycopg://user@host:port/database`",
        "`registry.db` in the user's data folder (`~/.local/share/bondstone`)",
    ),
    "key_file": (
        "Path of a file with the key or its address, mode 0600, not beside the data",
        "`key` in the user's configuration folder (`~/.config/bondstone`), made by the first save",
    ),
    "key": ("The key, 43 characters, or its address: `keyring:ID`, `aws-kms:ARN`, `vault:MOUNT/NAME`", "the key file"),
    "passphrase": ("A passphrase that opens the registry", "the key file"),
}


def pages() -> dict[str, str]:
    """One page for all. A `KeyError` if a setting has no text."""
    rows = [f"| `BONDSTONE_{name.upper()}` | {' | '.join(_TEXTS[name])} |\n" for name in Settings._fields]
    return {"settings.md": NOTICE + _INTRODUCTION + "".join(rows)}
