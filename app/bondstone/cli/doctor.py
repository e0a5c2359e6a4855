"""`bondstone doctor`: what is checked, and in what order. Each check says what to do."""

import platform
from collections.abc import Iterator
from itertools import chain

import typer

from bondstone.cli import output
from bondstone.cli.checkup import Finding, key_findings, registry_findings
from bondstone.cli.faults import program_version
from bondstone.cli.installed import extras_findings
from bondstone.registry import Settings


def doctor(*, as_json: bool) -> None:
    settings = Settings.from_environment()
    findings = list(chain(_program(), registry_findings(settings), key_findings(settings), extras_findings()))
    if as_json:
        output.emit_json([finding._asdict() for finding in findings])
    else:
        output.table(("", "check", "finding"), findings)
    if any(finding.status == "fail" for finding in findings):
        raise typer.Exit(1)


def _program() -> Iterator[Finding]:
    yield Finding("ok", "bondstone", f"{program_version()} on Python {platform.python_version()}")
