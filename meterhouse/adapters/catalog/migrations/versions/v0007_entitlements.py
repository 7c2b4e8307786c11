"""Entitlements of customers, their grants, and purchases of grants."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

# By code point, as SQLite compares.
TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "entitlements",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("merchant_id", TEXT, nullable=False),
        sa.Column("customer_id", TEXT, nullable=False),
        sa.Column("feature_id", TEXT, nullable=False),
        sa.Column("billable_metric_id", TEXT, nullable=True),
        sa.Column("subscription_id", TEXT, nullable=True),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("active_from", sa.BigInteger(), nullable=False),
        sa.Column("active_to", sa.BigInteger(), nullable=True),
        sa.Column("canceled_at", sa.BigInteger(), nullable=True),
        sa.Column("details", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name=op.f("fk_entitlements_merchant_id")),
        sa.ForeignKeyConstraint(["feature_id"], ["features.id"], name=op.f("fk_entitlements_feature_id")),
        sa.ForeignKeyConstraint(
            ["billable_metric_id"], ["billable_metrics.id"], name=op.f("fk_entitlements_billable_metric_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entitlements")),
    )
    op.create_index(
        op.f("ix_entitlements_customer_id_created_at_id"),
        "entitlements",
        ["customer_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(op.f("ix_entitlements_feature_id"), "entitlements", ["feature_id"], unique=False)
    op.create_index(
        op.f("ix_entitlements_subscription_id"), "entitlements", ["subscription_id"], unique=False
    )
    op.create_table(
        "grants",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("entitlement_id", TEXT, nullable=False),
        sa.Column("idempotency_key", TEXT, nullable=True),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("amount", TEXT, nullable=False),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("effective_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("voided_at", sa.BigInteger(), nullable=True),
        sa.Column("reset_max_rollover", TEXT, nullable=False),
        sa.Column("reset_min_rollover", TEXT, nullable=False),
        sa.Column("recurrence_anchor", sa.BigInteger(), nullable=True),
        sa.Column("recurrence_interval", TEXT, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["entitlement_id"], ["entitlements.id"], name=op.f("fk_grants_entitlement_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
        sa.UniqueConstraint(
            "entitlement_id", "idempotency_key", name=op.f("uq_grants_entitlement_id_idempotency_key")
        ),
    )
    op.create_index(
        op.f("ix_grants_entitlement_id_created_at_id"),
        "grants",
        ["entitlement_id", "created_at", "id"],
        unique=False,
    )
    op.create_table(
        "grant_purchases",
        sa.Column("invoice_id", TEXT, nullable=False),
        sa.Column("entitlement_id", TEXT, nullable=False),
        sa.Column("idempotency_key", TEXT, nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("grant_id", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("paid_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["entitlement_id"], ["entitlements.id"], name=op.f("fk_grant_purchases_entitlement_id")
        ),
        sa.PrimaryKeyConstraint("invoice_id", name=op.f("pk_grant_purchases")),
        sa.UniqueConstraint(
            "entitlement_id",
            "idempotency_key",
            name=op.f("uq_grant_purchases_entitlement_id_idempotency_key"),
        ),
    )
