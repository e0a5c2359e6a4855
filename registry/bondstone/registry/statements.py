"""Every statement, in SQLAlchemy Core, and the text that each compiles to.

The texts are kept in `texts.py`, so that a load imports no SQLAlchemy (0.2 s) and pays only the driver (Core's execution costs three
times the whole load). A test holds the two together; ``python -m bondstone.registry.statements`` writes the file anew.
"""

from pathlib import Path

from sqlalchemy import ClauseElement, ColumnElement, Table, and_, bindparam, insert, literal_column, or_, select, update
from sqlalchemy.dialects import sqlite

from bondstone.registry.tables import audit, heads, keyrings, registry, versions


def _one(table: Table) -> ColumnElement[bool]:
    return and_(table.c.kind == bindparam("kind"), table.c.name == bindparam("name"))


_joined = heads.outerjoin(
    versions,
    and_(versions.c.kind == heads.c.kind, versions.c.name == heads.c.name, versions.c.version == heads.c.current),
)
_none: ColumnElement[int] = literal_column("0")
_live = or_(heads.c.current != _none, heads.c.pending != _none)
_of_kind = or_(bindparam("kind") == literal_column("''"), heads.c.kind == bindparam("kind"))

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
    "load": select(heads, versions.c.saved_at, versions.c.sealed).select_from(_joined).where(_one(heads)),
    "head": select(heads).where(_one(heads)),
    "heads": select(heads)
    .where(_live, _of_kind)
    .order_by(heads.c.kind, heads.c.name)
    .limit(bindparam("limit"))
    .offset(bindparam("offset")),
    "add_head": insert(heads),
    "move_head": update(heads)
    .where(_one(heads), heads.c.generation == bindparam("expected"))
    .values({c.name: bindparam(c.name) for c in heads.c if c.name not in ("kind", "name")}),
    "replace_head": update(heads)
    .where(_one(heads), heads.c.tag == bindparam("expected"))
    .values({c.name: bindparam(c.name) for c in heads.c if c.name not in ("kind", "name")}),
    "version": select(versions.c.saved_at, versions.c.sealed).where(
        _one(versions), versions.c.version == bindparam("version")
    ),
    "history": select(versions.c.version, versions.c.saved_at, versions.c.sealed)
    .where(_one(versions))
    .order_by(versions.c.version),
    "add_version": insert(versions),
    "add_audit": insert(audit).values({c.name: bindparam(c.name) for c in audit.c if c.name != "seq"}),
    "audit": select(audit).order_by(audit.c.seq.desc()).limit(bindparam("limit")).offset(bindparam("offset")),
}


def texts() -> dict[str, str]:
    """The text of each statement for SQLite, with named parameters."""
    dialect = sqlite.dialect(paramstyle="named")
    return {name: " ".join(str(statement.compile(dialect=dialect)).split()) for name, statement in STATEMENTS.items()}


def source() -> str:
    """What `texts.py` must hold."""
    head = '"""Written by ``python -m bondstone.registry.statements``: do not edit."""\n\n# ruff: noqa: E501\n'
    return head + "SQLITE = {\n" + "".join(f'    "{name}": "{text}",\n' for name, text in texts().items()) + "}\n"


if __name__ == "__main__":
    Path(__file__).with_name("texts.py").write_text(source())
