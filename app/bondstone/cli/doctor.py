"""`bondstone doctor`: what is checked, and in what order. Each check says what to do."""

import os
import platform
import sqlite3
from collections.abc import Iterator
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import typer

from bondstone.cli import output
from bondstone.cli.ask import at_terminal, confirmed
from bondstone.cli.checkup import Finding, key_findings, registry_findings
from bondstone.cli.faults import Usage, program_version
from bondstone.cli.installed import extras_findings
from bondstone.cli.surroundings import surroundings_findings
from bondstone.registry import Registry, RolledBack, SetBack, Settings, current_registry


def doctor(*, as_json: bool) -> None:
    settings = Settings.from_environment()
    around = surroundings_findings(os.environ, Path.home())
    findings = list(chain(_program(), registry_findings(settings), key_findings(settings), around, extras_findings()))
    if as_json:
        output.emit_json([finding._asdict() for finding in findings])
    else:
        output.table(("", "check", "finding"), findings)
    if any(finding.status == "fail" for finding in findings):
        raise typer.Exit(1)


def accept_restored(*, yes: bool, as_json: bool) -> None:
    """Show both generations of each name that was set back, and forget the newer ones if the answer is yes."""
    registry = _opened()
    found = registry.set_back()
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


def _opened() -> Registry:
    try:
        return current_registry()
    except RolledBack:  # its root key is older than one that was seen: that is what is to be accepted
        return Settings.from_environment().open(restored=True)


def _set_back_row(item: SetBack) -> tuple[str, str, str, str]:
    return (
        item.kind or "(registry)",
        item.name,
        f"generation {item.seen}",
        f"generation {item.found}" if item.found else "gone",
    )


def _program() -> Iterator[Finding]:
    below = [f"{package} {version(package)}" for package in ("pydantic", "cryptography", "typer")]
    on = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {', '.join(below)}"
    yield Finding("ok", "bondstone", f"{program_version()} on {on}")
