"""`bondstone doctor`: what is checked, and in what order. Each check says what to do."""

import platform
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import chain

import typer

from bondstone.cli import output
from bondstone.cli.ask import at_terminal, confirmed
from bondstone.cli.checkup import Finding, key_findings, registry_findings
from bondstone.cli.faults import Usage, program_version
from bondstone.cli.installed import extras_findings
from bondstone.registry import Registry, SetBack, Settings


def doctor(*, as_json: bool) -> None:
    settings = Settings.from_environment()
    findings = list(chain(_program(), registry_findings(settings), key_findings(settings), extras_findings()))
    if as_json:
        output.emit_json([finding._asdict() for finding in findings])
    else:
        output.table(("", "check", "finding"), findings)
    if any(finding.status == "fail" for finding in findings):
        raise typer.Exit(1)


def accept_restored(*, yes: bool, as_json: bool) -> None:
    """Show both generations of each name that was set back, and forget the newer ones if the answer is yes."""
    with closing(Settings.from_environment().open(restored=True)) as registry:
        _accept(registry, registry.set_back(), yes=yes, as_json=as_json)


def _accept(registry: Registry, found: Sequence[SetBack], *, yes: bool, as_json: bool) -> None:
    if as_json:
        output.emit_json([item._asdict() for item in found])
    elif found:
        output.table(("kind", "name", "seen", "found"), [_set_back_row(item) for item in found])
    else:
        output.emit("nothing here is older than what was seen\n")
    if not found:
        return
    if not yes and not at_terminal():
        raise Usage(
            "this forgets the newer generations, and with them the proof of an attack: add --yes, since nobody can be asked here"
        )
    if not yes and not confirmed("was the registry restored, and are these the true ones?"):
        output.note("nothing was accepted")
        raise typer.Abort
    registry.accept(found)
    output.note(f"accepted {len(found)}")


def _set_back_row(item: SetBack) -> tuple[str, str, str, str]:
    return (
        item.kind or "(registry)",
        item.name,
        f"generation {item.seen}",
        f"generation {item.found}" if item.found else "gone",
    )


def _program() -> Iterator[Finding]:
    yield Finding("ok", "bondstone", f"{program_version()} on Python {platform.python_version()}")
