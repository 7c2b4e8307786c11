"""Costs, and how billable metrics add up as a part of their versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

# By code point, as SQLite compares.
TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    _move_aggregation()
    op.add_column("billable_metrics", sa.Column("deleted_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "costs",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("currency", TEXT, nullable=False),
        sa.Column("unit_cost", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["id"], ["billable_metrics.id"], name=op.f("fk_costs_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_costs")),
    )


def _move_aggregation() -> None:
    """A cost may change how it adds up, and then counts every event again, as any new version does."""
    op.add_column("billable_metric_versions", sa.Column("aggregation", TEXT, nullable=True))
    op.execute(
        "UPDATE billable_metric_versions SET aggregation = (SELECT aggregation FROM billable_metrics"
        " WHERE billable_metrics.id = billable_metric_versions.billable_metric_id)"
    )
    with op.batch_alter_table("billable_metric_versions") as versions:  # SQLite has to make it anew
        versions.alter_column("aggregation", existing_type=TEXT, nullable=False)
    op.drop_column("billable_metrics", "aggregation")
