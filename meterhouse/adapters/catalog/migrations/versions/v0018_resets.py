"""Sandboxes, tombstones, products that are deleted, and until when planned events were received."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

# By code point, as SQLite compares.
TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("merchants", sa.Column("sandbox", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("products", sa.Column("deleted_at", sa.BigInteger(), nullable=True))
    op.add_column(
        "log_progress", sa.Column("received_until", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.create_table(
        "tombstones",
        sa.Column("merchant_id", TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("external_subject", TEXT, nullable=False),
        sa.Column("appeared_in", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name=op.f("fk_tombstones_merchant_id")),
        sa.PrimaryKeyConstraint(
            "merchant_id", "at", "subject", "external_subject", name=op.f("pk_tombstones")
        ),
    )
