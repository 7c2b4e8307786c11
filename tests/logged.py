"""A log on Kafka as tests open it, write to it and look at it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import anyio
import anyio.to_thread
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord

from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.kafka.limits import DeliveryLimits
from meterhouse.adapters.kafka.log import KafkaLog
from meterhouse.ports.log import Entry
from tests.servers.kafka import PATIENT, TestTopic

PATIENCE = 30.0  # seconds; only a failing test waits that long


def entry(text: str, key: str = "key", received_at: int = 1_777_640_400_123_000) -> Entry:
    return Entry(key.encode(), text.encode(), received_at)


def opened(topic: TestTopic, limits: DeliveryLimits = PATIENT) -> AbstractAsyncContextManager[KafkaLog]:
    return KafkaLog.open(topic.servers, topic.name, SystemClock(), limits)


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return once `holds` does; nobody tells when Kafka has come round to something."""
    with anyio.fail_after(PATIENCE):
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def texts(log: KafkaLog) -> list[str]:
    """The values of every record, partition by partition."""
    found: list[str] = []
    for partition in await log.partitions():
        first = (await log.bounds(partition)).first
        found += [record.value.decode() for record in await log.read(partition, first, 1_000_000)]
    return found


async def consumed(topic: TestTopic, name: str, count: int) -> list[ConsumerRecord]:
    """The first records of a topic as any consumer gets them."""
    consumer = AIOKafkaConsumer(name, bootstrap_servers=topic.servers.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        with anyio.fail_after(PATIENCE):
            return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()
