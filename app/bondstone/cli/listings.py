"""`bondstone ls` and `history`."""

from datetime import datetime
from typing import Any

from bondstone.blocks import find
from bondstone.blocks.expiry import expiries
from bondstone.cli import output
from bondstone.cli.references import whole
from bondstone.registry import Listed, NoRegistry, NotFound, Registry, Version, current_registry

_MOST_OPENED = 1000


def registry_if_any() -> Registry | None:
    """The registry; None if there is none yet, so that a first look is no failure."""
    try:
        return current_registry()
    except NoRegistry as error:
        if output.terminal():
            output.note(str(error))
        return None


def ls(kind: str | None, limit: int | None, offset: int, *, as_json: bool) -> None:
    registry = registry_if_any()
    listed = registry.list(kind, limit=limit, offset=offset) if registry else []
    if kind is not None and not listed:
        find(kind)  # a misspelt kind is told; one that is stored and not installed is listed
    ends = _ends(registry, listed) if registry else {}
    if as_json:
        output.emit_json([_object(item) | {"expires_at": ends.get(item.reference)} for item in listed])
    else:
        more = ("expires",) if ends else ()  # a column only where there is something in it
        rows = ((*_row(item), ends.get(item.reference, "")) if ends else _row(item) for item in listed)
        output.table(("kind", "name", "version", "changed", "state", *more), rows)


def _ends(registry: Registry, listed: list[Listed]) -> dict[str, str]:
    """When the credentials end that say so, by reference; of so many blocks, since each is opened."""
    return {reference: at.isoformat() for reference, at in expiries(registry, listed[:_MOST_OPENED]).items()}


def _row(item: Listed) -> tuple[str, ...]:
    if not item.readable:  # what else its head says is not proved
        return item.kind, item.name, "", "", "unreadable"
    return item.kind, item.name, str(item.version), output.clock(item.changed_at), ""


def history(text: str, *, as_json: bool) -> None:
    reference = whole(text)
    try:
        versions = current_registry().history(reference.kind, reference.name)
    except NotFound:
        find(reference.kind)  # the kind may be what is misspelt
        raise
    if as_json:
        output.emit_json([_object(version) for version in versions])
    else:
        rows = [(str(v.version), output.clock(v.saved_at), _state(v)) for v in versions]
        output.table(("version", "saved", "state"), rows)


def _state(version: Version) -> str:
    return "deleted" if version.deleted else version.state


def _object(item: Listed | Version) -> dict[str, Any]:
    """The fields of a line, by name."""
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in item._asdict().items()}
