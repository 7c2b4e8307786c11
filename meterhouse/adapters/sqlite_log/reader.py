"""Reading the log, on a connection and a thread of its own, so that no reader waits for a commit."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Final, TypeVar

from meterhouse.adapters.sqlite_log.batch import Batch, unpack
from meterhouse.adapters.sqlite_log.database import end_offset, first_offset
from meterhouse.adapters.sqlite_log.writer import DeadLetter
from meterhouse.domain.errors import LogBroken, LogUnavailable
from meterhouse.domain.instant import Instant
from meterhouse.ports.log import Bounds, LogRecord, LogRecords

T = TypeVar("T")

READ_BYTES: Final = 64 << 20


class Reader:
    """Queries over one connection, one at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._thread = ThreadPoolExecutor(1, "sqlite-log-reader")

    async def run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """The query's answer. Raises LogUnavailable when the database does not give one."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, query, self._connection)
        except sqlite3.Error as error:
            raise LogUnavailable(f"the event log could not be read: {error}") from error

    def close(self) -> None:
        """Finish the queries that were asked, then return. Blocks; call it from a thread."""
        self._thread.shutdown()
        self._connection.close()


def bounds(connection: sqlite3.Connection) -> Bounds:
    """The offsets that the log holds."""
    first, end = first_offset(connection), end_offset(connection)
    return Bounds(0 if first is None else first, end)


def records(connection: sqlite3.Connection, start: int, limit: int) -> LogRecords:
    """Up to `limit` records from `start` on, and little more than READ_BYTES of them.

    Raises LogBroken if one of them is not there.
    """
    query = "SELECT last, received_ats, ends, content FROM batches WHERE last >= ? ORDER BY last"
    received_ats: list[Instant] = []
    values: list[bytes] = []
    size = 0
    with closing(connection.execute(query, (start,))) as rows:
        for batch in map(Batch._make, rows):
            some = unpack(batch)
            some = some[max(0, start - some.offsets[0]) :]
            expected, first = start + len(values), some.offsets[0]
            if first != expected:
                raise LogBroken(f"the event log lacks records between the offsets {expected} and {first}")
            received_ats += some.received_ats
            values += some.values
            size += len(batch.content)
            if len(values) >= limit or size >= READ_BYTES:
                break
    return LogRecords(range(start, start + len(values)), received_ats, values)[:limit]


def is_dead(connection: sqlite3.Connection, partition: int, offset: int) -> bool:
    """Whether that record is among the dead letters."""
    query = "SELECT 1 FROM dead_letters WHERE partition = ? AND offset = ?"
    return connection.execute(query, (partition, offset)).fetchone() is not None


def dead_offsets(connection: sqlite3.Connection, partition: int) -> frozenset[int]:
    """The offsets of all dead letters of the partition."""
    query = "SELECT offset FROM dead_letters WHERE partition = ?"
    return frozenset(offset for (offset,) in connection.execute(query, (partition,)))


def dead_letters(connection: sqlite3.Connection, limit: int) -> Sequence[DeadLetter]:
    """The newest dead letters, newest first."""
    query = (
        "SELECT partition, offset, received_at, value, reason FROM dead_letters "
        "ORDER BY partition, offset DESC LIMIT ?"
    )
    return [
        DeadLetter(partition, LogRecord(*record), reason)
        for partition, *record, reason in connection.execute(query, (limit,))
    ]
