"""What the crew of an aggregator shows of a partition that cannot be counted."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from aggregator.worker import Worker
from meterhouse.adapters.stopping import Stop
from meterhouse.distributed.crew import Crew
from meterhouse.domain.errors import LogBroken
from meterhouse.settings import AggregatorSettings
from meterhouse.stores import Stores
from meterhouse.telemetry.instruments import AggregatorInstruments
from meterhouse.telemetry.spans import Spans

pytestmark = pytest.mark.anyio


class Broken(Worker):
    """A worker that meets a log which contradicts the catalog."""

    def __init__(self, partition: int) -> None:
        self.partition = partition

    async def run(self, stop: Stop) -> None:
        raise LogBroken("the log was truncated")


class Unlucky(Crew):
    """A crew whose partitions are broken, over no stores at all."""

    async def _made(self, partition: int) -> Worker:
        return Broken(partition)


async def test_a_partition_that_stopped_is_shown_until_another_takes_it() -> None:
    registry = CollectorRegistry()
    crew = Unlucky(object.__new__(Stores), AggregatorInstruments(registry), Spans(), AggregatorSettings())

    def shown() -> float | None:
        return registry.get_sample_value("meterhouse_aggregator_partition_stopped", {"partition": "3"})

    async with asyncio.TaskGroup() as tasks:
        crew.work_in(tasks)
        await crew.start(frozenset([3]))
        await crew._running[3][1]
        assert shown() == 1
        with pytest.raises(LogBroken, match="truncated"):
            await crew.require_whole()
        await crew.stop(frozenset([3]))
        assert shown() is None
