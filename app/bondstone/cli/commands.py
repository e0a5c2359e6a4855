"""The commands: what each takes, and what its help says. The work is in the modules, which are imported when they are needed."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from bondstone.cli import completion, flow_commands, output, rotation_commands
from bondstone.cli.key_commands import key_app

SETTINGS: dict[str, Any] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": "rich" if output.terminal() else None,  # plain in a pipe, and 70 ms sooner
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


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
        "run",
        "render",
        "plan",
        "apply",
        "import",
        "export",
        "audit",
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

Ref = Annotated[
    str,
    typer.Argument(metavar="REF", help="kind/name, kind/name@3 or kind/name#field.", autocompletion=completion.names),
]
Whole = Annotated[
    str, typer.Argument(metavar="KIND/NAME", help="The name of a block.", autocompletion=completion.whole_names)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Offset = Annotated[int, typer.Option(min=0, metavar="N", help="Leave out this many first.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Secretly = Annotated[
    str | None,
    typer.Option(
        "--passphrase", metavar="SOURCE", show_default=False, help="@FILE or - (standard input); asked otherwise."
    ),
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


audit_app = typer.Typer(**SETTINGS)
app.add_typer(audit_app, name="audit")
app.add_typer(key_app, name="key")
rotation_commands.register(app)
flow_commands.add_to(app)


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


@app.command()
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


@app.command()
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


@app.command()
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
