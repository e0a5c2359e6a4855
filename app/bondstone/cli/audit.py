"""`bondstone audit`, `audit verify` and `audit checkpoint`."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import typer

from bondstone.cli import output
from bondstone.cli.faults import Usage
from bondstone.cli.listings import registry_if_any
from bondstone.cli.progress import progress
from bondstone.cli.references import whole
from bondstone.registry import current_registry
from bondstone.registry.audit_verify import AuditReport, Checkpoint
from bondstone.registry.results import when
from bondstone.registry.store import AuditRow

_AGO = re.compile(r"(\d{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def audit(since: str | None, reference: str | None, limit: int, offset: int, *, as_json: bool) -> None:
    asked = whole(reference) if reference is not None else None
    start = _start(since, datetime.now(UTC)) if since is not None else 0
    kind, name = (asked.kind, asked.name) if asked else ("", "")
    registry = registry_if_any()
    rows = registry.audit_proved(since=start, kind=kind, name=name, limit=limit, offset=offset) if registry else []
    if as_json:
        output.emit_json([{**_event(row), "proved": proved} for row, proved in rows])
    else:
        output.table(("time", "actor", "action", "reference", "outcome"), [_cells(row, proved) for row, proved in rows])
    if any(not proved for _, proved in rows):
        output.note(
            "rows that are not proved were changed or put in, or are from before there was a chain: see 'bondstone audit verify'"
        )


def _cells(row: AuditRow, proved: bool) -> tuple[str, str, str, str, str]:
    outcome = str(row.outcome) if proved else f"{row.outcome}, not proved"
    return _clock(row.at, output.clock), str(row.actor), str(row.action), _reference(row), outcome


def _start(text: str, now: datetime) -> int:
    """A time, or how long ago, in microseconds since 1970. Raises `Usage`."""
    try:
        ago = _AGO.fullmatch(text)
        then = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}) if ago else datetime.fromisoformat(text)
        return max(0, int((then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() * 1_000_000))
    except (ValueError, OverflowError):
        pass
    raise Usage(
        "--since is a time, such as 2026-11-21 or 2026-11-21T12:00 (UTC), or how long ago, such as 90s, 15m, 2h, 7d"
    )


def _event(row: AuditRow) -> dict[str, Any]:
    return {
        "time": _clock(row.at, datetime.isoformat),
        "actor": row.actor,
        "action": row.action,
        "reference": _reference(row),
        "outcome": row.outcome,
    }


def _clock(at: object, form: Callable[[datetime], str]) -> str:
    """The time of a row, which others may have written."""
    try:
        return form(when(at))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError):
        return "unreadable"


def _reference(row: AuditRow) -> str:
    if not row.kind:  # of the registry as a whole: its settings, its keys
        return ""
    return f"{row.kind}/{row.name}" + (f"@{row.version}" if row.version else "")


def checkpoint() -> None:
    output.emit(current_registry().audit_checkpoint().line() + "\n")


def verify(file: Path | None, *, as_json: bool) -> None:
    kept = Checkpoint.parse(_read(file)) if file else None
    with progress("audit log", "rows") as tell:
        report = current_registry().verify_audit(kept, progress=tell)
    if as_json:
        faults = [fault._asdict() for fault in report.faults]
        output.emit_json({"whole": report.whole, **report._asdict(), "faults": faults})
    else:
        output.table(("", "row", "finding"), list(_findings(report, kept)))
    if not report.whole:
        raise typer.Exit(1)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError):
        pass
    raise Usage("the file of --checkpoint cannot be read: give one that 'bondstone audit checkpoint' wrote")


def _findings(report: AuditReport, checkpoint: Checkpoint | None) -> Iterator[tuple[str, str, str]]:
    for fault in report.faults:
        yield "fail", str(fault.seq), fault.what
    if more := report.faulty - len(report.faults):
        yield "fail", "", f"and {more} more"
    if report.before_chain:
        yield "warn", f"1-{report.before_chain}", "from before there was a chain: not proved"
    if report.whole:
        yield "ok", str(report.last), f"is the last of {report.rows} rows, none of which was changed or deleted"
    if checkpoint is None:
        yield "warn", "", "without --checkpoint FILE it is not seen if rows were cut off the end"
