"""The first tables, and the one row of counters."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# By code point, as SQLite compares.
TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "backfill_progress",
        sa.Column("billable_metric_id", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("log_id", TEXT, nullable=False),
        sa.Column("partition", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("until_offset", sa.BigInteger(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("pending_last", sa.BigInteger(), nullable=True),
        sa.Column("catalog_version", sa.BigInteger(), nullable=True),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint(
            "billable_metric_id", "version", "log_id", "partition", name=op.f("pk_backfill_progress")
        ),
    )
    op.create_index(
        op.f("ix_backfill_progress_log_id_partition_done"),
        "backfill_progress",
        ["log_id", "partition", "done"],
        unique=False,
    )
    op.create_table(
        "catalog_state",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("catalog_version", sa.BigInteger(), nullable=False),
        sa.Column("keys_version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalog_state")),
    )
    op.create_table(
        "log_progress",
        sa.Column("log_id", TEXT, nullable=False),
        sa.Column("partition", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("pending_last", sa.BigInteger(), nullable=True),
        sa.Column("catalog_version", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("log_id", "partition", name=op.f("pk_log_progress")),
    )
    op.create_table(
        "merchants",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merchants")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("merchant_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.Column("prefix", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("changed_in", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name=op.f("fk_api_keys_merchant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("hash", name=op.f("uq_api_keys_hash")),
    )
    op.create_index(op.f("ix_api_keys_changed_in"), "api_keys", ["changed_in"], unique=False)
    op.create_index(op.f("ix_api_keys_merchant_id"), "api_keys", ["merchant_id"], unique=False)
    op.create_table(
        "products",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("merchant_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("details", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name=op.f("fk_products_merchant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_products")),
    )
    op.create_index(
        op.f("ix_products_merchant_id_created_at_id"),
        "products",
        ["merchant_id", "created_at", "id"],
        unique=False,
    )
    op.create_table(
        "billable_metrics",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("merchant_id", TEXT, nullable=False),
        sa.Column("product_id", TEXT, nullable=False),
        sa.Column("item_id", TEXT, nullable=True),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("unit", TEXT, nullable=False),
        sa.Column("aggregation", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("fk_billable_metrics_merchant_id")
        ),
        sa.ForeignKeyConstraint(["product_id"], ["products.id"], name=op.f("fk_billable_metrics_product_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billable_metrics")),
    )
    op.create_index(
        op.f("ix_billable_metrics_merchant_id_created_at_id"),
        "billable_metrics",
        ["merchant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(op.f("ix_billable_metrics_product_id"), "billable_metrics", ["product_id"], unique=False)
    op.create_table(
        "billable_metric_versions",
        sa.Column("billable_metric_id", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_type", TEXT, nullable=True),
        sa.Column("value_property", TEXT, nullable=True),
        sa.Column("group_by", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("event_from", sa.BigInteger(), nullable=True),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("appeared_in", sa.BigInteger(), nullable=False),
        sa.Column("retired_in", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["billable_metric_id"],
            ["billable_metrics.id"],
            name=op.f("fk_billable_metric_versions_billable_metric_id"),
        ),
        sa.PrimaryKeyConstraint("billable_metric_id", "version", name=op.f("pk_billable_metric_versions")),
    )
    op.create_index(
        op.f("ix_billable_metric_versions_appeared_in"),
        "billable_metric_versions",
        ["appeared_in"],
        unique=False,
    )
    op.create_index(
        op.f("ix_billable_metric_versions_retired_in"),
        "billable_metric_versions",
        ["retired_in"],
        unique=False,
    )
    op.execute("INSERT INTO catalog_state (id, catalog_version, keys_version) VALUES (1, 0, 0)")
