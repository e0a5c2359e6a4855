"""What more than one group of commands takes, and what all groups are set to."""

from typing import Annotated, Any

import typer

from bondstone.cli import output

SETTINGS: dict[str, Any] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": "rich" if output.terminal() else None,  # plain in a pipe, and 70 ms sooner
    "context_settings": {"help_option_names": ["-h", "--help"]},
}

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Offset = Annotated[int, typer.Option(min=0, metavar="N", help="Leave out this many first.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
