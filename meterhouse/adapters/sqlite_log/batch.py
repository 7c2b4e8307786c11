"""How records lie in the log's file: many in one row, as they were committed.

SQLite gives the interpreter lock away and takes it back for every row, each time behind whoever computes
meanwhile; a row for each record would bind reading and writing to that queue (docs/benchmarks.md).
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from meterhouse.ports.log import Entry, LogRecords

# A row is read as a whole, also for its last record alone.
MAX_BYTES: Final = 1 << 20


class Batch(NamedTuple):
    """A row: the offset of its last record, receive times and ends of values as little-endian 64 bits."""

    last: int
    received_ats: bytes
    ends: bytes
    content: bytes


def pack(entries: Sequence[Entry], start: int) -> Iterator[Batch]:
    """The rows of `entries`, the first of which gets the offset `start`; each of MAX_BYTES or one record."""
    ends = list(accumulate([len(entry.value) for entry in entries]))
    first = 0
    while first < len(entries):
        before = ends[first - 1] if first else 0
        beyond = max(first + 1, bisect_right(ends, before + MAX_BYTES, lo=first))
        some = entries[first:beyond]
        yield Batch(
            start + beyond - 1,
            _words([entry.received_at for entry in some]),
            _words([end - before for end in ends[first:beyond]]),
            b"".join([entry.value for entry in some]),
        )
        first = beyond


def unpack(batch: Batch) -> LogRecords:
    """The records of a row, in the order of their offsets."""
    received_ats = _numbers(batch.received_ats)
    ends = _numbers(batch.ends)
    content = batch.content
    values = [content[start:end] for start, end in pairwise((0, *ends))]
    return LogRecords(range(batch.last + 1 - len(values), batch.last + 1), received_ats, values)


def _words(numbers: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}q", *numbers)


def _numbers(words: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(words) // 8}q", words)
