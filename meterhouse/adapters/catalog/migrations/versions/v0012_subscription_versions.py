"""Which version of its plan a subscription is charged by, and since when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

# By code point, as SQLite compares.
TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "subscription_versions",
        sa.Column("subscription_id", TEXT, nullable=False),
        sa.Column("start_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("fk_subscription_versions_subscription_id")
        ),
        sa.PrimaryKeyConstraint("subscription_id", "start_at", name=op.f("pk_subscription_versions")),
    )
    op.execute(
        "INSERT INTO subscription_versions (subscription_id, start_at, number)"
        " SELECT id, started_at, version_number FROM subscriptions"
    )
