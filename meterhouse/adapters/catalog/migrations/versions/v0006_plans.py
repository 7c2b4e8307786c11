"""Plans, their versions, and the prices that these hold."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

# By code point, as SQLite compares.
TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "plans",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("merchant_id", TEXT, nullable=False),
        sa.Column("product_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("caseless_name", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=True),
        sa.Column("invoice_display_name", TEXT, nullable=True),
        sa.Column("currency", TEXT, nullable=False),
        sa.Column("billing_cadence", TEXT, nullable=False),
        sa.Column("billing_anchor", sa.BigInteger(), nullable=True),
        sa.Column("billing_version", sa.BigInteger(), nullable=False),
        sa.Column("default_tax_code", TEXT, nullable=False),
        sa.Column("default_tax_rate", TEXT, nullable=False),
        sa.Column("tax_behavior", TEXT, nullable=False),
        sa.Column("renewal_reminder_enabled", sa.Boolean(), nullable=False),
        sa.Column("renewal_reminder_days", sa.BigInteger(), nullable=False),
        sa.Column("credit_allocations", sa.Text(), nullable=False),
        sa.Column("stable_price_ids", sa.Boolean(), nullable=False),
        sa.Column("transition_date", TEXT, nullable=False),
        sa.Column("default_version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name=op.f("fk_plans_merchant_id")),
        sa.ForeignKeyConstraint(["product_id"], ["products.id"], name=op.f("fk_plans_product_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plans")),
    )
    op.create_index(
        op.f("ix_plans_merchant_id_created_at_id"), "plans", ["merchant_id", "created_at", "id"], unique=False
    )
    op.create_index(op.f("ix_plans_product_id"), "plans", ["product_id"], unique=False)
    op.create_table(
        "plan_versions",
        sa.Column("plan_id", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("based_on", TEXT, nullable=True),
        sa.Column("published_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name=op.f("fk_plan_versions_plan_id")),
        sa.PrimaryKeyConstraint("plan_id", "number", name=op.f("pk_plan_versions")),
        sa.UniqueConstraint("id", name=op.f("uq_plan_versions_id")),
    )
    op.create_table(
        "plan_lines",
        sa.Column("plan_id", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("price_id", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["plan_id", "number"],
            ["plan_versions.plan_id", "plan_versions.number"],
            name=op.f("fk_plan_lines_plan_id_number"),
        ),
        sa.ForeignKeyConstraint(["price_id"], ["prices.id"], name=op.f("fk_plan_lines_price_id")),
        sa.PrimaryKeyConstraint("plan_id", "number", "position", name=op.f("pk_plan_lines")),
        sa.UniqueConstraint("plan_id", "number", "key", name=op.f("uq_plan_lines_plan_id_number_key")),
    )
    op.create_index(op.f("ix_plan_lines_price_id"), "plan_lines", ["price_id"], unique=False)
