"""`bondstone audit` and its commands: what each takes, and what its help says."""

from pathlib import Path
from typing import Annotated

import typer

from bondstone.cli import completion
from bondstone.cli.options import SETTINGS, Json, Offset

audit_app = typer.Typer(name="audit", **SETTINGS)


@audit_app.callback(invoke_without_command=True)
def audit(
    context: typer.Context,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", show_default=False, help="From then on: 2026-11-21, 2026-11-21T12:00, 15m, 2h, 7d."
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            "--ref",
            metavar="KIND/NAME",
            show_default=False,
            help="Of this block only.",
            autocompletion=completion.whole_names,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="At most this many.")] = 50,
    offset: Offset = 0,
    as_json: Json = False,
) -> None:
    """Who did what to which block, and how it ended; newest first.

    \b
    Example:
      bondstone audit --limit 10
      bondstone audit --ref aws-credentials/prod --since 7d
      bondstone audit verify
    """
    if context.invoked_subcommand is None:
        from bondstone.cli.audit import audit

        audit(since, reference, limit, offset, as_json=as_json)


@audit_app.command("verify")
def audit_verify(
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="FILE", show_default=False, help="What 'audit checkpoint' printed before.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Prove that no row of the audit log was changed, added or deleted.

    The exit code is 1 if one was. That rows were cut off the end is seen only with a checkpoint.

    \b
    Example:
      bondstone audit verify --checkpoint audit-checkpoint.json
    """
    from bondstone.cli.audit import verify

    verify(checkpoint, as_json=as_json)


@audit_app.command("checkpoint")
def audit_checkpoint() -> None:
    """Print where the audit log ends now, in one line, to be kept where the registry is not.

    \b
    Example:
      bondstone audit checkpoint > audit-checkpoint.json
    """
    from bondstone.cli.audit import checkpoint

    checkpoint()
