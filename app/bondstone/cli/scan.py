"""`bondstone scan`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import typer

from bondstone.blocks.finder import Finder
from bondstone.cli import output
from bondstone.cli.faults import Usage
from bondstone.cli.listings import registry_if_any
from bondstone.cli.progress import progress
from bondstone.integrations.scan import files, git, processes
from bondstone.integrations.scan.pieces import Piece, Sighting, sightings
from bondstone.integrations.scan.values import finder

FOUND = 1


class Places(NamedTuple):
    """What is to be searched."""

    paths: tuple[Path, ...]
    environment: bool
    processes: bool
    prefect: Path | None
    git: bool


class Unread(list[str]):
    """What could not be searched, a line each."""

    def add(self, what: str, why: str) -> None:
        self.append(f"{what} ({why})")


def scan(places: Places, *, github: bool, as_json: bool) -> None:
    """Search, report, and end with 1 if there is something."""
    _checked(places)
    unread, registry = Unread(), registry_if_any()
    if registry is None:
        output.note("nothing is saved yet, so there is nothing to look for")
        return
    looked_for = finder(registry, unread.add)
    with progress("searching", "pieces") as tell:
        pieces = _counted(_pieces(places, looked_for.longest, unread), tell)
        found = [_placed(sighting, places) for sighting in sightings(looked_for, pieces)]
    _report(found, github=github, as_json=as_json)
    _notes(unread, looked_for)
    if found:
        raise typer.Exit(FOUND)


def _checked(places: Places) -> None:
    if not any(places):
        raise Usage("give a PATH, --env, --processes, --prefect-db or --git: what is to be searched?")
    for path in (*places.paths, *([places.prefect] if places.prefect else [])):
        if not path.exists():
            raise Usage("a path that was given does not exist")


def _pieces(places: Places, overlap: int, unread: Unread) -> Iterator[Piece]:
    if places.git:
        for folder in _repositories(places):
            yield from git.of_repository(folder)
    elif places.paths:
        yield from files.of_paths(list(places.paths), overlap, unread.add)
    if places.prefect:
        yield from files.of_paths([places.prefect], overlap, unread.add)
    if places.environment:
        yield from processes.of_environment(os.environ)
    if places.processes:
        yield from processes.of_processes()


def _repositories(places: Places) -> tuple[Path, ...]:
    return places.paths or (Path(),)


def _counted(pieces: Iterator[Piece], tell: Any) -> Iterator[Piece]:
    for number, piece in enumerate(pieces):
        tell(number, number + 1)
        yield piece


def _placed(sighting: Sighting, places: Places) -> Sighting:
    """With the first commit and file of an object of a Git history."""
    kind, _, rest = sighting.where.partition(" ")
    if not places.git or kind != "blob":
        return sighting
    object_id = rest.partition(" ")[0]
    found = next(filter(None, (git.place(folder, object_id) for folder in _repositories(places))), "")
    return sighting._replace(where=f"{found} in the Git history" if found else sighting.where)


def _report(found: list[Sighting], *, github: bool, as_json: bool) -> None:
    if as_json:
        output.emit_json([_item(sighting) for sighting in found])
    elif github:
        output.emit("".join(map(_annotation, found)))
    else:
        columns = ("where", "line", "block", "field", "as", "what to do")
        output.table(columns, [tuple(map(str, _item(sighting).values())) for sighting in found])


def _item(sighting: Sighting) -> dict[str, Any]:
    secret = sighting.secret
    return {
        "where": sighting.where,
        "line": sighting.line or "",
        "reference": f"{secret.reference}@{secret.version}",
        "field": secret.field,
        "encoding": sighting.encoding,
        "remedy": f"bondstone rotate {secret.reference}",
    }


def _annotation(sighting: Sighting) -> str:
    """Source: GitHub Docs, "Workflow commands for GitHub Actions"; its toolkit escapes more characters in properties than in the text."""
    item = _item(sighting)
    place = f"file={_escaped(sighting.path, '%\r\n:,')},line={sighting.line or 1}," if sighting.path else ""
    text = f"{item['reference']} ({item['field']}) stands in {item['where']} as {item['encoding']}: {item['remedy']}"
    return f"::error {place}title=secret found::{_escaped(text, '%\r\n')}\n"


def _escaped(text: str, characters: str) -> str:
    for character in characters:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _notes(unread: Unread, looked_for: Finder) -> None:
    for line in unread:
        output.note(f"not searched: {looked_for.masked(line)}")
    if too_short := looked_for.too_short:
        output.note(
            f"{too_short} values of less than 8 characters were not looked for: they would be found in ordinary words"
        )
    output.note(f"{looked_for.count} values were looked for")
