"""Every statement, in SQLAlchemy Core, and the text that each compiles to.

The texts are kept in `texts.py`, so that a load imports no SQLAlchemy (0.2 s) and pays only the driver (Core's execution costs three
times the whole load). A test holds the two together; ``python -m bondstone.registry.statements`` writes the file anew.
"""

from pathlib import Path
from typing import Any

from sqlalchemy import (
    ClauseElement,
    Column,
    ColumnElement,
    Table,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from bondstone.registry.tables import audit, heads, journal, keyrings, leases, registry, versions

_none: ColumnElement[int] = literal_column("0")


def _one(table: Table) -> ColumnElement[bool]:
    return and_(table.c.kind == bindparam("kind"), table.c.name == bindparam("name"))


_joined = heads.outerjoin(
    versions,
    and_(versions.c.kind == heads.c.kind, versions.c.name == heads.c.name, versions.c.version == heads.c.current),
)


def _after(*columns: Column[Any]) -> ColumnElement[bool]:
    """Behind the row that a page ended with: parameters ``after_kind``, ``after_name`` …"""
    return tuple_(*columns) > tuple_(*(bindparam(f"after_{column.name}", type_=column.type) for column in columns))


def _four(column: Column[Any], start: int) -> ColumnElement[Any]:
    """Four bytes of a blob, counted from 1: where an envelope and a tag have the id of their key."""
    return func.substr(column, literal_column(str(start)), literal_column("4"), type_=column.type)


def _any_or(parameter: str, column: Column[Any]) -> ColumnElement[bool]:
    """An empty parameter asks for all."""
    asked = bindparam(parameter, type_=column.type)
    return or_(asked == literal_column("''"), column == asked)


# Without kind and name: what answers for a name is proved as that name's, whatever the database shows as its own.
_pointer = [column for column in heads.c if column.name not in ("kind", "name")]
_live = or_(heads.c.current != _none, heads.c.pending != _none)

STATEMENTS: dict[str, ClauseElement] = {
    "registry": select(
        registry.c.registry_id, registry.c.created_at, registry.c.generation, registry.c.changed_at, registry.c.settings
    ),
    "add_registry": insert(registry),
    "set_settings": update(registry)
    .where(registry.c.generation == bindparam("expected"))
    .values({c: bindparam(c) for c in ("generation", "changed_at", "settings")}),
    "keyrings": select(keyrings).order_by(keyrings.c.slot),
    "add_keyring": insert(keyrings),
    "remove_keyrings": delete(keyrings),
    "load": select(*_pointer, versions.c.saved_at, versions.c.sealed).select_from(_joined).where(_one(heads)),
    "head": select(*_pointer).where(_one(heads)),
    "heads": select(heads)
    .where(_live, _any_or("kind", heads.c.kind))
    .order_by(heads.c.kind, heads.c.name)
    .limit(bindparam("limit"))
    .offset(bindparam("offset")),
    "add_head": insert(heads),
    "move_head": update(heads)
    .where(_one(heads), heads.c.generation == bindparam("expected"))
    .values({c.name: bindparam(c.name) for c in _pointer}),
    "replace_head": update(heads)
    .where(_one(heads), heads.c.tag == bindparam("expected"))
    .values({c.name: bindparam(c.name) for c in _pointer}),
    "version": select(versions.c.saved_at, versions.c.sealed).where(
        _one(versions), versions.c.version == bindparam("version")
    ),
    "history": select(versions.c.version, versions.c.saved_at, versions.c.sealed)
    .where(_one(versions))
    .order_by(versions.c.version),
    "add_version": insert(versions),
    "purge": delete(versions).where(_one(versions), versions.c.version <= bindparam("through")),
    "discard": delete(versions).where(
        _one(versions),
        versions.c.version > bindparam("through"),
        func.coalesce(select(heads.c.generation).where(_one(heads)).scalar_subquery(), _none) == bindparam("expected"),
    ),
    # Root-key rotation: what another key sealed, a page at a time, in key order; and the swap on the old bytes.
    "versions_of_other_keys": select(versions)
    .where(
        _after(versions.c.kind, versions.c.name, versions.c.version), _four(versions.c.sealed, 4) != bindparam("key_id")
    )
    .order_by(versions.c.kind, versions.c.name, versions.c.version)
    .limit(bindparam("limit"))
    .offset(_none),
    "heads_of_other_keys": select(heads)
    .where(_after(heads.c.kind, heads.c.name), _four(heads.c.tag, 1) != bindparam("key_id"))
    .order_by(heads.c.kind, heads.c.name)
    .limit(bindparam("limit"))
    .offset(_none),
    "count_of_other_keys": select(
        select(func.count())
        .select_from(versions)
        .where(_four(versions.c.sealed, 4) != bindparam("key_id"))
        .scalar_subquery(),
        select(func.count()).select_from(heads).where(_four(heads.c.tag, 1) != bindparam("key_id")).scalar_subquery(),
    ),
    "reseal_version": update(versions)
    .where(_one(versions), versions.c.version == bindparam("number"), versions.c.sealed == bindparam("old"))
    .values(sealed=bindparam("new")),
    "retag_head": update(heads)
    .where(_one(heads), heads.c.generation == bindparam("expected"), heads.c.tag == bindparam("old"))
    .values(tag=bindparam("new")),
    "journal": select(journal).where(_one(journal)),
    "journals": select(journal)
    .where(_after(journal.c.kind, journal.c.name))
    .order_by(journal.c.kind, journal.c.name)
    .limit(bindparam("limit"))
    .offset(_none),
    "add_journal": insert(journal),
    "move_journal": update(journal)
    .where(_one(journal), journal.c.number == bindparam("expected"))
    .values({c: bindparam(c) for c in ("number", "at", "sealed")}),
    "reseal_journal": update(journal)
    .where(_one(journal), journal.c.sealed == bindparam("old"))
    .values(sealed=bindparam("new")),
    "add_lease": insert(leases),
    "extend_lease": update(leases).where(leases.c.id == bindparam("lease_id")).values(until=bindparam("until")),
    "release_lease": delete(leases).where(leases.c.id == bindparam("lease_id")),
    "leases": select(leases).order_by(leases.c.kind, leases.c.name, leases.c.until, leases.c.id),
    # Copies and backups: everything, deleted names too, a page at a time.
    "all_heads": select(heads)
    .where(_after(heads.c.kind, heads.c.name))
    .order_by(heads.c.kind, heads.c.name)
    .limit(bindparam("limit"))
    .offset(_none),
    "last_audit": select(audit.c.seq, audit.c.mac)
    .where(audit.c.seq < literal_column(str(2**62)))  # a planted one at the very end must not use up all that follow
    .order_by(audit.c.seq.desc())
    .limit(literal_column("1"))
    .offset(_none),
    "audit_from": select(audit)
    .where(audit.c.seq > bindparam("after"))
    .order_by(audit.c.seq)
    .limit(bindparam("limit"))
    .offset(_none),
    "add_audit": insert(audit),
    "audit": select(audit)
    .where(audit.c.at >= bindparam("since"), _any_or("kind", audit.c.kind), _any_or("name", audit.c.name))
    .order_by(audit.c.seq.desc())
    .limit(bindparam("limit"))
    .offset(bindparam("offset")),
}


DIALECTS = {
    "SQLITE": sqlite.dialect(paramstyle="named"),
    "POSTGRESQL": postgresql.dialect(paramstyle="pyformat"),  # type: ignore[no-untyped-call]
}


def texts(dialect: str) -> dict[str, str]:
    """The text of each statement for a database, with named parameters."""
    compiled = {name: statement.compile(dialect=DIALECTS[dialect]) for name, statement in STATEMENTS.items()}
    return {name: " ".join(str(text).split()) for name, text in compiled.items()}


def source() -> str:
    """What `texts.py` must hold."""
    head = '"""Written by ``python -m bondstone.registry.statements``: do not edit."""\n\n# ruff: noqa: E501\n'
    return head + "\n".join(
        f"{dialect} = {{\n" + "".join(f'    "{name}": "{text}",\n' for name, text in texts(dialect).items()) + "}\n"
        for dialect in DIALECTS
    )


if __name__ == "__main__":
    Path(__file__).with_name("texts.py").write_text(source())
