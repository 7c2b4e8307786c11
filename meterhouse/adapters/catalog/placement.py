"""Which shard of ClickHouse holds which partition of a log: decided once, and never again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.models import LogShardRow


class CatalogPlacement:
    """Implements Placement for one log."""

    def __init__(self, database: Database, log_id: str) -> None:
        self._database = database
        self._log_id = log_id

    async def shard_of(self, partition: int, shards: Sequence[int]) -> int:
        given = await self._database.read(partial(_given, self._log_id))
        if partition in given:
            return given[partition]
        return await self._database.write(partial(_give, self._log_id, partition, shards))


def _given(log_id: str, session: Session) -> dict[int, int]:
    rows = select(LogShardRow.partition, LogShardRow.shard).where(LogShardRow.log_id == log_id)
    return dict(session.execute(rows).all())


def _give(log_id: str, partition: int, shards: Sequence[int], session: Session) -> int:
    hold_catalog(session)
    given = _given(log_id, session)
    if partition in given:
        return given[partition]
    partitions = Counter(given.values())
    shard = min(shards, key=lambda shard: (partitions[shard], shard))
    session.execute(insert(LogShardRow).values(log_id=log_id, partition=partition, shard=shard))
    return shard
