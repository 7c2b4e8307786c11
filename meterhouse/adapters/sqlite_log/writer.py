"""The one thread that writes the log: whatever arrived while it committed shares its next commit."""

from __future__ import annotations

import sqlite3
import threading
from asyncio import Future
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from meterhouse.adapters.sqlite_log.answers import Answer, deliver, expect
from meterhouse.adapters.sqlite_log.batch import pack
from meterhouse.adapters.sqlite_log.database import end_offset
from meterhouse.adapters.sqlite_log.growth import Growth
from meterhouse.domain.errors import LogUnavailable, Overloaded
from meterhouse.domain.position import Position
from meterhouse.ports.log import Entry, LogRecord

PARTITION: Final = 0

# What an entry costs in memory while it waits, beside its value.
_ENTRY_OVERHEAD: Final = 512


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that holds no event, and why."""

    partition: int
    record: LogRecord
    reason: str


@dataclass(frozen=True, slots=True)
class _Request:
    work: Sequence[Entry] | DeadLetter
    size: int
    future: Future[Any]


class Writer:
    """Group commit over one connection, which nobody else may use.

    `waiting_bytes` bounds what may wait for its commit, `commit_bytes` what one commit takes on, so that
    a pile of big batches is acknowledged bit by bit.
    """

    def __init__(
        self, connection: sqlite3.Connection, growth: Growth, *, waiting_bytes: int, commit_bytes: int
    ) -> None:
        self._connection = connection
        self._growth = growth
        self._waiting_bytes = waiting_bytes
        self._commit_bytes = commit_bytes
        self._end: int | None = None  # None: only the database knows
        self._changed = threading.Condition()
        self._requests: deque[_Request] = deque()
        self._size = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="sqlite-log-writer")
        self._thread.start()

    async def write(self, work: Sequence[Entry] | DeadLetter) -> Any:
        """Have `work` written, and return once it is durable: the position of entries, None of a letter.

        Raises LogUnavailable or Overloaded.
        """
        request = _Request(work, _size_of(work), expect())
        with self._changed:
            if self._closing:
                raise LogUnavailable("the event log is closing")
            if self._size and self._size + request.size > self._waiting_bytes:
                raise Overloaded("too many events are waiting to be written to the event log")
            self._size += request.size
            self._requests.append(request)
            self._changed.notify()
        return await request.future

    def close(self) -> None:
        """Finish what was accepted, then return. Blocks; call it from a thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while group := self._take():
            try:
                answers = self._commit(group)
            except Exception as error:  # noqa: BLE001 # whatever it is, callers must hear of it and the thread live on
                answers = [Answer(request.future, error=_translated(error)) for request in group]
                answers += self._recover()
            with self._changed:
                self._size -= sum(request.size for request in group)
            deliver(answers)

    def _take(self) -> list[_Request]:
        """What goes into the next commit; blocks until there is something, empty when closed and done."""
        with self._changed:
            while not self._requests and not self._closing:
                self._changed.wait()
            group: list[_Request] = []
            size = 0
            while self._requests and (not group or size + self._requests[0].size <= self._commit_bytes):
                size += self._requests[0].size
                group.append(self._requests.popleft())
            return group

    def _commit(self, group: list[_Request]) -> list[Answer]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        start = end = end_offset(connection) if self._end is None else self._end
        self._end = None  # until the outcome is known
        answers: list[Answer] = []
        entries: list[Entry] = []
        for request in group:
            if isinstance(request.work, DeadLetter):
                _put(connection, request.work)
                answers.append(Answer(request.future))
                continue
            entries += request.work
            end = start + len(entries)
            answers.append(Answer(request.future, (Position(PARTITION, end),)))
        connection.executemany("INSERT INTO batches VALUES (?, ?, ?, ?)", pack(entries, start))
        connection.execute("COMMIT")
        self._end = end
        return answers + self._growth.grow_to(end)

    def _recover(self) -> list[Answer]:
        """Undo what can be undone, and ask the database how far the log reaches.

        After a COMMIT that failed nobody else knows. Where even this fails, the next commit asks again.
        """
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._end = end_offset(self._connection)
        except sqlite3.Error:
            self._end = None
            return []
        return self._growth.grow_to(self._end)


def _put(connection: sqlite3.Connection, letter: DeadLetter) -> None:
    record = letter.record
    connection.execute(
        "INSERT OR IGNORE INTO dead_letters VALUES (?, ?, ?, ?, ?)",
        (letter.partition, record.offset, record.received_at, record.value, letter.reason),
    )


def _size_of(work: Sequence[Entry] | DeadLetter) -> int:
    if isinstance(work, DeadLetter):
        return len(work.record.value) + _ENTRY_OVERHEAD
    return sum([len(entry.value) for entry in work]) + _ENTRY_OVERHEAD * len(work)


def _translated(error: Exception) -> Exception:
    if not isinstance(error, sqlite3.Error):
        return error
    translated = LogUnavailable(f"the event log could not be written: {error}")
    translated.__cause__ = error
    return translated
