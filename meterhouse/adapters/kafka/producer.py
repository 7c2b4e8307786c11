"""Group commit: requests that arrive together leave together, and nobody waits for a timer.

Every partition has a lane. While one record batch of a lane is on its way, what arrives is collected for the
next. What a lane has handed over is aiokafka's, which repeats the batch under the same sequence number until
the broker has it once; only what still waits can be taken back. So a request that runs out of time leaves
nothing behind but what was on its way just then, and that may be written later.
"""

from __future__ import annotations

import asyncio
from asyncio import Future, TaskGroup
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aiokafka.producer.message_accumulator import BatchBuilder

from meterhouse.adapters.kafka.delivery import Delivery
from meterhouse.adapters.kafka.limits import DeliveryLimits
from meterhouse.adapters.kafka.servers import KafkaServers
from meterhouse.domain.errors import LogUnavailable, Overloaded, TooLarge

# What a message costs beside its key, value and headers: in memory while it waits, and on the wire at most.
_WAITING_OVERHEAD: Final = 512
_WIRE_OVERHEAD: Final = 256

Headers = Sequence[tuple[str, bytes]]


class Message(NamedTuple):
    """A record to be; `timestamp` in milliseconds since 1970."""

    key: bytes
    value: bytes
    timestamp: int
    headers: Headers


@dataclass(slots=True, eq=False)
class _Part:
    """What one request has for one lane; the first `placed` of its messages are in batches already."""

    messages: Sequence[Message]
    size: int
    end: Future[int]
    placed: int = 0


@dataclass(slots=True, eq=False)
class _Lane:
    """The way to one partition: parts in the order of their arrival, and whether a task works on them."""

    topic: str
    partition: int
    waiting: dict[_Part, None] = field(default_factory=dict)
    busy: bool = False


class Producer:
    """Writes to the partitions of any topic. Open it with `open`."""

    def __init__(self, delivery: Delivery, tasks: TaskGroup) -> None:
        self._delivery = delivery
        self._limits = delivery.limits
        self._tasks = tasks
        self._lanes: dict[tuple[str, int], _Lane] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._size = 0
        self._closing = False

    @classmethod
    @asynccontextmanager
    async def open(cls, servers: KafkaServers, limits: DeliveryLimits) -> AsyncIterator[Producer]:
        """A producer whose cluster answers. Raises LogUnavailable.

        Leaving it finishes what was accepted, for as long as a delivery may take.
        """
        try:
            async with TaskGroup() as tasks, Delivery.open(servers, limits, tasks) as delivery:
                producer = cls(delivery, tasks)
                try:
                    yield producer
                finally:
                    await producer.drain()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group

    def partition_count(self, topic: str) -> int:
        """How many partitions the topic has by now. Raises LogUnavailable where it is not known."""
        return self._delivery.partition_count(topic)

    def room(self, key: bytes) -> int:
        """How many bytes the value of a message with that key may have."""
        return self._limits.batch_bytes - _WIRE_OVERHEAD - len(key)

    async def send(self, topic: str, messages: Mapping[int, Sequence[Message]]) -> dict[int, int]:
        """Write messages to partitions, each in its order; the offset after the last one of each.

        Raises TooLarge or Overloaded, then nothing was written and nothing will be. Raises LogUnavailable
        after at most `delivery_timeout`; then some of it may be written, or may still come to be.
        """
        parts = {partition: self._part(some) for partition, some in messages.items()}
        size = sum(part.size for part in parts.values())
        if self._closing:
            raise LogUnavailable("the event log is closing")
        if self._size and self._size + size > self._limits.waiting_bytes:
            raise Overloaded("too many events are waiting to be written to Kafka")
        self._size += size
        for partition, part in parts.items():
            self._enqueue(topic, partition, part)
        try:
            async with asyncio.timeout(self._limits.delivery_timeout.total_seconds()):
                return {partition: await part.end for partition, part in parts.items()}
        except TimeoutError as error:
            raise LogUnavailable("Kafka did not acknowledge the events in time") from error
        finally:
            for partition, part in parts.items():
                self._withdraw(self._lanes[topic, partition], part)

    async def drain(self) -> None:
        """Accept nothing more; return once all is written, at the latest when a delivery would time out."""
        self._closing = True
        if self._running:
            await asyncio.wait(self._running, timeout=self._limits.delivery_timeout.total_seconds())

    def _part(self, messages: Sequence[Message]) -> _Part:
        sizes = [len(message.key) + len(message.value) for message in messages]
        if max(sizes, default=0) > self.room(b""):
            raise TooLarge(
                f"an event of {max(sizes)} bytes does not fit into a record batch of "
                f"{self._limits.batch_bytes} bytes"
            )
        size = sum(sizes) + _WAITING_OVERHEAD * len(sizes)
        return _Part(messages, size, asyncio.get_running_loop().create_future())

    def _enqueue(self, topic: str, partition: int, part: _Part) -> None:
        lane = self._lanes.get((topic, partition))
        if lane is None:
            lane = self._lanes[topic, partition] = _Lane(topic, partition)
        lane.waiting[part] = None
        if not lane.busy:
            lane.busy = True
            # A lane outlives the request that woke it up, and must not speak in its name.
            task = self._tasks.create_task(self._run(lane), context=Context())
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    def _withdraw(self, lane: _Lane, part: _Part) -> None:
        """Take back what is not on its way yet; its request is answered."""
        part.end.cancel()
        if lane.waiting.pop(part, part) is None:
            self._release(part)

    def _release(self, part: _Part) -> None:
        self._size -= part.size
        part.size = 0

    async def _run(self, lane: _Lane) -> None:
        while lane.waiting:
            placed: dict[_Part, int] = {}
            try:
                client = await self._delivery.client()
                batch = client.create_batch()
                placed = _fill(batch, lane)
                if placed:
                    base = await self._delivery.deliver(client, lane.topic, lane.partition, batch)
            except LogUnavailable as error:
                for part in list(placed or lane.waiting):
                    lane.waiting.pop(part, None)
                    self._answer(part, error)
                continue
            for part, end in placed.items():
                if part.placed == len(part.messages):
                    self._answer(part, base + end)
        lane.busy = False

    def _answer(self, part: _Part, outcome: int | LogUnavailable) -> None:
        self._release(part)
        if part.end.done():  # its request was cancelled, or ran out of time
            return
        if isinstance(outcome, int):
            part.end.set_result(outcome)
        else:
            part.end.set_exception(outcome)


def _fill(batch: BatchBuilder, lane: _Lane) -> dict[_Part, int]:
    """Put what waits into the batch until that is full: the parts in it, and where in it each ends so far."""
    placed: dict[_Part, int] = {}
    while lane.waiting:
        part = next(iter(lane.waiting))
        for key, value, timestamp, headers in part.messages[part.placed :]:
            if batch.append(key=key, value=value, timestamp=timestamp, headers=headers) is None:
                return placed
            part.placed += 1
            placed[part] = batch.record_count()
        del lane.waiting[part]
    return placed
