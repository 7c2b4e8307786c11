"""What the fold needs to know of the catalog, remembered by catalog version."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import newest_catalog_version
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.tombstones import KnownTombstones
from meterhouse.adapters.catalog.versions import definitions_of
from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.tombstone import Tombstones

_REMEMBERED: Final = 8  # a worker asks for the newest, and in a replay for one before


@dataclass(frozen=True, slots=True)
class _Known:
    definitions: Sequence[Definition]
    tombstones: Mapping[str, Tombstones]


class _Recent(NamedTuple):
    asked_at: float
    catalog_version: int


class CatalogDefinitions:
    """Implements Definitions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[int, _Known] = {}
        self._recent: _Recent | None = None

    async def at(self, catalog_version: int) -> Sequence[Definition]:
        """ValueError for a version that is yet to come: what it will hold is not settled."""
        return (await self._at(catalog_version)).definitions

    async def tombstones(self, catalog_version: int) -> Mapping[str, Tombstones]:
        return (await self._at(catalog_version)).tombstones

    async def _at(self, catalog_version: int) -> _Known:
        known = self._known.get(catalog_version)
        if known is None:
            known = await self._database.read(partial(_read, catalog_version))
            while len(self._known) >= _REMEMBERED:
                self._known.pop(next(iter(self._known)))
            self._known[catalog_version] = known
        return known

    async def newest(self) -> int:
        return await self._database.read(newest_catalog_version)

    async def recent(self, max_age: float) -> int:
        now = time.monotonic()
        if self._recent is None or now - self._recent.asked_at > max_age:
            self._recent = _Recent(now, await self.newest())
        return self._recent.catalog_version


def _read(catalog_version: int, session: Session) -> _Known:
    if catalog_version > newest_catalog_version(session):
        raise ValueError(f"there is no catalog version {catalog_version} yet")
    tombstones = KnownTombstones.read(session, catalog_version)
    return _Known(
        definitions_of(session, catalog_version, tombstones), tombstones.by_merchant(catalog_version)
    )
