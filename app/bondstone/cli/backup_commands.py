"""The commands that bring a whole registry elsewhere: what each takes, and what its help says."""

from pathlib import Path
from typing import Annotated

import typer

Secretly = Annotated[
    str | None,
    typer.Option(
        "--passphrase", metavar="SOURCE", show_default=False, help="@FILE or - (standard input); asked otherwise."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Register them."""
    for command in (backup, restore, copy):
        app.command()(command)


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that does not exist yet.")],
    key: Annotated[
        Path | None,
        typer.Option("--key-file", metavar="PATH", show_default=False, help="Seal for this key file; made if missing."),
    ] = None,
    passphrase: Secretly = None,
) -> None:
    """Write the whole registry to one sealed file.

    It opens with a passphrase, or a key file, of its own.

    \b
    Example:
      bondstone backup /mnt/backups/bondstone-2026-11-21 --key-file ~/recovery/key
    """
    from bondstone.cli.backup import backup

    backup(file, key, passphrase)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What 'bondstone backup' wrote.")],
    key: Annotated[
        Path | None,
        typer.Option("--key-file", metavar="PATH", show_default=False, help="The key file that it was sealed for."),
    ] = None,
    passphrase: Secretly = None,
) -> None:
    """Make a new registry, at BONDSTONE_REGISTRY, of a backup.

    Versions, heads and times stay; its id and its root keys are new. A registry that is there is never written over.

    \b
    Example:
      bondstone restore /mnt/backups/bondstone-2026-11-21 --key-file ~/recovery/key
    """
    from bondstone.cli.backup import restore

    restore(file, key, passphrase)


def copy(
    to: Annotated[str, typer.Option(metavar="URL", help="Where the new registry is to be.")],
    key: Annotated[
        Path | None,
        typer.Option(
            "--key-file", metavar="PATH", show_default=False, help="Its key file; this registry's key otherwise."
        ),
    ] = None,
) -> None:
    """Make a new registry of this one, such as in PostgreSQL.

    \b
    Example:
      bondstone copy --to postgresql+psycopg://bondstone@db.example.org/bondstone
    """
    from bondstone.cli.backup import copy

    copy(to, key)
