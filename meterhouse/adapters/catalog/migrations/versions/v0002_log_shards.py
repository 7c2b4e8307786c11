"""Which shard of ClickHouse holds which partition."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# By code point, as SQLite compares.
TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "log_shards",
        sa.Column("log_id", TEXT, nullable=False),
        sa.Column("partition", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("shard", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("log_id", "partition", name=op.f("pk_log_shards")),
    )
