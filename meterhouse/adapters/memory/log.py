"""The event log in memory: for tests, and for anything that may forget."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from zlib import crc32

from meterhouse.domain.position import Position
from meterhouse.ports.log import Bounds, Entry, LogRecord


class MemoryLog:
    """Implements LogWriter, LogReader and DeadLetters. `first` is the offset its partitions begin at."""

    def __init__(self, *, partitions: int = 1, first: int = 0) -> None:
        self.first = first
        self.dead: dict[tuple[int, int], tuple[LogRecord, str]] = {}
        self._records: list[list[LogRecord]] = [[] for _ in range(partitions)]
        self._grown = asyncio.Event()

    async def append(self, entries: Sequence[Entry]) -> tuple[Position, ...]:
        ends: dict[int, int] = {}
        for entry in entries:
            partition = crc32(entry.key) % len(self._records)
            records = self._records[partition]
            records.append(LogRecord(self.first + len(records), entry.received_at, entry.value))
            ends[partition] = self.first + len(records)
        self._grown.set()
        self._grown = asyncio.Event()
        return tuple(Position(partition, end) for partition, end in sorted(ends.items()))

    async def partitions(self) -> Sequence[int]:
        return range(len(self._records))

    async def bounds(self, partition: int) -> Bounds:
        return Bounds(self.first, self._end(partition))

    async def read(self, partition: int, start: int, limit: int) -> Sequence[LogRecord]:
        begin = start - self.first
        return self._records[partition][begin : begin + limit]

    async def wait(self, partition: int, offset: int, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while offset >= self._end(partition):
                    await self._grown.wait()
        except TimeoutError:
            return False
        return True

    async def put(self, partition: int, record: LogRecord, reason: str) -> None:
        self.dead[partition, record.offset] = (record, reason)

    async def holds(self, partition: int, offset: int) -> bool:
        return (partition, offset) in self.dead

    def _end(self, partition: int) -> int:
        return self.first + len(self._records[partition])
