"""The commands about who may have seen a secret: what each takes, and what its help says."""

from pathlib import Path
from typing import Annotated

import typer

from bondstone.cli import completion
from bondstone.cli.options import Json


def add_to(app: typer.Typer) -> None:
    """Register them."""
    for command in (scan, who, mask):
        app.command()(command)


def scan(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", show_default=False, help="Files and folders.")
    ] = None,
    environment: Annotated[bool, typer.Option("--env", help="The environment of this shell.")] = False,
    processes: Annotated[
        bool, typer.Option("--processes", help="Arguments and environments of all processes that may be read.")
    ] = False,
    prefect: Annotated[
        Path | None, typer.Option("--prefect-db", metavar="FILE", show_default=False, help="A database of Prefect.")
    ] = None,
    git: Annotated[
        bool, typer.Option("--git", help="The whole Git history of each PATH, or of the current folder.")
    ] = False,
    github: Annotated[bool, typer.Option("--github", help="Print annotations for GitHub Actions.")] = False,
    as_json: Json = False,
) -> None:
    """Find the secrets of saved blocks where they must not be: raw, or as base64, hex, URL, JSON or UTF-16.

    The exit code is 1 if there is one. No value is printed, and none is kept: they are looked for by fingerprints.

    \b
    Example:
      bondstone scan . logs/ --git --env
    """
    from bondstone.cli.scan import Places, scan

    scan(Places(tuple(paths or ()), environment, processes, prefect, git), github=github, as_json=as_json)


def who(
    reference: Annotated[
        str, typer.Argument(metavar="KIND/NAME", help="The name of a block.", autocompletion=completion.whole_names)
    ],
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", show_default=False, help="From then on: 2026-11-21, 15m, 2h, 7d."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Who has loaded a block, which version last, by which run; and what else holds it.

    Those would break if it went, and have seen what it holds.

    \b
    Example:
      bondstone who aws-credentials/prod --since 7d
    """
    from bondstone.cli.who import who

    who(reference, since, as_json=as_json)


def mask(
    references: Annotated[
        list[str],
        typer.Argument(metavar="KIND/NAME...", help="Names of blocks.", autocompletion=completion.whole_names),
    ],
) -> None:
    """Have a runner of GitHub Actions mask the secrets of blocks in the logs of all later steps.

    Its commands hold the values, so they are printed only where GITHUB_ACTIONS is 'true', and to no terminal or file.

    \b
    Example:
      bondstone mask secret/token database-credentials/dwh
    """
    from bondstone.cli.mask import mask

    mask(references)
