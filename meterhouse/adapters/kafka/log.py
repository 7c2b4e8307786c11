"""The event log on Kafka: one topic, any number of partitions, and the topic of its dead letters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from meterhouse.adapters.cloudevents_json import key_of
from meterhouse.adapters.kafka.dead_letters import SUFFIX, DeadLetter, KafkaDeadLetters
from meterhouse.adapters.kafka.limits import DeliveryLimits
from meterhouse.adapters.kafka.partitioning import partitions_of
from meterhouse.adapters.kafka.producer import Message, Producer
from meterhouse.adapters.kafka.reader import Reader
from meterhouse.adapters.kafka.servers import KafkaServers
from meterhouse.adapters.kafka.topic import Topic
from meterhouse.domain.errors import TooLarge
from meterhouse.domain.position import Position
from meterhouse.ports.clock import Clock
from meterhouse.ports.log import Bounds, Entry, LogRecord

# The CloudEvents Kafka protocol binding, structured content mode.
HEADERS: Final = [("content-type", b"application/cloudevents+json")]


class KafkaLog:
    """Implements LogWriter, LogReader and DeadLetters. Open it with `open`, in any number of processes.

    `log_id` is the topic's UUID. It is what tells a topic that was deleted and made anew, with other records
    at the same offsets, from the one that was counted: every read asks the broker by that id (wire.py).
    """

    def __init__(self, topic: Topic, producer: Producer, letters: KafkaDeadLetters) -> None:
        self.log_id = topic.rendered_id
        self.letters = letters
        self._topic = topic
        self._producer = producer
        self._reader = Reader(topic)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, servers: KafkaServers, topic: str, clock: Clock, limits: DeliveryLimits | None = None
    ) -> AsyncIterator[KafkaLog]:
        """The log in that topic, which `meterhouse topics create` makes. Raises LogUnavailable.

        Leaving finishes every append that was accepted, for as long as a delivery may take.
        """
        chosen = limits or DeliveryLimits()
        async with AsyncExitStack() as stack:
            timeout = chosen.delivery_timeout
            main = await stack.enter_async_context(Topic.open(servers, topic, timeout=timeout))
            dead = await stack.enter_async_context(Topic.open(servers, topic + SUFFIX, timeout=timeout))
            producer = await stack.enter_async_context(Producer.open(servers, chosen))
            yield cls(main, producer, KafkaDeadLetters(producer, dead, clock))

    async def append(self, entries: Sequence[Entry]) -> tuple[Position, ...]:
        """As the port says. What goes to one partition is written whole or not at all, unless it is more than
        a record batch; but of a request that touches several, and fails, some may be written.

        Raises TooLarge for an event that does not fit into a record batch.
        """
        count = self._producer.partition_count(self._topic.name)
        messages: dict[int, list[Message]] = {}
        partitions = partitions_of([entry.key for entry in entries], count)
        for partition, (key, value, received_at) in zip(partitions, entries, strict=True):
            message = Message(key, value, received_at // 1000, HEADERS)
            messages.setdefault(partition, []).append(message)
        ends = await self._producer.send(self._topic.name, messages)
        return tuple(Position(partition, end) for partition, end in sorted(ends.items()))

    async def partitions(self) -> Sequence[int]:
        return await self._reader.partitions()

    async def bounds(self, partition: int) -> Bounds:
        return await self._reader.bounds(partition)

    async def read(self, partition: int, start: int, limit: int) -> Sequence[LogRecord]:
        return await self._reader.read(partition, start, limit)

    async def wait(self, partition: int, offset: int, seconds: float) -> bool:
        return await self._reader.wait(partition, offset, seconds)

    async def put(self, partition: int, record: LogRecord, reason: str) -> None:
        await self.letters.put(partition, record, reason)

    async def holds(self, partition: int, offset: int) -> bool:
        return await self.letters.holds(partition, offset)

    async def dead_offsets(self, partition: int) -> frozenset[int]:
        """The offsets of the partition's records that were set aside."""
        return await self.letters.offsets(partition)

    async def requeue(self, letter: DeadLetter) -> Position:
        """Send the letter's bytes to the log again; the position just after them.

        An event among them gets the key that its repeats have. Doing it again sends them again. Raises
        TooLarge where the letter does not have them all, or they fit into no record batch of ours.
        """
        if len(letter.record.value) < letter.size:
            raise TooLarge(
                f"the dead letter {letter.place} has only the first {len(letter.record.value)} of "
                f"{letter.size} bytes; the record itself is in the log, as long as that keeps it"
            )
        key = key_of(letter.record) or letter.place.encode()
        (position,) = await self.append([Entry(key, letter.record.value, letter.record.received_at)])
        await self.letters.mark_requeued(letter, position)
        return position
