"""The commands that bring blocks to other programs and from them: what each takes, and what its help says."""

from pathlib import Path
from typing import Annotated

import typer

from bondstone.cli.options import SETTINGS, Json

import_app = typer.Typer(
    help="Save what another program keeps as blocks.\n\n\b\nExample:\n  bondstone import dotenv .env",
    no_args_is_help=True,
    **SETTINGS,
)
export_app = typer.Typer(
    help="Write blocks for another program.\n\n\b\nExample:\n  bondstone export dotenv secret/token",
    no_args_is_help=True,
    **SETTINGS,
)

Files = Annotated[list[Path], typer.Argument(metavar="FILE", help="YAML that describes blocks.")]
Prune = Annotated[bool, typer.Option("--prune", help="Delete what is below a file's prefix and in no file.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be saved.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Save a new version of what is there and differs.")]


def add_to(app: typer.Typer) -> None:
    """Register them."""
    settings = {"allow_interspersed_args": False}  # what follows CMD belongs to CMD
    app.command("run", context_settings=settings)(run)
    app.command("render")(render)
    app.command("plan")(plan)
    app.command("apply")(apply)
    app.add_typer(import_app, name="import")
    app.add_typer(export_app, name="export")


def run(
    command: Annotated[list[str], typer.Argument(metavar="CMD", help="The program and its arguments, after --.")],
    files: Annotated[
        list[Path] | None,
        typer.Option("--env-file", metavar="FILE", show_default=False, help="Variables for it, as in a .env file."),
    ] = None,
    keep_key: Annotated[
        bool, typer.Option("--keep-key", help="Hand on BONDSTONE_KEY, BONDSTONE_PASSPHRASE and BONDSTONE_TOKEN.")
    ] = False,
    mask: Annotated[
        bool | None,
        typer.Option("--mask/--no-mask", show_default=False, help="Mask its output and errors, or nothing of them."),
    ] = None,
) -> None:
    """Run a program whose environment holds the values of references.

    Each variable that is bondstone://kind/name#field, or has ${bondstone://…} in it, gets the value, for the program alone.
    Where its errors do not go to a terminal, those values are masked in them.

    \b
    Example:
      bondstone run --env-file .env -- python flow.py
      TOKEN=bondstone://secret/token bondstone run -- python flow.py
    """
    from bondstone.cli.run import run

    raise typer.Exit(run(command, files or [], keep_key=keep_key, mask=mask))


def render(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .yaml, .toml, .json or .env file with references.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", show_default=False, help="Write there, mode 0600.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write even where Git would see it.")] = False,
) -> None:
    """Print a file with the values of its references; all else in it stays as it is.

    \b
    Example:
      bondstone render config.toml --out /run/user/1000/config.toml
    """
    from bondstone.cli.render import render

    render(file, out, force=force)


def plan(files: Files, prune: Prune = False, as_json: Json = False) -> None:
    """Show what 'apply' would do. Shows no values.

    \b
    Example:
      bondstone plan blocks.yaml
    """
    from bondstone.cli.apply import plan

    plan(files, prune=prune, as_json=as_json)


def apply(files: Files, prune: Prune = False, as_json: Json = False) -> None:
    """Save the blocks that files describe, where they differ from what is saved.

    \b
    Example:
      bondstone apply blocks.yaml
    """
    from bondstone.cli.apply import apply

    apply(files, prune=prune, as_json=as_json)


@import_app.command("dotenv")
def import_dotenv(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .env file.")],
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Save each variable of a .env file as a Secret.

    \b
    Example:
      bondstone import dotenv .env --dry-run
    """
    from bondstone.cli.imports import dotenv, imported

    imported(dotenv.found(file), overwrite=overwrite, dry_run=dry_run, as_json=as_json)


@import_app.command("airflow")
def import_airflow(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", show_default=False, help="A .env or JSON file of connections, or variables."),
    ] = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Save Airflow's connections and variables: those of a file, or AIRFLOW_CONN_… and AIRFLOW_VAR_… of the environment.

    \b
    Example:
      bondstone import airflow connections.json
    """
    from bondstone.cli.imports import airflow, imported

    imported(airflow.found(file), overwrite=overwrite, dry_run=dry_run, as_json=as_json)


@import_app.command("prefect")
def import_prefect(
    database: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", show_default=False, help="Its SQLite file; ~/.prefect/prefect.db otherwise."),
    ] = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Save the blocks in a database of Prefect. It is only read.

    \b
    Example:
      bondstone import prefect --dry-run
    """
    from bondstone.cli.imports import imported, prefect

    imported(prefect.found(database), overwrite=overwrite, dry_run=dry_run, as_json=as_json)


@import_app.command("aws-secrets-manager")
def import_aws(
    prefix: Annotated[
        str, typer.Option(metavar="PREFIX", show_default=False, help="Only secrets whose name begins so.")
    ] = "",
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Save the secrets of AWS Secrets Manager, with the account and region of your AWS settings.

    \b
    Example:
      bondstone import aws-secrets-manager --prefix prod/ --dry-run
    """
    from bondstone.cli.imports import aws, imported

    imported(aws.found(prefix), overwrite=overwrite, dry_run=dry_run, as_json=as_json)


@export_app.command("dotenv")
def export_dotenv(
    references: Annotated[
        list[str] | None,
        typer.Argument(metavar="[REF]", show_default=False, help="kind/name or kind/name#field; all blocks otherwise."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", show_default=False, help="Write there, mode 0600.")
    ] = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Values instead of references; wants --out.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write even where Git would see it.")] = False,
) -> None:
    """Write a .env file of references, one for each field, for 'bondstone run --env-file'.

    \b
    Example:
      bondstone export dotenv secret/token > .env
    """
    from bondstone.cli.exports import dotenv

    dotenv(references or [], out, reveal=reveal, force=force)
