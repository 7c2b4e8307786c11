"""Keeps the billable metrics that readers of the tables see equal to the catalog's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from meterhouse.adapters.stopping import Stop, wait_for
from meterhouse.domain.errors import Unavailable
from meterhouse.ports.metrics import MetricDirectory, MetricPublication, PublishedMetric, Serving

EVERY: Final = 5.0  # seconds between two looks
GONE: Final = 0  # no version: what is counted no more has none to read

_log = structlog.get_logger("aggregator")


@dataclass(frozen=True, slots=True)
class Publisher:
    """Compares and adds what differs, again and again; any number of processes may do so at once.

    What is published is read before the catalog is. So whoever was held up in between publishes an old state
    at most as a revision that another has taken already or is about to follow, and the next look mends it.
    """

    directory: MetricDirectory
    publication: MetricPublication
    every_seconds: float = EVERY

    async def run(self, stop: Stop) -> None:
        """Publish until `stop` is set; while a store is away, wait for it."""
        while not stop.is_set():
            try:
                await self.publish()
            except Unavailable as error:
                _log.info("billable metrics not published", error=str(error))
            await wait_for(stop, self.every_seconds)

    async def publish(self) -> None:
        """Bring what is published up to what the catalog says. Raises Unavailable."""
        published = await self.publication.published()
        await self.publication.publish(news(published, await self.directory.all_serving()))


def news(published: Mapping[PublishedMetric, int], serving: Sequence[Serving]) -> dict[PublishedMetric, int]:
    """What has to be published, under which revisions, so that readers see what is served."""
    revisions = {_key(metric): revision for metric, revision in published.items()}
    current = {_key(metric): metric for metric in map(shown, serving)}
    gone = [replace(metric, version=GONE) for metric in published if _key(metric) not in current]
    return {
        one: revisions.get(_key(one), 0) + 1 for one in (*current.values(), *gone) if one not in published
    }


def shown(serving: Serving) -> PublishedMetric:
    """The metric as readers of the tables have to know it."""
    metric, definition = serving.metric, serving.shown.definition
    return PublishedMetric(
        namespace=definition.namespace,
        billable_metric_id=metric.id,
        version=definition.version,
        aggregation=definition.aggregation.value,
        name=metric.name,
        unit=metric.unit,
        dimensions=definition.dimension_names,
    )


def _key(metric: PublishedMetric) -> tuple[str, str]:
    return metric.namespace, metric.billable_metric_id
