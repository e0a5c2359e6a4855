"""`bondstone rotate`, `rollback`, `verify` and `rotations`."""

from datetime import UTC, datetime
from typing import Any

import typer

from bondstone.blocks import Block, BondstoneError, find, rotation
from bondstone.blocks.rotated import Rotated, Standing, Verified
from bondstone.blocks.rotator import rotator_of
from bondstone.cli import output
from bondstone.cli.ask import at_terminal, confirmed
from bondstone.cli.faults import Usage
from bondstone.cli.fields import some
from bondstone.cli.references import whole
from bondstone.registry import Reference, current_registry


def rotate(
    name: str | None,
    words: list[str],
    *,
    grace: int | None,
    compromised: bool,
    finish: bool,
    due: bool,
    yes: bool,
    as_json: bool,
) -> None:
    _one_thing(name, words, grace, compromised=compromised, finish=finish, due=due)
    if name is None:
        _due(as_json=as_json)
        return
    reference = whole(name)
    current_registry().head(reference.kind, reference.name)  # what is not there is told before anything is asked
    if compromised:
        _warn(reference, yes=yes)
    if finish:
        _say(rotation.finish(reference, at_once=compromised), as_json=as_json)
    else:
        fields = _fields(reference, words)
        _say(rotation.rotate(reference, grace=grace, compromised=compromised, **fields), as_json=as_json)


def _one_thing(
    name: str | None, words: list[str], grace: int | None, *, compromised: bool, finish: bool, due: bool
) -> None:
    if due and (name is not None or words or grace is not None or compromised or finish):
        raise Usage("--due takes no name, no field and no other option; see 'bondstone rotate --help'")
    if name is None and not due:
        raise Usage("give the block to rotate, such as aws-credentials/prod, or --due; see 'bondstone rotate --help'")
    if finish and (words or grace is not None):
        raise Usage("--finish retires the old credential: it takes no field and no --grace")
    if compromised and grace is not None:
        raise Usage("--compromised leaves no grace: leave --grace out")


def _fields(reference: Reference, words: list[str]) -> dict[str, Any]:
    """The fields that were given; on a terminal, a kind that is rotated by hand asks for its secrets."""
    kind = find(reference.kind)
    if not words and at_terminal():
        block = Block.load(reference)
        if rotator_of(reference.kind).guided(block):
            words = [name for name, value in block if hasattr(value, "get_secret_value")]
    return some(kind, words)


def _warn(reference: Reference, *, yes: bool) -> None:
    """What will break, before it does."""
    registry = current_registry()
    ttl, _ = registry.longest_use(reference.kind, reference.name)
    output.note(f"{reference}: what holds the old credential fails until it asks again, for up to {ttl} s")
    for lease in registry.leases.of(reference.kind, reference.name):
        output.note(f"{lease.holder} leased version {lease.version} until {_time(lease.until)}, and will fail")
    if not yes and at_terminal() and not confirmed("Retire the old credential at once?"):
        raise typer.Abort


def _due(*, as_json: bool) -> None:
    lines: list[dict[str, Any]] = []

    def tell(name: Reference, done: Rotated | BondstoneError) -> None:
        if isinstance(done, BondstoneError):
            output.note(str(done))
            lines.append({"reference": name, "error": done.code})
        else:
            lines.append(_object(done))
            if not as_json:
                _say(done, as_json=False)

    failed = rotation.rotate_due(tell)
    if as_json:
        output.emit_json(lines)
    if failed:
        raise typer.Exit(1)


def rollback(name: str, *, as_json: bool) -> None:
    _say(rotation.rollback(whole(name)), as_json=as_json)


def verify(text: str, *, as_json: bool) -> None:
    verified = rotation.verify(text)
    if as_json:
        output.emit_json(_verified(verified))
    elif verified is None:
        output.emit(f"{text}: nobody can be asked whether it is good\n")
    else:
        output.emit(f"{text}: good, says {verified.by}: {verified.identity}\n{verified.proves}\n{_expiry(verified)}")


def _expiry(verified: Verified) -> str:
    return f"expires {output.clock(verified.expires_at)}\n" if verified.expires_at else ""


def _say(done: Rotated, *, as_json: bool) -> None:
    if as_json:
        output.emit_json(_object(done))
        return
    at = f" from {output.clock(done.retire_at)} on" if done.retire_at else ""
    retire = f"version {done.retires} is retired by 'bondstone rotate --due'{at}"
    news = {
        "current": f"is current; {retire}",
        "rolled-back": f"is current again; {retire}",
        "retired": f"is current; the credential of version {done.retires} is not used any more",
        "undone": "is current; the rotation was undone",
    }
    if done.version:
        output.emit(f"{done.reference}@{done.version} {news.get(done.step, 'is current')}\n")
    else:
        output.emit(f"{done.reference} is deleted; its rotation is at its end\n")
    if done.remedy:
        output.note(f"{'by hand, then' if done.step == 'current' else 'by hand, now'}: {done.remedy}")


def _object(done: Rotated) -> dict[str, Any]:
    at = done.retire_at.isoformat() if done.retire_at else None
    return {**done._asdict(), "retire_at": at, "verified": _verified(done.verified)}


def _verified(verified: Verified | None) -> dict[str, Any] | None:
    if verified is None:
        return None
    return {**verified._asdict(), "expires_at": verified.expires_at.isoformat() if verified.expires_at else None}


def rotations(*, as_json: bool) -> None:
    lines = rotation.rotations()
    if as_json:
        output.emit_json([_line(line) for line in lines])
        return
    columns = ("block", "version", "age", "rotation", "retires after", "by", "leased until", "expires")
    output.table(columns, map(_row, lines))


def _row(line: Standing) -> tuple[str, ...]:
    state = f"{line.step} ({line.why})" if line.why else line.step
    times = [output.clock(at) if at else "" for at in (line.retire_at, line.leased_until, line.expires_at)]
    return line.reference, str(line.version), _age(line.changed_at), state, times[0], line.holder, *times[1:]


def _age(since: datetime) -> str:
    days = (datetime.now(UTC) - since).days
    return f"{days} d" if days else "today"


def _line(line: Standing) -> dict[str, Any]:
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in line._asdict().items()}


def _time(microseconds: int) -> str:
    return output.clock(datetime.fromtimestamp(microseconds / 1_000_000, UTC))
