"""Webhooks: whether merchants are told, where to, what, how that went, and which entitlements to look at."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

# By code point, as SQLite compares.
TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    _watch_entitlements()
    _make_addresses()
    _make_outbox()
    op.create_table(
        "webhook_progress",
        sa.Column("log_id", TEXT, nullable=False),
        sa.Column("partition", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("log_id", "partition", name=op.f("pk_webhook_progress")),
    )


def _watch_entitlements() -> None:
    """All that are there already are to be looked at, once somebody is told."""
    op.add_column("entitlements", sa.Column("look_at", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("entitlements", sa.Column("looked_until", sa.BigInteger(), nullable=True))
    op.create_index(
        op.f("ix_entitlements_merchant_id_look_at"), "entitlements", ["merchant_id", "look_at"], unique=False
    )


def _make_addresses() -> None:
    op.create_table(
        "webhooks",
        sa.Column("merchant_id", TEXT, nullable=False),
        sa.Column("application_id", TEXT, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name=op.f("fk_webhooks_merchant_id")),
        sa.PrimaryKeyConstraint("merchant_id", name=op.f("pk_webhooks")),
    )
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("merchant_id", TEXT, nullable=False),
        sa.Column("url", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("types", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.Column("secret", TEXT, nullable=False),
        sa.Column("old_secret", TEXT, nullable=True),
        sa.Column("old_secret_until", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["webhooks.merchant_id"], name=op.f("fk_webhook_endpoints_merchant_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoints")),
        sa.UniqueConstraint("merchant_id", "url", name=op.f("uq_webhook_endpoints_merchant_id_url")),
    )
    op.create_index(
        op.f("ix_webhook_endpoints_merchant_id_created_at_id"),
        "webhook_endpoints",
        ["merchant_id", "created_at", "id"],
        unique=False,
    )


def _make_outbox() -> None:
    op.create_table(
        "webhook_notices",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("merchant_id", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("payload", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_notices")),
    )
    op.create_index(op.f("ix_webhook_notices_created_at"), "webhook_notices", ["created_at"], unique=False)
    op.create_table(
        "webhook_marks",
        sa.Column("entitlement_id", TEXT, nullable=False),
        sa.Column("mark", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["entitlement_id"], ["entitlements.id"], name=op.f("fk_webhook_marks_entitlement_id")
        ),
        sa.PrimaryKeyConstraint("entitlement_id", "mark", name=op.f("pk_webhook_marks")),
    )
    _make_deliveries()


def _make_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("notice_id", TEXT, nullable=False),
        sa.Column("endpoint_id", TEXT, nullable=False),
        sa.Column("merchant_id", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("last_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("last_status", sa.BigInteger(), nullable=True),
        sa.Column("last_error", TEXT, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["notice_id"], ["webhook_notices.id"], name=op.f("fk_webhook_deliveries_notice_id")
        ),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["webhook_endpoints.id"], name=op.f("fk_webhook_deliveries_endpoint_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
    )
    for columns in (
        ["merchant_id", "created_at", "id"],
        ["endpoint_id", "next_at"],
        ["state", "created_at", "id"],
        ["notice_id"],
    ):
        name = op.f(f"ix_webhook_deliveries_{'_'.join(columns)}")
        op.create_index(name, "webhook_deliveries", columns, unique=False)
