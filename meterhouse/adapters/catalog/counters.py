"""The one row of counters, and the lock on it that puts changes of the catalog in a row.

The order of locks, the same everywhere, so that no two transactions wait for each other: a partition's
progress, then a backfill's, then this row, then whatever else. So:

* Whoever changes merchants, keys, products or definitions holds the row from its first statement on: it
  reads what no other such change is about to replace.
* A version number is taken and becomes visible while the row is held. Whoever sees number 8 sees all that
  7 changed, and nothing that appears later bears a number up to 8.

On SQLite a write has the whole database from its beginning, and the lock is no more than a read.
Everything here runs inside a transaction of the caller's.
"""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.models import StateRow


def hold_counters(session: Session) -> None:
    """Wait for the row and keep it until the transaction ends; again changes nothing."""
    session.execute(select(StateRow.id).with_for_update())


def newest_catalog_version(session: Session) -> int:
    return session.scalars(select(StateRow.catalog_version)).one()


def begin_catalog_version(session: Session) -> int:
    """The number of a new catalog version; until the transaction ends nobody else gets one."""
    statement = update(StateRow).values(catalog_version=StateRow.catalog_version + 1)
    return session.scalars(statement.returning(StateRow.catalog_version)).one()


def begin_keys_version(session: Session) -> int:
    """The number that keys changed by this transaction bear; until it ends nobody else gets one."""
    statement = update(StateRow).values(keys_version=StateRow.keys_version + 1)
    return session.scalars(statement.returning(StateRow.keys_version)).one()
