"""Record batches to brokers, each at most once: aiokafka's idempotent producer, renewed when it is spent.

aiokafka numbers the batches of a partition and repeats one until it is acknowledged, which keeps a lost
acknowledgement from writing it twice. After an error that no repetition helps, its numbers have a hole that
the broker refuses for ever; then it is abandoned, and another one with numbers of its own takes over.
"""

from __future__ import annotations

import asyncio
from asyncio import TaskGroup
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from meterhouse.adapters.kafka.failures import KAFKA_ERRORS
from meterhouse.adapters.kafka.limits import DeliveryLimits
from meterhouse.adapters.kafka.servers import KafkaServers
from meterhouse.domain.errors import LogUnavailable

_RESTART_SECONDS: Final = 0.2

_log = structlog.get_logger("kafka")


class Delivery:
    """One connected producer at a time. Open it with `open`."""

    def __init__(self, servers: KafkaServers, limits: DeliveryLimits, tasks: TaskGroup) -> None:
        self.limits = limits
        self._servers = servers
        self._tasks = tasks
        self._client: AIOKafkaProducer | None = None
        self._counts: dict[str, int] = {}
        self._renewed = asyncio.Event()
        self._closed = False

    @classmethod
    @asynccontextmanager
    async def open(
        cls, servers: KafkaServers, limits: DeliveryLimits, tasks: TaskGroup
    ) -> AsyncIterator[Delivery]:
        """Connect. `tasks` runs what happens in the background. Raises LogUnavailable.

        On leaving, batches that were not acknowledged by then are given up, and their outcome is unknown.
        """
        delivery = cls(servers, limits, tasks)
        try:
            delivery._client = await _connect(servers, limits)
        except KAFKA_ERRORS as error:
            raise LogUnavailable(f"Kafka at {servers.bootstrap} does not answer: {error!r}") from error
        try:
            yield delivery
        finally:
            delivery._closed = True
            delivery._renewed.set()
            if delivery._client is not None:
                await _abandon(delivery._client, limits)

    async def client(self) -> AIOKafkaProducer:
        """The producer to use now; waits while there is none. Raises LogUnavailable once closed."""
        while self._client is None:
            if self._closed:
                raise LogUnavailable("the event log is closing")
            await self._renewed.wait()
        return self._client

    def partition_count(self, topic: str) -> int:
        """How many partitions the topic has, as far as we know. Raises LogUnavailable without a topic."""
        if self._client is not None:
            self._counts[topic] = len(_partitions(self._client, topic))
        elif topic not in self._counts:
            raise LogUnavailable("there is no connection to Kafka just now")
        return self._counts[topic]

    async def deliver(self, client: AIOKafkaProducer, topic: str, partition: int, batch: BatchBuilder) -> int:
        """Have the batch written by every replica that is in sync; the offset of its first record.

        Takes as long as it takes, since a batch that is on its way cannot be called back. Raises
        LogUnavailable where that is hopeless; the batch may be written all the same.
        """
        try:
            if partition not in _partitions(client, topic):  # the topic was made anew, and smaller
                raise LogUnavailable(f"the topic {topic} has no partition {partition}")
            written = await (await client.send_batch(batch, topic, partition=partition))
        except KAFKA_ERRORS as error:
            self._give_up(client, error)
            raise LogUnavailable(f"Kafka did not take the events: {error!r}") from error
        if written.offset < 0:  # the broker has it, and no longer knows where
            raise LogUnavailable("Kafka took the events, but does not say where")
        offset = written.offset
        assert isinstance(offset, int)
        return offset

    def _give_up(self, client: AIOKafkaProducer, error: Exception) -> None:
        if self._client is client and not self._closed:
            _log.warning("producer renewed", error=repr(error))
            self._client = None
            self._renewed.clear()
            self._tasks.create_task(self._renew(client))

    async def _renew(self, spent: AIOKafkaProducer) -> None:
        await _abandon(spent, self.limits)
        while not self._closed:
            try:
                client = await _connect(self._servers, self.limits)
            except KAFKA_ERRORS as error:
                _log.warning("Kafka does not answer", error=repr(error))
                await asyncio.sleep(_RESTART_SECONDS)
                continue
            if self._closed:
                await _abandon(client, self.limits)
                return
            self._client = client
            self._renewed.set()
            return


async def _connect(servers: KafkaServers, limits: DeliveryLimits) -> AIOKafkaProducer:
    """A started producer that knows every topic there is: asking for one by name could make it."""
    seconds = limits.delivery_timeout.total_seconds()
    client = AIOKafkaProducer(
        **servers.client_arguments(),
        acks="all",
        enable_idempotence=True,
        max_batch_size=limits.batch_bytes,
        compression_type=None if limits.compression == "none" else limits.compression,
        request_timeout_ms=round(seconds * 1000),
    )
    try:
        async with asyncio.timeout(seconds):
            await client.start()
            await client.client.force_metadata_update()
    except BaseException:
        await _abandon(client, limits)
        raise
    return client


async def _abandon(client: AIOKafkaProducer, limits: DeliveryLimits) -> None:
    """End the producer without delivering what it still has; its own `stop` would wait for that for ever."""
    sender = client._sender.sender_task  # noqa: SLF001 # aiokafka has no other way to do this
    if sender is not None:
        sender.cancel()
        # Its requests may be on their way still, and end with their own timeout.
        await asyncio.wait([sender], timeout=limits.delivery_timeout.total_seconds())
        accumulator = client._message_accumulator  # noqa: SLF001
        for batches in accumulator._batches.values():  # noqa: SLF001
            # It forgets batches that wait for their second try, and stumbles over them as they fail.
            accumulator._pending_batches.update(batches)  # noqa: SLF001
        accumulator.fail_all(KafkaError("given up"))
    await client.stop()


def _partitions(client: AIOKafkaProducer, topic: str) -> set[int]:
    partitions: set[int] | None = client.client.cluster.partitions_for_topic(topic)
    if not partitions:
        client.client.force_metadata_update()  # it may have been made since
        raise LogUnavailable(f"the topic {topic} does not exist: make it with `meterhouse topics create`")
    return partitions
