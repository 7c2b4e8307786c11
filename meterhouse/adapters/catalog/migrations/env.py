"""What Alembic runs: the migrations, in the transaction of the connection it is handed."""

from __future__ import annotations

from alembic import context

from meterhouse.adapters.catalog.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
