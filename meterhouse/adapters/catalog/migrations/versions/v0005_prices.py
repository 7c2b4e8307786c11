"""Items and what other systems call them, fees, and prices."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

# By code point, as SQLite compares.
TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "external_references",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("merchant_id", TEXT, nullable=False),
        sa.Column("entity_type", TEXT, nullable=False),
        sa.Column("entity_id", TEXT, nullable=False),
        sa.Column("provider", TEXT, nullable=False),
        sa.Column("external_id", TEXT, nullable=False),
        sa.Column("external_label", TEXT, nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("is_primary", sa.Boolean(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("fk_external_references_merchant_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_external_references")),
        sa.UniqueConstraint(
            "entity_id",
            "provider",
            "external_id",
            name=op.f("uq_external_references_entity_id_provider_external_id"),
        ),
    )
    op.create_index(
        op.f("ix_external_references_merchant_id_created_at_id"),
        "external_references",
        ["merchant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "uq_external_references_default",
        "external_references",
        ["entity_id", "provider"],
        unique=True,
        sqlite_where=sa.text("is_default"),
        postgresql_where=sa.text("is_default"),
    )
    op.create_index(
        "uq_external_references_primary",
        "external_references",
        ["merchant_id", "provider", "external_id"],
        unique=True,
        sqlite_where=sa.text("is_primary"),
        postgresql_where=sa.text("is_primary"),
    )
    op.create_table(
        "items",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("merchant_id", TEXT, nullable=False),
        sa.Column("product_id", TEXT, nullable=True),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("archived_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name=op.f("fk_items_merchant_id")),
        sa.ForeignKeyConstraint(["product_id"], ["products.id"], name=op.f("fk_items_product_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_items")),
    )
    op.create_index(
        op.f("ix_items_merchant_id_created_at_id"), "items", ["merchant_id", "created_at", "id"], unique=False
    )
    op.create_table(
        "fees",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("merchant_id", TEXT, nullable=False),
        sa.Column("product_id", TEXT, nullable=False),
        sa.Column("item_id", TEXT, nullable=True),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_fees_item_id")),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name=op.f("fk_fees_merchant_id")),
        sa.ForeignKeyConstraint(["product_id"], ["products.id"], name=op.f("fk_fees_product_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fees")),
    )
    op.create_index(op.f("ix_fees_item_id"), "fees", ["item_id"], unique=False)
    op.create_index(
        op.f("ix_fees_merchant_id_created_at_id"), "fees", ["merchant_id", "created_at", "id"], unique=False
    )
    op.create_table(
        "prices",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("merchant_id", TEXT, nullable=False),
        sa.Column("billable_metric_id", TEXT, nullable=True),
        sa.Column("fee_id", TEXT, nullable=True),
        sa.Column("feature_id", TEXT, nullable=True),
        sa.Column("feature_link_id", TEXT, nullable=True),
        sa.Column("entitlement_template", sa.Text(), nullable=True),
        sa.Column("invoice_display_name", TEXT, nullable=False),
        sa.Column("invoice_display_group", TEXT, nullable=True),
        sa.Column("payment_term", TEXT, nullable=False),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("properties", sa.Text(), nullable=False),
        sa.Column("billing_cadence", TEXT, nullable=True),
        sa.Column("pricing_unit_id", TEXT, nullable=True),
        sa.Column("grant_discount_enabled", sa.Boolean(), nullable=False),
        sa.Column("is_obligation", sa.Boolean(), nullable=False),
        sa.Column("rate_type", TEXT, nullable=False),
        sa.Column("supply_scope", TEXT, nullable=False),
        sa.Column("outside_scope_label", TEXT, nullable=True),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["billable_metric_id"], ["billable_metrics.id"], name=op.f("fk_prices_billable_metric_id")
        ),
        sa.ForeignKeyConstraint(["feature_id"], ["features.id"], name=op.f("fk_prices_feature_id")),
        sa.ForeignKeyConstraint(["fee_id"], ["fees.id"], name=op.f("fk_prices_fee_id")),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name=op.f("fk_prices_merchant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prices")),
    )
    op.create_index(op.f("ix_prices_billable_metric_id"), "prices", ["billable_metric_id"], unique=False)
    op.create_index(op.f("ix_prices_feature_id"), "prices", ["feature_id"], unique=False)
    op.create_index(op.f("ix_prices_fee_id"), "prices", ["fee_id"], unique=False)
    op.create_index(
        op.f("ix_prices_merchant_id_created_at_id"),
        "prices",
        ["merchant_id", "created_at", "id"],
        unique=False,
    )
