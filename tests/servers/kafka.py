"""Kafka for tests: METERHOUSE_TEST_KAFKA, else Docker, else started here, else a skip that says why.

Brokers that a test kills are always started here (deploy/local/kafka.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

import anyio
import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition

from deploy.local.kafka import Cluster, KafkaNotStarted, start_cluster
from meterhouse.adapters.kafka.limits import DeliveryLimits
from meterhouse.adapters.kafka.servers import KafkaServers
from meterhouse.adapters.kafka.topics import TopicPlan, create
from tests.servers.choice import chosen_server, kafka_container


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap servers of a Kafka that the whole session shares; each test makes its own topics."""

    @contextmanager
    def local() -> Iterator[str]:
        with running_cluster(tmp_path_factory.mktemp("kafka")) as cluster:
            yield cluster.bootstrap

    with chosen_server("METERHOUSE_TEST_KAFKA", container=kafka_container, local=local) as address:
        yield address


# A topic of the tests, which have one broker.
PLAN: Final = TopicPlan(partitions=3, replicas=1, min_insync=1)

# For tests in which nothing fails: a busy machine is no reason to give up.
PATIENT: Final = DeliveryLimits(delivery_timeout=timedelta(seconds=30))
_PATIENCE: Final = 30.0  # seconds; only a failing test waits that long


@dataclass(frozen=True, slots=True)
class TestTopic:
    """A topic of one test's own, with that of its dead letters."""

    __test__ = False

    servers: KafkaServers
    name: str


@pytest.fixture
def kafka_topic(kafka: str) -> TestTopic:
    """A new and empty topic with three partitions."""
    topic = TestTopic(KafkaServers(bootstrap=kafka), f"events-{uuid4().hex[:12]}")
    asyncio.run(create(topic.servers, topic.name, PLAN))
    return topic


@contextmanager
def running_cluster(folder: Path, *, brokers: int = 1, properties: str = "") -> Iterator[Cluster]:
    """A cluster of one's own, for tests that kill brokers. Skips where Kafka cannot run."""
    try:
        cluster = start_cluster(folder, brokers=brokers, properties=properties)
    except KafkaNotStarted as error:
        pytest.skip(f"no Kafka: METERHOUSE_TEST_KAFKA is not set, and none could be started: {error}")
    try:
        yield cluster
    finally:
        cluster.kill()


# --- what an operator, or retention, does to a topic ---


@asynccontextmanager
async def admin(topic: TestTopic) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client for the topic's cluster."""
    client = AIOKafkaAdminClient(bootstrap_servers=topic.servers.bootstrap)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def delete_before(topic: TestTopic, partition: int, offset: int) -> None:
    """What retention does, now."""
    async with admin(topic) as client:
        await client.delete_records({TopicPartition(topic.name, partition): RecordsToDelete(offset)})


async def delete_and_make_anew(topic: TestTopic) -> None:
    """Another topic of the same name and size; the one of dead letters stays."""
    async with admin(topic) as client:
        await client.delete_topics([topic.name])
    with anyio.fail_after(_PATIENCE):
        while not await create(topic.servers, topic.name, PLAN):  # noqa: ASYNC110 # nobody tells when it is gone
            await asyncio.sleep(0.05)
