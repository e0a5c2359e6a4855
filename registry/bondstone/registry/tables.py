"""The tables of an SQL registry, for the statements and for the first migration's test. Imports SQLAlchemy: loads do not need it."""

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, String, Table

metadata = MetaData()

registry = Table(
    "registry",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("registry_id", String(32), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),  # of the settings
    Column("changed_at", BigInteger, nullable=False),
    Column("settings", LargeBinary, nullable=False),
)

keyrings = Table(
    "keyrings",
    metadata,
    Column("slot", String(32), primary_key=True),
    Column("provider", String(32), nullable=False),
    Column("key_id", String(255), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
)

heads = Table(
    "heads",
    metadata,
    Column("kind", String(64), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("current", BigInteger, nullable=False),
    Column("previous", BigInteger, nullable=False),
    Column("pending", BigInteger, nullable=False),
    Column("highest", BigInteger, nullable=False),
    Column("deleted_through", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("tag", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

versions = Table(
    "versions",
    metadata,
    Column("kind", String(64), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("saved_at", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", String(255), nullable=False),  # user@host:pid
    Column("action", String(32), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("version", BigInteger, nullable=False),  # 0: none in particular
    Column("outcome", String(32), nullable=False),  # "ok" or the code of an error
    Column("mac", LargeBinary, nullable=False),  # key id, then a MAC over the row before and this one
    sqlite_autoincrement=True,
)

journal = Table(
    "journal",
    metadata,
    Column("kind", String(64), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("holder", String(255), nullable=False),
    Column("taken_at", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
)
