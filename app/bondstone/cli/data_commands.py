"""The commands of versioned data: what each takes, and what its help says."""

from typing import Annotated

import typer

from bondstone.cli import completion
from bondstone.cli.options import Json, Yes

Repo = Annotated[
    str,
    typer.Argument(
        metavar="REPO",
        help="A repository: the name of an icechunk-repo block, or arraylake-repo/NAME.",
        autocompletion=completion.whole_names,
    ),
]


def add_to(app: typer.Typer) -> None:
    """Register them."""
    app.command("log")(log)
    app.command("diff")(diff)
    app.command("rollback-data")(rollback_data)


def log(
    repo: Repo,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most this many.")] = 20,
    as_json: Json = False,
) -> None:
    """List the versions of a repository, newest first.

    \b
    Example:
      bondstone log ocean --limit 5
    """
    from bondstone.cli.data import log

    log(repo, limit=limit, as_json=as_json)


def diff(
    repo: Repo,
    old: Annotated[str, typer.Argument(metavar="OLD", help="A snapshot or tag.")],
    new: Annotated[
        str | None,
        typer.Argument(metavar="NEW", show_default=False, help="A later one; what the branch shows if not given."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List what changed between two versions of a repository: groups, arrays, and how many chunks.

    \b
    Example:
      bondstone diff ocean released/2026-10 released/2026-11
    """
    from bondstone.cli.data import diff

    diff(repo, old, new, as_json=as_json)


def rollback_data(
    repo: Repo,
    to: Annotated[str, typer.Option("--to", metavar="VERSION", help="A snapshot or tag, as 'log' lists them.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Let a repository's branch show an earlier version again, for all who read it; says how to undo that.

    \b
    Example:
      bondstone rollback-data ocean --to released/2026-10
    """
    from bondstone.cli.data import rollback_data

    rollback_data(repo, to, yes=yes, as_json=as_json)
