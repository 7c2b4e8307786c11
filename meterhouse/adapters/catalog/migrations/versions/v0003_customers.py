"""Customers of merchants, and the consumers that they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# By code point, as SQLite compares.
TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "consumers",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("merchant_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("caseless_name", TEXT, nullable=False),
        sa.Column("email", TEXT, nullable=False),
        sa.Column("caseless_email", TEXT, nullable=False),
        sa.Column("address", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("phone", TEXT, nullable=True),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name=op.f("fk_consumers_merchant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consumers")),
        sa.UniqueConstraint(
            "merchant_id", "caseless_email", name=op.f("uq_consumers_merchant_id_caseless_email")
        ),
    )
    op.create_table(
        "customers",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("merchant_id", TEXT, nullable=False),
        sa.Column("consumer_id", TEXT, nullable=False),
        sa.Column("tax_id", TEXT, nullable=True),
        sa.Column("external_id", TEXT, nullable=True),
        sa.Column("tax_rates", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("invoice_issued", sa.Boolean(), nullable=False),
        sa.Column("invoice_paid", sa.Boolean(), nullable=False),
        sa.Column("renewal_reminder", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["consumer_id"], ["consumers.id"], name=op.f("fk_customers_consumer_id")),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name=op.f("fk_customers_merchant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customers")),
        sa.UniqueConstraint("merchant_id", "consumer_id", name=op.f("uq_customers_merchant_id_consumer_id")),
        sa.UniqueConstraint("merchant_id", "external_id", name=op.f("uq_customers_merchant_id_external_id")),
    )
    op.create_index(
        op.f("ix_customers_merchant_id_created_at_id"),
        "customers",
        ["merchant_id", "created_at", "id"],
        unique=False,
    )
