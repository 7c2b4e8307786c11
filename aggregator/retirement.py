"""Deletes what retired versions of billable metrics have counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import structlog

from meterhouse.adapters.stopping import Stop, wait_for
from meterhouse.domain.errors import Unavailable
from meterhouse.ports.metrics import MetricPublication, RetiredVersions, VersionRows

EVERY: Final = 5.0  # seconds between two looks

_log = structlog.get_logger("aggregator")


@dataclass(frozen=True, slots=True)
class Retirement:
    """Looks again and again for versions that nobody writes or reads; any number of processes may do so.

    A version that readers of the tables are still sent to stays. What a killed worker's INSERT adds after
    the deletion stays too, and is read by nobody.
    """

    versions: RetiredVersions
    rows: VersionRows
    publication: MetricPublication
    every_seconds: float = EVERY

    async def run(self, stop: Stop) -> None:
        """Drop until `stop` is set; while a store is away, wait for it."""
        while not stop.is_set():
            try:
                await self.drop()
            except Unavailable as error:
                _log.info("retired versions not dropped", error=str(error))
            await wait_for(stop, self.every_seconds)

    async def drop(self) -> None:
        """Delete the rows of every version that may go. Raises Unavailable."""
        droppable = await self.versions.droppable()
        if not droppable:
            return
        read = {
            (one.namespace, one.billable_metric_id, one.version) for one in await self.publication.published()
        }
        for one in droppable:
            key = (one.namespace, one.billable_metric_id, one.version)
            if key in read:
                continue
            await self.rows.drop_version(*key)
            await self.versions.dropped(one)
            _log.info("version dropped", billable_metric_id=one.billable_metric_id, version=one.version)
