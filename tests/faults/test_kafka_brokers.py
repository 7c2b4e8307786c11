"""One broker of three is killed and comes back while events are appended and read: the log never lies."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from deploy.local.kafka import Cluster
from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.kafka.limits import DeliveryLimits
from meterhouse.adapters.kafka.log import KafkaLog
from meterhouse.adapters.kafka.servers import KafkaServers
from meterhouse.adapters.kafka.topics import TopicPlan, create, describe
from meterhouse.domain.errors import LogUnavailable, Overloaded
from meterhouse.ports.log import Entry
from tests.servers.kafka import running_cluster

pytestmark = [pytest.mark.anyio, pytest.mark.faults]

LIMITS = DeliveryLimits(delivery_timeout=timedelta(seconds=4))
APPENDERS = 8


class Ledger:
    """What became of each event: the offset just after it, or the refusal."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, tuple[int, int]] = {}
        self.refused: set[str] = set()
        self.stop = False

    async def append(self, log: KafkaLog, appender: int) -> None:
        number = 0
        while not self.stop:
            text = f"{appender} {number}"
            try:
                with anyio.fail_after(LIMITS.delivery_timeout.total_seconds() + 1):
                    (position,) = await log.append([Entry(text.encode(), text.encode(), 1000)])
            except (LogUnavailable, Overloaded):
                self.refused.add(text)
            else:
                self.acknowledged[text] = (position.partition, position.offset - 1)
            number += 1


async def held(log: KafkaLog) -> dict[tuple[int, int], str]:
    """Every record by its place."""
    found: dict[tuple[int, int], str] = {}
    for partition in await log.partitions():
        bounds = await log.bounds(partition)
        offset = bounds.first
        while offset < bounds.end:
            for record in await log.read(partition, offset, 5000):
                found[partition, record.offset] = record.value.decode()
                offset = record.offset + 1
    return found


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with running_cluster(tmp_path, brokers=3) as cluster:
        yield cluster


async def test_acknowledged_events_survive_each_broker_in_turn(cluster: Cluster) -> None:
    ledger = Ledger()
    servers = KafkaServers(bootstrap=cluster.bootstrap)
    await create(servers, "events", TopicPlan(partitions=3))
    assert [topic.problems for topic in await describe(servers, "events")] == [[], []]
    async with KafkaLog.open(servers, "events", SystemClock(), LIMITS) as log:
        async with anyio.create_task_group() as tasks:
            for appender in range(APPENDERS):
                tasks.start_soon(ledger.append, log, appender)
            for broker in cluster.brokers:
                await asyncio.sleep(1)
                before = len(ledger.acknowledged)
                broker.kill()
                with anyio.fail_after(30):
                    while len(ledger.acknowledged) < before + 500:  # noqa: ASYNC110 # the others go on
                        await asyncio.sleep(0.05)
                broker.launch()
                await anyio.to_thread.run_sync(cluster.wait_until_ready)
            ledger.stop = True
        with anyio.fail_after(30):
            records = await held(log)
    assert {records[place] for place in ledger.acknowledged.values()} == ledger.acknowledged.keys()
    for text, place in ledger.acknowledged.items():
        assert records[place] == text
    texts = list(records.values())
    assert len(set(texts)) == len(texts), "one append was written twice"
    assert set(texts) <= ledger.acknowledged.keys() | ledger.refused
