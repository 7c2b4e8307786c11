"""The event log in one SQLite file: one partition, offsets without gaps from 0 on."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from meterhouse.adapters.sqlite_log import database, reader
from meterhouse.adapters.sqlite_log.growth import Growth
from meterhouse.adapters.sqlite_log.reader import Reader
from meterhouse.adapters.sqlite_log.writer import PARTITION, DeadLetter, Writer
from meterhouse.domain.errors import LogUnavailable
from meterhouse.domain.position import Position
from meterhouse.ports.log import Bounds, Entry, LogRecord

MIB = 1 << 20


class SqliteLog:
    """Implements LogWriter, LogReader and DeadLetters. Open it with `open`, in one process at a time."""

    def __init__(self, log_id: str, writer: Writer, reader: Reader, growth: Growth) -> None:
        self.log_id = log_id
        self._writer = writer
        self._reader = reader
        self._growth = growth

    @classmethod
    @asynccontextmanager
    async def open(
        cls, path: Path, *, waiting_bytes: int = 128 * MIB, commit_bytes: int = 32 * MIB
    ) -> AsyncIterator[SqliteLog]:
        """The log in that file, which is made if need be. Leaving finishes every append that was accepted.

        Raises LogUnavailable, or LogBroken for a file of another format.
        """
        try:
            opened = await asyncio.to_thread(_connections, path)
        except sqlite3.Error as error:
            raise LogUnavailable(f"the event log {path} could not be opened: {error}") from error
        writing, reading, log_id, end = opened
        growth = Growth(end)
        writer = Writer(writing, growth, waiting_bytes=waiting_bytes, commit_bytes=commit_bytes)
        queries = Reader(reading)
        try:
            yield cls(log_id, writer, queries, growth)
        finally:
            # One call, so that a cancellation that cuts the wait short still lets all of it happen.
            await asyncio.to_thread(_close, writer, queries)

    async def append(self, entries: Sequence[Entry]) -> tuple[Position, ...]:
        if not entries:
            return ()
        positions: tuple[Position, ...] = await self._writer.write(entries)
        return positions

    async def partitions(self) -> Sequence[int]:
        return (PARTITION,)

    async def bounds(self, partition: int) -> Bounds:
        _check(partition)
        return await self._reader.run(reader.bounds)

    async def read(self, partition: int, start: int, limit: int) -> Sequence[LogRecord]:
        _check(partition)
        return await self._reader.run(partial(reader.records, start=start, limit=limit))

    async def wait(self, partition: int, offset: int, seconds: float) -> bool:
        _check(partition)
        return await self._growth.past(offset, seconds)

    async def put(self, partition: int, record: LogRecord, reason: str) -> None:
        await self._writer.write(DeadLetter(partition, record, reason))

    async def holds(self, partition: int, offset: int) -> bool:
        return await self._reader.run(partial(reader.is_dead, partition=partition, offset=offset))

    async def dead_offsets(self, partition: int) -> frozenset[int]:
        """The offsets of the partition's records that were set aside."""
        return await self._reader.run(partial(reader.dead_offsets, partition=partition))

    async def dead_letters(self, limit: int = 100) -> Sequence[DeadLetter]:
        """The newest dead letters, newest first."""
        return await self._reader.run(partial(reader.dead_letters, limit=limit))


def _connections(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection, str, int]:
    writing = database.connect(path)
    try:
        log_id = database.prepare(writing)
        return writing, database.connect(path), log_id, database.end_offset(writing)
    except BaseException:
        writing.close()
        raise


def _close(writer: Writer, queries: Reader) -> None:
    queries.close()
    writer.close()


def _check(partition: int) -> None:
    if partition != PARTITION:
        raise ValueError(f"the log has the partition {PARTITION} only, not {partition}")
