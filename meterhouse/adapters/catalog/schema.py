"""Bringing the catalog's schema up to date when it is opened."""

from __future__ import annotations

import importlib
from typing import Final

from sqlalchemy import Connection, inspect, text
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.database import Database

HEAD: Final = "0001"  # the newest revision under migrations/versions; a test compares them


async def bring_up_to_date(database: Database) -> None:
    """Run the migrations that the database lacks, in one transaction; nothing when it is at HEAD.

    Several processes may do it at once: the second finds it done. Raises CatalogUnavailable.
    """
    if await database.read(lambda session: _revision(session.connection())) != HEAD:
        await database.write(_migrate)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _migrate(session: Session) -> None:
    # Alembic takes 0.3 s to import, twice what opening a catalog may take; hardly any opening needs it.
    importlib.import_module("meterhouse.adapters.catalog.migrate").upgrade(session.connection())
