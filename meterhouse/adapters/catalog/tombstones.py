"""Tombstones as a catalog version knows them.

Everything here runs inside a transaction of the caller's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.models import TombstoneRow
from meterhouse.domain.tombstone import NO_TOMBSTONES, Tombstone, Tombstones


@dataclass(frozen=True, slots=True)
class KnownTombstones:
    """By merchant, each with the catalog version that it appeared in, in this order.

    A metric version counts by those that appeared with it or before it, for ever; a later reset makes it be
    replaced.
    """

    _rows: Mapping[str, list[tuple[int, Tombstone]]]
    _made: dict[tuple[str, int], Tombstones] = field(default_factory=dict)

    @classmethod
    def read(cls, session: Session, catalog_version: int | None = None) -> KnownTombstones:
        """All of them, or those of a catalog version."""
        statement = select(TombstoneRow).order_by(TombstoneRow.appeared_in, TombstoneRow.at)
        if catalog_version is not None:
            statement = statement.where(TombstoneRow.appeared_in <= catalog_version)
        found = defaultdict(list)
        for row in session.scalars(statement):
            found[row.merchant_id].append((row.appeared_in, tombstone_of(row)))
        return cls(dict(found))

    def of(self, merchant_id: str, catalog_version: int) -> Tombstones:
        """Those of the merchant in that catalog version."""
        rows = self._rows.get(merchant_id, ())
        known = [one for appeared_in, one in rows if appeared_in <= catalog_version]
        if not known:
            return NO_TOMBSTONES
        key = (merchant_id, len(known))
        if key not in self._made:
            self._made[key] = Tombstones.of(known)
        return self._made[key]

    def by_merchant(self, catalog_version: int) -> Mapping[str, Tombstones]:
        """Those of everybody who has any."""
        return {merchant_id: self.of(merchant_id, catalog_version) for merchant_id in self._rows}


NONE_KNOWN: Final = KnownTombstones({})


def tombstone_of(row: TombstoneRow) -> Tombstone:
    return Tombstone(row.at, (row.subject, row.external_subject))
