"""Subscriptions, and which entitlements come with one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

# By code point, as SQLite compares.
TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "subscriptions",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("merchant_id", TEXT, nullable=False),
        sa.Column("customer_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("plan_id", TEXT, nullable=False),
        sa.Column("plan_version_id", TEXT, nullable=False),
        sa.Column("version_number", sa.BigInteger(), nullable=False),
        sa.Column("pinned_version", sa.BigInteger(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ending_at", sa.BigInteger(), nullable=True),
        sa.Column("elapsed_billing", TEXT, nullable=False),
        sa.Column("billing_starts_at", sa.BigInteger(), nullable=False),
        sa.Column("billing_anchor", sa.BigInteger(), nullable=False),
        sa.Column("billing_cadence", TEXT, nullable=False),
        sa.Column("auto_charge", sa.Boolean(), nullable=False),
        sa.Column("tax_exempt", sa.Boolean(), nullable=False),
        sa.Column("payment_term_days", sa.BigInteger(), nullable=False),
        sa.Column("renewal_reminder_enabled", sa.Boolean(), nullable=True),
        sa.Column("renewal_reminder_days", sa.BigInteger(), nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("test_clock_id", TEXT, nullable=True),
        sa.Column("terminated_at", sa.BigInteger(), nullable=True),
        sa.Column("terminated_by", TEXT, nullable=True),
        sa.Column("termination_reason", TEXT, nullable=True),
        sa.Column("termination_change_reason", TEXT, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name=op.f("fk_subscriptions_merchant_id")),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name=op.f("fk_subscriptions_plan_id")),
        sa.ForeignKeyConstraint(
            ["plan_version_id"], ["plan_versions.id"], name=op.f("fk_subscriptions_plan_version_id")
        ),
        sa.ForeignKeyConstraint(
            ["test_clock_id"], ["test_clocks.id"], name=op.f("fk_subscriptions_test_clock_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
    )
    for columns in (["merchant_id", "created_at", "id"], ["customer_id", "created_at", "id"]):
        name = f"ix_subscriptions_{'_'.join(columns)}"
        op.create_index(op.f(name), "subscriptions", columns, unique=False)
    for column in ("plan_id", "test_clock_id"):
        op.create_index(op.f(f"ix_subscriptions_{column}"), "subscriptions", [column], unique=False)
    op.add_column(
        "entitlements", sa.Column("is_provisioned", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
