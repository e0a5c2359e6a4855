"""The audit log becomes a chain. Rows from before it have an empty MAC: the chain begins after them, and says so.

In PostgreSQL, names are ordered by their bytes, as in SQLite and in memory, whatever the database's language; and a busy registry
records more than 2**31 reads.
"""

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"


def upgrade() -> None:
    server = op.get_bind().dialect.name == "postgresql"
    none = sa.text("''" if server else "x''")  # SQLite's '' would be a text
    op.add_column("audit", sa.Column("mac", sa.LargeBinary, nullable=False, server_default=none))
    if server:
        op.alter_column("audit", "seq", type_=sa.BigInteger)
        for table in ("heads", "versions", "audit"):
            op.alter_column(table, "kind", type_=sa.String(64, collation="C"))
            op.alter_column(table, "name", type_=sa.String(255, collation="C"))
        op.alter_column("keyrings", "slot", type_=sa.String(32, collation="C"))
