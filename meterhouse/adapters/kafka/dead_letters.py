"""Dead letters in a topic of their own, `<topic>.deadletter`.

A dead letter is the record's bytes, unchanged (of more than a letter can hold, the first ones); its key
`partition:offset` and its headers say where it lay, why it was set aside and when. It goes to the dead letter
topic's partition of the same number, so that looking for one reads one partition. A topic cannot be told to
hold something once: a letter put twice is there twice, and read once. `holds` reads the partition from its
start: an aggregator asks that once when it takes a partition over, and only if the last record it counted is
neither an event nor a repeat.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Final

from aiokafka.record.default_records import DefaultRecord

from meterhouse.adapters.kafka.producer import Message, Producer
from meterhouse.adapters.kafka.reader import Reader
from meterhouse.adapters.kafka.topic import Topic
from meterhouse.domain.instant import Instant, parse, render
from meterhouse.domain.position import Position, parse_positions
from meterhouse.ports.clock import Clock
from meterhouse.ports.log import LogRecord

SUFFIX: Final = ".deadletter"
_LONGEST_REASON: Final = 1000  # characters


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of partition `partition` that holds no event, and why; `requeued_as` if it was sent again.

    The record had `size` bytes. The letter of one that another producer made larger than ours may be has
    only the first of them.
    """

    partition: int
    record: LogRecord
    size: int
    reason: str
    set_aside_at: Instant
    requeued_as: Position | None = None

    @property
    def place(self) -> str:
        """Where the record lay, as `partition:offset`."""
        return f"{self.partition}:{self.record.offset}"


class KafkaDeadLetters:
    """Implements DeadLetters."""

    def __init__(self, producer: Producer, topic: Topic, clock: Clock) -> None:
        self._producer = producer
        self._topic = topic
        self._reader = Reader(topic)
        self._clock = clock

    async def put(self, partition: int, record: LogRecord, reason: str) -> None:
        headers = [
            *_place(partition, record.offset),
            ("size", str(len(record.value)).encode()),
            ("reason", reason[:_LONGEST_REASON].encode()),
            ("time", render(self._clock.now()).encode()),
        ]
        await self._send(partition, record, record.value, headers)

    async def holds(self, partition: int, offset: int) -> bool:
        async for letter in self._written(partition):
            if letter.partition == partition and letter.record.offset == offset:
                return True
        return False

    async def offsets(self, partition: int) -> frozenset[int]:
        """The offsets of the log partition's records that have a letter."""
        letters = [letter async for letter in self._written(partition)]
        return frozenset(one.record.offset for one in letters if one.partition == partition)

    async def mark_requeued(self, letter: DeadLetter, position: Position) -> None:
        """Note that the letter was sent to the log again and lies just before `position` there."""
        headers = [*_place(letter.partition, letter.record.offset), ("requeued", str(position).encode())]
        await self._send(letter.partition, letter.record, b"", headers)

    async def all(self) -> AsyncIterator[DeadLetter]:
        """Every dead letter once, as it was first put, ordered by partition and offset.

        Reads the whole topic, holding one partition's letters in memory. Raises LogUnavailable or LogBroken.
        """
        for number in await self._reader.partitions():
            letters: dict[tuple[int, int], DeadLetter] = {}
            async for letter in self._written(number):
                place = (letter.partition, letter.record.offset)
                first = letters.setdefault(place, letter)
                if letter.requeued_as is not None:
                    letters[place] = replace(first, requeued_as=letter.requeued_as)
            for place in sorted(letters):
                yield letters[place]

    async def _send(
        self, partition: int, record: LogRecord, value: bytes, headers: list[tuple[str, bytes]]
    ) -> None:
        key = f"{partition}:{record.offset}".encode()
        message = Message(key, value[: self._producer.room(key)], record.received_at // 1000, headers)
        target = partition % self._producer.partition_count(self._topic.name)
        await self._producer.send(self._topic.name, {target: [message]})

    async def _written(self, partition: int) -> AsyncIterator[DeadLetter]:
        """Every letter and mark that the records of `partition` have, in the order they were written."""
        target = partition % len(await self._reader.partitions())
        bounds = await self._reader.bounds(target)
        offset = bounds.first
        while offset < bounds.end:
            page = await self._reader.page(target, offset, list)
            for record in page.records:
                if (letter := _letter(record)) is not None:
                    yield letter
            offset += len(page.records)


def _place(partition: int, offset: int) -> list[tuple[str, bytes]]:
    return [("partition", str(partition).encode()), ("offset", str(offset).encode())]


def _letter(record: DefaultRecord) -> DeadLetter | None:
    """None for a record that somebody else wrote there."""
    headers = {name: value.decode(errors="replace") for name, value in record.headers if value is not None}
    try:
        partition, offset = int(headers["partition"]), int(headers["offset"])
        requeued = headers.get("requeued")
        value = record.value or b""
        return DeadLetter(
            partition,
            LogRecord(offset, record.timestamp * 1000, value),
            int(headers.get("size", len(value))),
            headers.get("reason", ""),
            parse(headers["time"]) if "time" in headers else record.timestamp * 1000,
            None if requeued is None else parse_positions(requeued)[0],
        )
    except (KeyError, ValueError):
        return None
