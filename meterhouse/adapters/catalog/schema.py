"""The catalog's schema: bringing it up to date, or saying that someone has to."""

from __future__ import annotations

import importlib
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, inspect, text
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.engines import DatabaseLimits
from meterhouse.domain.errors import NotMigrated

HEAD: Final = "0018"  # the newest revision under migrations/versions; a test compares them

# A migration takes as long as it takes, and so does waiting for the one that another process runs.
_PATIENT: Final = DatabaseLimits(connections=1, statement_timeout=timedelta(minutes=10))


async def migrate(url: str) -> str:
    """Run the migrations that the catalog lacks, in one transaction; the revision it is at then.

    Several processes may do it at once: the second waits and finds it done. Raises CatalogUnavailable,
    NotMigrated where a newer version of meterhouse has been at it already.
    """
    async with Database.open(url, _PATIENT) as database:
        revision = await _revision(database)
        if revision is not None and revision > HEAD:
            raise NotMigrated(_sentence(revision))
        if revision != HEAD:
            await database.write(_upgrade)
    return HEAD


async def is_migrated(database: Database) -> bool:
    """Whether the schema is the one that this version works with. Raises CatalogUnavailable."""
    return await _revision(database) == HEAD


async def require_migrated(database: Database) -> None:
    """Raises NotMigrated, in words for a person, where the schema is another; CatalogUnavailable."""
    revision = await _revision(database)
    if revision != HEAD:
        raise NotMigrated(_sentence(revision))


def _sentence(revision: str | None) -> str:
    if revision is None:
        return "the catalog has no tables yet: run `meterhouse migrate`"
    if revision < HEAD:
        return f"the catalog is at revision {revision}, and {HEAD} is needed: run `meterhouse migrate`"
    return (
        f"the catalog is at revision {revision}, and this version of meterhouse knows {HEAD}: run a newer one"
    )


async def _revision(database: Database) -> str | None:
    return await database.read(lambda session: _revision_of(session.connection()))


def _revision_of(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _upgrade(session: Session) -> None:
    hold_catalog(session)
    # Alembic takes 0.3 s to import, twice what opening a catalog may take; hardly any opening needs it.
    importlib.import_module("meterhouse.adapters.catalog.migrate").upgrade(session.connection())
