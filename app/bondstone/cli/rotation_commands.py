"""The commands of a rotation: what each takes, and what its help says."""

from typing import Annotated

import typer

from bondstone.cli.options import Json, Yes

Name = Annotated[str, typer.Argument(metavar="KIND/NAME", help="The block, such as aws-credentials/prod.")]


def add_to(app: typer.Typer) -> None:
    """Register them."""
    for command in (rotate, rollback, verify, rotations):
        app.command()(command)


def rotate(
    name: Annotated[
        str | None,
        typer.Argument(metavar="KIND/NAME", show_default=False, help="The block, such as aws-credentials/prod."),
    ] = None,
    fields: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FIELD", help="Of a credential made by hand: name=@FILE, name=- (standard input), or name: asks."
        ),
    ] = None,
    grace: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            show_default=False,
            help="How long the old one stays good; as long as it may be in use if not given.",
        ),
    ] = None,
    compromised: Annotated[
        bool, typer.Option("--compromised", help="Retire the old one at once, whatever still uses it.")
    ] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Retire the old one, now that its grace is over.")] = False,
    due: Annotated[
        bool, typer.Option("--due", help="Do that for every block, and go on with what was interrupted.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Replace a credential at its source, prove the new one, and make it current; nothing that uses it by name fails.

    The old one stays good for a grace, then 'rotate --finish' or 'rotate --due' (from cron) retires it. After an interruption,
    run the same again.

    \b
    Example:
      bondstone rotate aws-credentials/prod
      bondstone rotate arraylake-token/prod token=@new-token.txt
      bondstone rotate --due
    """
    from bondstone.cli.rotation import rotate

    rotate(name, fields or [], grace=grace, compromised=compromised, finish=finish, due=due, yes=yes, as_json=as_json)


def rollback(name: Name, as_json: Json = False) -> None:
    """Go back to the previous version, or undo a rotation that did not come to its end.

    Possible as long as the previous credential lives.

    \b
    Example:
      bondstone rollback aws-credentials/prod
    """
    from bondstone.cli.rotation import rollback

    rollback(name, as_json=as_json)


def verify(
    reference: Annotated[str, typer.Argument(metavar="REF", help="kind/name or kind/name@3.")], as_json: Json = False
) -> None:
    """Ask the vendor whether a credential is good, and say what that proves.

    \b
    Example:
      bondstone verify s3-bucket/reports
    """
    from bondstone.cli.rotation import verify

    verify(reference, as_json=as_json)


def rotations(as_json: Json = False) -> None:
    """List every block with the age of its credential, and what its rotation waits for.

    \b
    Example:
      bondstone rotations
    """
    from bondstone.cli.rotation import rotations

    rotations(as_json=as_json)
