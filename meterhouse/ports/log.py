"""The event log. Every docstring says what a repeated call does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, overload

from meterhouse.domain.instant import Instant
from meterhouse.domain.position import Position


class Entry(NamedTuple):
    """One event on its way into the log: its identity as `key`, structured CloudEvents JSON as `value`."""

    key: bytes
    value: bytes
    received_at: Instant


class LogRecord(NamedTuple):
    """One event as the log holds it; a log may keep `received_at` to the millisecond only."""

    offset: int
    received_at: Instant
    value: bytes


class LogRecords(Sequence[LogRecord]):
    """Records column by column; most of them are never looked at one by one."""

    __slots__ = ("offsets", "received_ats", "values")

    def __init__(
        self, offsets: Sequence[int], received_ats: Sequence[Instant], values: Sequence[bytes]
    ) -> None:
        self.offsets = offsets
        self.received_ats = received_ats
        self.values = values

    @classmethod
    def of(cls, records: Sequence[LogRecord]) -> LogRecords:
        """The same records in columns."""
        if isinstance(records, LogRecords):
            return records
        offsets, received_ats, values = zip(*records, strict=True) if records else ((), (), ())
        return cls(offsets, received_ats, values)

    def __len__(self) -> int:
        return len(self.values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment] # as with any other list

    @overload
    def __getitem__(self, place: int) -> LogRecord: ...
    @overload
    def __getitem__(self, place: slice) -> LogRecords: ...
    def __getitem__(self, place: int | slice) -> LogRecord | LogRecords:
        if isinstance(place, slice):
            return LogRecords(self.offsets[place], self.received_ats[place], self.values[place])
        return LogRecord(self.offsets[place], self.received_ats[place], self.values[place])


@dataclass(frozen=True, slots=True)
class Bounds:
    """The offsets that a partition holds: [first, end)."""

    first: int
    end: int


class LogWriter(Protocol):
    """The way into the event log."""

    async def append(self, entries: Sequence[Entry]) -> tuple[Position, ...]:
        """Add all of `entries` or none; return once they are durable, with one position a partition touched.

        Appending the same entries again adds them again: the aggregator tells repeats by identity.
        Raises Overloaded; then none of them will ever be read. Raises LogUnavailable; then none of them will
        be, or (a lost acknowledgement) what went to one partition will be: a retry repeats it harmlessly.
        """


class LogReader(Protocol):
    """The way out of the event log. Reading changes nothing; reading again gives the same records."""

    async def partitions(self) -> Sequence[int]: ...

    async def bounds(self, partition: int) -> Bounds: ...

    async def read(self, partition: int, start: int, limit: int) -> Sequence[LogRecord]:
        """Up to `limit` records from offset `start` on, without gaps; empty at the end of the log."""

    async def wait(self, partition: int, offset: int, seconds: float) -> bool:
        """Return True as soon as the partition holds a record at `offset`, False after `seconds`."""


class DeadLetters(Protocol):
    """Records that cannot be parsed, set aside with their reason."""

    async def put(self, partition: int, record: LogRecord, reason: str) -> None:
        """Keep the record. Putting one of the same place again changes nothing."""

    async def holds(self, partition: int, offset: int) -> bool: ...
