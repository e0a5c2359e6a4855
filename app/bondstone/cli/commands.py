"""The commands: what each takes, and what its help says. The work is in the modules, which are imported when they are needed."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from bondstone.cli import (
    backup_commands,
    completion,
    data_commands,
    flow_commands,
    leak_commands,
    output,
    rotation_commands,
)
from bondstone.cli.audit_commands import audit_app
from bondstone.cli.key_commands import key_app
from bondstone.cli.options import SETTINGS, Json, Offset, Yes


class InOrder(TyperGroup):
    """The commands in the order of use; typer puts those that have commands of their own in front."""

    ORDER = (
        "init",
        "save",
        "show",
        "ls",
        "history",
        "rm",
        "types",
        "rotate",
        "rollback",
        "verify",
        "rotations",
        "log",
        "diff",
        "rollback-data",
        "run",
        "render",
        "plan",
        "apply",
        "import",
        "export",
        "audit",
        "who",
        "scan",
        "mask",
        "key",
        "backup",
        "restore",
        "copy",
        "doctor",
        "completion",
        "demo",
    )

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: self.commands[name] for name in self.ORDER if name in self.commands} | dict(
            self.commands
        )


app = typer.Typer(name="bondstone", cls=InOrder, **SETTINGS)
app.add_typer(audit_app)
app.add_typer(key_app)
rotation_commands.add_to(app)
flow_commands.add_to(app)
backup_commands.add_to(app)
leak_commands.add_to(app)
data_commands.add_to(app)

Ref = Annotated[
    str,
    typer.Argument(metavar="REF", help="kind/name, kind/name@3 or kind/name#field.", autocompletion=completion.names),
]
Whole = Annotated[
    str, typer.Argument(metavar="KIND/NAME", help="The name of a block.", autocompletion=completion.whole_names)
]
Limit = Annotated[int | None, typer.Option(min=0, metavar="N", show_default=False, help="At most this many.")]


def _version(asked: bool) -> None:
    if asked:
        from bondstone.cli.faults import program_version

        output.emit(f"bondstone {program_version()}\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Keep the credentials of data flows as typed, encrypted blocks.

    \b
    Example:
      bondstone save secret/arraylake-token value
      bondstone show secret/arraylake-token
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def init(
    max_ttl: Annotated[
        int | None,
        typer.Option(min=1, metavar="SECONDS", show_default=False, help="Longest staleness that handles may allow."),
    ] = None,
) -> None:
    """Make the registry and its key, or say where they are.

    \b
    Example:
      bondstone init --max-ttl 300
    """
    from bondstone.cli.init import init

    init(max_ttl)


@app.command()
def save(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND/NAME",
            show_default=False,
            help="What to call it, such as secret/token; asked for if left out.",
            autocompletion=completion.new_names,
        ),
    ] = None,
    fields: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FIELD",
            help="name=value, name=@FILE, name=- (standard input), or name: asks.",
            autocompletion=completion.fields,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Save a new version of a taken name.")] = False,
) -> None:
    """Save a block under a name.

    A secret field is never name=value, since others can read the command line: give name=@FILE, name=- or name alone.
    A field that holds a block takes a reference to a saved one. Without any field, on a terminal, each is asked for.

    \b
    Example:
      bondstone save secret/arraylake-token value=@token.txt
      bondstone save aws-credentials/prod access_key_id=AKIAIOSFODNN7EXAMPLE secret_access_key
      bondstone save s3-bucket/reports bucket=reports credentials=aws-credentials/prod
    """
    from bondstone.cli.save import save

    save(name, fields or [], overwrite=overwrite)


@app.command()
def show(
    reference: Ref,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show secrets, which are masked otherwise.")] = False,
    as_json: Json = False,
) -> None:
    """Show a block, or one of its fields by itself, fit for a pipe.

    \b
    Example:
      bondstone show aws-credentials/prod
      bondstone show aws-credentials/prod@2 --json
      bondstone show aws-credentials/prod#secret_access_key --reveal
    """
    from bondstone.cli.show import show

    show(reference, reveal=reveal, as_json=as_json)


@app.command()
def ls(
    kind: Annotated[
        str | None,
        typer.Option(metavar="KIND", show_default=False, help="Of this kind only.", autocompletion=completion.kinds),
    ] = None,
    limit: Limit = None,
    offset: Offset = 0,
    as_json: Json = False,
) -> None:
    """List the saved blocks, by kind, then name.

    \b
    Example:
      bondstone ls --kind s3-bucket --limit 20
    """
    from bondstone.cli.listings import ls

    ls(kind, limit, offset, as_json=as_json)


@app.command()
def history(reference: Whole, as_json: Json = False) -> None:
    """List the versions of a block, oldest first.

    \b
    Example:
      bondstone history aws-credentials/prod
    """
    from bondstone.cli.listings import history

    history(reference, as_json=as_json)


@app.command()
def rm(
    reference: Whole,
    purge: Annotated[
        bool, typer.Option("--purge", help="Erase the sealed versions too, also those of before.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Delete a block with all its versions.

    The name is free again; its version numbers are not.

    \b
    Example:
      bondstone rm secret/arraylake-token --yes
    """
    from bondstone.cli.remove import rm

    rm(reference, purge=purge, yes=yes)


@app.command()
def types(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", show_default=False, help="All of this one.", autocompletion=completion.kinds),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the kinds of block, or describe one with its fields.

    \b
    Example:
      bondstone types aws-credentials
    """
    from bondstone.cli.kinds import types

    types(kind, as_json=as_json)


@app.command()
def doctor(
    accept: Annotated[
        bool, typer.Option("--accept-restored", help="Take a registry that was restored in place for the true one.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Check the registry, its key, every block and the installation.

    The exit code is 1 if anything fails.

    \b
    Example:
      bondstone doctor
    """
    from bondstone.cli.doctor import accept_restored, doctor

    if accept:
        accept_restored(yes=yes, as_json=as_json)
    else:
        doctor(as_json=as_json)


@app.command("completion")
def completion_script(
    shell: Annotated[
        Literal["bash", "zsh", "fish"], typer.Argument(metavar="SHELL", help="bash, zsh or fish.", show_default=False)
    ],
) -> None:
    """Print what makes a shell complete commands, kinds, names and fields.

    \b
    Example:
      bondstone completion bash > ~/.local/share/bash-completion/completions/bondstone
      bondstone completion zsh > "${fpath[1]}/_bondstone"
      bondstone completion fish > ~/.config/fish/completions/bondstone.fish
    """
    output.emit(completion.script(shell))


@app.command()
def demo(
    engine: Annotated[
        Literal["prefect", "dask", "plain"],
        typer.Option(metavar="ENGINE", help="What runs the flows: prefect, dask or plain."),
    ] = "prefect",
    folder: Annotated[Path, typer.Option(metavar="PATH", help="Where everything is put.")] = Path("bondstone-demo"),
) -> None:
    """Watch the whole of bondstone at work on this machine.

    \b
    Example:
      bondstone demo --engine dask
    """
    from bondstone.cli.demo.main import run

    raise typer.Exit(run(engine=engine, folder=folder))
