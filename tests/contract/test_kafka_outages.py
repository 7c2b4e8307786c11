"""What the log on Kafka does while its brokers are away, hang or are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import anyio
import anyio.to_thread
import pytest

from deploy.local.kafka import Cluster
from meterhouse.adapters.kafka.limits import DeliveryLimits
from meterhouse.adapters.kafka.log import KafkaLog
from meterhouse.adapters.kafka.servers import KafkaServers
from meterhouse.adapters.kafka.topics import TopicPlan, create
from meterhouse.domain.errors import LogUnavailable
from tests.logged import PATIENCE, entry, eventually, opened, texts
from tests.servers.kafka import TestTopic, running_cluster

pytestmark = pytest.mark.anyio

IMPATIENT = DeliveryLimits(delivery_timeout=timedelta(seconds=2))


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A broker that this module may kill."""
    with running_cluster(tmp_path_factory.mktemp("kafka-to-kill")) as cluster:
        yield cluster


async def test_while_the_broker_is_away_requests_fail_in_time_and_leave_nothing_but_what_was_on_its_way(
    own_cluster: Cluster,
) -> None:
    topic = TestTopic(KafkaServers(bootstrap=own_cluster.bootstrap), "away")
    await create(topic.servers, topic.name, TopicPlan(partitions=1, replicas=1, min_insync=1))
    (broker,) = own_cluster.brokers
    refused: list[str] = []

    async def append(log: KafkaLog, text: str) -> None:
        with anyio.fail_after(IMPATIENT.delivery_timeout.total_seconds() + 1), pytest.raises(LogUnavailable):
            await log.append([entry(text)])
        refused.append(text)

    async with opened(topic, IMPATIENT) as log:
        await log.append([entry("before")])
        broker.kill()
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(append, log, str(number))
                await asyncio.sleep(0.01)
        assert len(refused) == 20
        broker.launch()
        await anyio.to_thread.run_sync(own_cluster.wait_until_ready)

        async def is_back() -> bool:
            with suppress(LogUnavailable):
                return bool(await log.append([entry("after")]))
            return False

        await eventually(is_back)
        held = await texts(log)
    assert held[0] == "before"
    assert held[-1] == "after"
    assert set(held[1:-1]) <= {"0", "after"}  # the one that was on its way


async def test_a_broker_that_hangs_makes_requests_fail_in_time(own_cluster: Cluster) -> None:
    topic = TestTopic(KafkaServers(bootstrap=own_cluster.bootstrap), "hangs")
    await create(topic.servers, topic.name, TopicPlan(partitions=1, replicas=1, min_insync=1))
    (broker,) = own_cluster.brokers
    async with opened(topic, IMPATIENT) as log:
        await log.append([entry("before")])
        broker.pause()
        try:
            with anyio.fail_after(IMPATIENT.delivery_timeout.total_seconds() + 1):
                with pytest.raises(LogUnavailable, match="in time"):
                    await log.append([entry("unknown")])
            with pytest.raises(LogUnavailable):
                await log.bounds(0)
        finally:
            broker.resume()
        with anyio.fail_after(PATIENCE):
            await log.wait(0, 1, PATIENCE)
        assert (await texts(log))[:2] == ["before", "unknown"]


async def test_closing_does_not_wait_for_a_broker_that_is_gone(own_cluster: Cluster) -> None:
    topic = TestTopic(KafkaServers(bootstrap=own_cluster.bootstrap), "gone")
    await create(topic.servers, topic.name, TopicPlan(partitions=1, replicas=1, min_insync=1))
    (broker,) = own_cluster.brokers
    try:
        with anyio.fail_after(PATIENCE):
            async with opened(topic, IMPATIENT) as log:
                await log.append([entry("before")])
                broker.kill()
                with pytest.raises(LogUnavailable):
                    await log.append([entry("unknown")])
    finally:
        broker.launch()
        await anyio.to_thread.run_sync(own_cluster.wait_until_ready)
