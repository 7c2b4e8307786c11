"""The one row of counters, and the lock that puts changes of the catalog in a row.

The order of locks, the same everywhere, so that no two transactions wait for each other: a partition's
progress, then a backfill's, then this lock, then whatever else. So:

* Whoever changes merchants, keys, customers, definitions or what is sold holds the lock from its first
  statement on: it reads what no other such change is about to replace.
* A version number is taken and becomes visible while the lock is held. Whoever sees number 8 sees all that
  7 changed, and nothing that appears later bears a number up to 8.

Everything here runs inside a transaction of the caller's.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.models import StateRow

# "meter"; any number that nobody else uses in this database. An advisory lock is granted in the order of
# asking, which that of a row is not: those who wait for a row lose their place whenever it changes.
ADVISORY_LOCK: Final = 0x6D65746572

_LOCK_PROGRESS: Final = text("LOCK TABLE log_progress IN EXCLUSIVE MODE")


def hold_catalog(session: Session) -> None:
    """Wait until no other transaction changes the catalog, and let none until this one ends.

    Again changes nothing. On SQLite a write has the whole database from its beginning already.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))


def hold_progress(session: Session) -> None:
    """Wait until nobody claims, plans or advances, on any partition, and let none until this one ends.

    Whoever plans after it sees what it changed. On SQLite a write has the whole database.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_LOCK_PROGRESS)


def newest_catalog_version(session: Session) -> int:
    return session.scalars(select(StateRow.catalog_version)).one()


def begin_catalog_version(session: Session) -> int:
    """The number of a new catalog version; until the transaction ends nobody else gets one."""
    hold_catalog(session)
    statement = update(StateRow).values(catalog_version=StateRow.catalog_version + 1)
    return session.scalars(statement.returning(StateRow.catalog_version)).one()


def begin_keys_version(session: Session) -> int:
    """The number that keys changed by this transaction bear; until it ends nobody else gets one."""
    hold_catalog(session)
    statement = update(StateRow).values(keys_version=StateRow.keys_version + 1)
    return session.scalars(statement.returning(StateRow.keys_version)).one()
