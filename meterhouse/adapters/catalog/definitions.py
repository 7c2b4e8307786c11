"""What the fold needs to know of the catalog, remembered by catalog version."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import newest_catalog_version
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.versions import definitions_of
from meterhouse.domain.billable_metric import Definition

_REMEMBERED: Final = 8  # a worker asks for the newest, and in a replay for one before


class CatalogDefinitions:
    """Implements Definitions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[int, Sequence[Definition]] = {}

    async def at(self, catalog_version: int) -> Sequence[Definition]:
        """ValueError for a version that is yet to come: what it will hold is not settled."""
        known = self._known.get(catalog_version)
        if known is None:
            known = await self._database.read(partial(_definitions, catalog_version))
            while len(self._known) >= _REMEMBERED:
                self._known.pop(next(iter(self._known)))
            self._known[catalog_version] = known
        return known

    async def newest(self) -> int:
        return await self._database.read(newest_catalog_version)


def _definitions(catalog_version: int, session: Session) -> Sequence[Definition]:
    if catalog_version > newest_catalog_version(session):
        raise ValueError(f"there is no catalog version {catalog_version} yet")
    return definitions_of(session, catalog_version)
