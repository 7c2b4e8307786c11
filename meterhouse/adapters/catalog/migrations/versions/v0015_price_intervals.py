"""What is written over the lines of a plan, or beside them, and the record of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0013"

# By code point, as SQLite compares.
TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "price_intervals",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("subscription_id", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("price_id", TEXT, nullable=False),
        sa.Column("is_owned", sa.Boolean(), nullable=False),
        sa.Column("unit_price", TEXT, nullable=True),
        sa.Column("base_quantity", TEXT, nullable=False),
        sa.Column("quantity_steps", sa.Text(), nullable=False),
        sa.Column("billing_cadence", TEXT, nullable=True),
        sa.Column("is_in_advance", sa.Boolean(), nullable=False),
        sa.Column("bill_at", sa.BigInteger(), nullable=True),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("end_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("fk_price_intervals_subscription_id")
        ),
        sa.ForeignKeyConstraint(["price_id"], ["prices.id"], name=op.f("fk_price_intervals_price_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_intervals")),
    )
    for column in ("subscription_id", "price_id"):
        op.create_index(op.f(f"ix_price_intervals_{column}"), "price_intervals", [column], unique=False)
    op.create_table(
        "price_closures",
        sa.Column("subscription_id", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("start_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("end_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("fk_price_closures_subscription_id")
        ),
        sa.PrimaryKeyConstraint("subscription_id", "key", "start_at", name=op.f("pk_price_closures")),
    )
    _make_changes()


def _make_changes() -> None:
    op.create_table(
        "interval_changes",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("merchant_id", TEXT, nullable=False),
        sa.Column("subscription_id", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("entries", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("fk_interval_changes_merchant_id")
        ),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("fk_interval_changes_subscription_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_interval_changes")),
    )
    for columns in (["merchant_id", "created_at", "id"], ["subscription_id", "created_at", "id"]):
        name = op.f(f"ix_interval_changes_{'_'.join(columns)}")
        op.create_index(name, "interval_changes", columns, unique=False)
