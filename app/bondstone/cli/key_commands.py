"""The commands of `bondstone key`: what each takes, and what its help says."""

from pathlib import Path
from typing import Annotated

import typer

from bondstone.cli.options import SETTINGS, Json, Yes

key_app = typer.Typer(
    name="key",
    help="Who can open the registry: its slots and root keys.\n\n\b\nExample:\n  bondstone key ls",
    no_args_is_help=True,
    **SETTINGS,
)

Given = Annotated[
    list[str] | None,
    typer.Option(
        "--with", metavar="KEY", help="A key besides that of the settings: key-file:PATH, aws-kms:ARN, passphrase …"
    ),
]


@key_app.command("ls")
def ls(as_json: Json = False) -> None:
    """List the slots: each holds the root keys for one key that opens the registry.

    \b
    Example:
      bondstone key ls
    """
    from bondstone.cli.key import ls

    ls(as_json=as_json)


@key_app.command("add")
def add(
    key: Annotated[
        str,
        typer.Argument(metavar="KEY", help="key-file:PATH, keyring:, aws-kms:ARN, vault:MOUNT/NAME or passphrase."),
    ],
    slot: Annotated[str | None, typer.Option(metavar="NAME", show_default=False, help="What to call it.")] = None,
) -> None:
    """Let another key open the registry too.

    \b
    Example:
      bondstone key add key-file:/media/stick/bondstone-key
      bondstone key add aws-kms:arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab
    """
    from bondstone.cli.key import add

    add(key, slot)


@key_app.command("rotate")
def rotate(
    given: Given = None,
    drop: Annotated[
        list[str] | None, typer.Option("--drop-slot", metavar="SLOT", help="Remove this slot, whose key is not here.")
    ] = None,
    compromised: Annotated[
        bool, typer.Option("--compromised", help="Also list every credential to replace at its source.")
    ] = False,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="Remove the old root key even if records do not open.")
    ] = False,
) -> None:
    """Replace the root key, and seal everything again. Run it again if it was interrupted.

    \b
    Example:
      bondstone key rotate --with passphrase
    """
    from bondstone.cli.key import rotate

    rotate(given or [], drop or [], compromised=compromised, give_up=give_up)


@key_app.command("remove")
def remove(
    slot: Annotated[str, typer.Argument(metavar="SLOT", help="Its name, as 'key ls' shows it.")], yes: Yes = False
) -> None:
    """Remove a slot: its key opens the registry no more.

    \b
    Example:
      bondstone key remove primary --yes
    """
    from bondstone.cli.key import remove

    remove(slot, yes=yes)


@key_app.command("export-recovery")
def export_recovery(
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", show_default=False, help="Write the key to this new file, mode 0600.")
    ] = None,
    passphrase: Annotated[bool, typer.Option("--passphrase", help="Ask for a passphrase instead.")] = False,
) -> None:
    """Make a recovery key, which opens the registry when the other key is lost.

    \b
    Example:
      bondstone key export-recovery --to /media/stick/recovery-key
    """
    from bondstone.cli.key import export_recovery

    export_recovery(to, passphrase=passphrase)


@key_app.command("check")
def check(given: Given = None, as_json: Json = False) -> None:
    """Prove each slot that can be opened here. The exit code is 1 if one does not open with its own key.

    \b
    Example:
      bondstone key check --with key-file:/media/stick/recovery-key
    """
    from bondstone.cli.key import check

    check(given or [], as_json=as_json)
