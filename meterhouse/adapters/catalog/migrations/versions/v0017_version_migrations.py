"""What stays as it was for a while, when a subscription has moved to another version of its plan."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.add_column("subscription_versions", sa.Column("advance_number", sa.BigInteger(), nullable=True))
    op.add_column("subscriptions", sa.Column("entitled_version", sa.BigInteger(), nullable=True))
    op.add_column("subscriptions", sa.Column("entitled_until", sa.BigInteger(), nullable=True))
