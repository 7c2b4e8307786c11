"""Reading a topic by explicit offsets. What a consumer group committed plays no part.

aiokafka's consumer keeps a position, fetches ahead of it and makes a dozen-field object of each record. An
aggregator says itself where it reads and needs three fields, so this asks the broker directly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Generic, NamedTuple, NoReturn, Protocol, TypeVar

from aiokafka.protocol.api import Response
from aiokafka.protocol.offset import OffsetRequest, OffsetResetStrategy
from aiokafka.record.default_records import DefaultRecord
from aiokafka.record.memory_records import MemoryRecords

from meterhouse.adapters.kafka.topic import Topic
from meterhouse.adapters.kafka.wire import FetchByIdRequest, Fetched
from meterhouse.domain.errors import LogBroken, LogUnavailable
from meterhouse.domain.instant import Instant
from meterhouse.ports.log import Bounds, LogRecord, LogRecords

READ_BYTES: Final = 64 << 20  # of one `read`, and little more
# Of one request: small enough that taking its answer apart does not hold up the event loop.
FETCH_BYTES: Final = 1 << 20
_LONGEST_WAIT: Final = 0.5  # seconds that a broker may hold an answer back


class Placed(Protocol):
    """Anything that knows its offset."""

    @property
    def offset(self) -> int: ...


R = TypeVar("R", bound=Placed)
RecordBatch = Iterable[DefaultRecord]


class Page(NamedTuple, Generic[R]):
    """What one request brought: records without gaps, and whether none follow."""

    records: Sequence[R]
    is_last: bool


class Reader:
    """Implements LogReader on one topic."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic

    async def partitions(self) -> Sequence[int]:
        return await self._topic.partitions()

    async def bounds(self, partition: int) -> Bounds:
        first, end = await asyncio.gather(
            self._offset(partition, OffsetResetStrategy.EARLIEST), self._end(partition)
        )
        return Bounds(min(first, end), end)

    async def read(self, partition: int, start: int, limit: int) -> Sequence[LogRecord]:
        """As the port says, and little more than READ_BYTES of them.

        Somebody's transaction leaves a marker with an offset of its own: a record that holds no event.
        Raises LogUnavailable, or LogBroken where the topic was made anew, where it holds no record at
        `start` (any more), or lacks one behind it.
        """
        received_ats: list[Instant] = []
        values: list[bytes] = []
        size = 0
        while len(values) < limit and size < READ_BYTES:
            page = await self.page(partition, start + len(values), _as_they_are)
            received_ats += [record.timestamp * 1000 for record in page.records]
            some = [record.value or b"" for record in page.records]
            values += some
            size += sum(map(len, some))
            if page.is_last:
                break
        return LogRecords(range(start, start + len(values)), received_ats, values)[:limit]

    async def page(self, partition: int, start: int, take: Callable[[RecordBatch], list[R]]) -> Page[R]:
        """The records from `start` on that one request brings; `take` makes of a record batch what is wanted
        of each of its records. Raises like `read`.
        """
        fetched = await self._fetch(partition, start, max_bytes=FETCH_BYTES)
        if fetched.records:
            records = _taken(fetched.records, partition, start, take)
            return Page(records, start + len(records) == fetched.high_watermark)
        if await self._end(partition) > start:
            # A new leader learns late how far its followers are: there is more, but not yet for us.
            raise LogUnavailable(f"partition {partition} has records at {start} that are not readable yet")
        return Page([], True)

    async def wait(self, partition: int, offset: int, seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        end = await self._end(partition)
        while end <= offset:
            left = deadline - loop.time()
            if left <= 0:
                return False
            try:
                async with asyncio.timeout(left):
                    waited = min(left, _LONGEST_WAIT)
                    end = (await self._fetch(partition, end, max_bytes=1, wait=waited)).high_watermark
            except TimeoutError:
                return False
        return True

    async def _end(self, partition: int) -> int:
        return await self._offset(partition, OffsetResetStrategy.LATEST)

    async def _offset(self, partition: int, timestamp: int) -> int:
        request = OffsetRequest(-1, 0, [(self._topic.name, [(partition, timestamp)])])
        return (await self._topic.ask(partition, request, _Offset.of)).offset

    async def _fetch(self, partition: int, offset: int, *, max_bytes: int, wait: float = 0.0) -> Fetched:
        line = ("wait", partition) if wait else "fetch"
        request = FetchByIdRequest(
            self._topic.id, partition, offset, max_bytes=max_bytes, max_wait_ms=round(wait * 1000)
        )
        fetched = await self._topic.ask(partition, request, FetchByIdRequest.answer, line)
        if fetched.error_code:
            await self._out_of_range(partition, offset)
        return fetched

    async def _out_of_range(self, partition: int, offset: int) -> NoReturn:
        await self._topic.refresh()
        bounds = await self.bounds(partition)
        where = f"partition {partition} of the topic {self._topic.name}"
        if offset < bounds.first:
            raise LogBroken(
                f"{where} begins at offset {bounds.first}: the records from {offset} on were deleted by its "
                "retention before they were read. Nothing was skipped. `meterhouse topics describe` shows "
                "the retention, `meterhouse check` what is missing."
            )
        if offset > bounds.end:
            raise LogBroken(
                f"{where} ends at offset {bounds.end}, before {offset}: records that were there are lost. "
                "Nothing was skipped or rewound. `meterhouse check` shows what is missing."
            )
        raise LogUnavailable(f"{where} refused offset {offset}, which lies within its bounds")


class _Offset(NamedTuple):
    error_code: int
    offset: int

    @classmethod
    def of(cls, response: Response) -> _Offset:
        ((_, ((_, error_code, _, offset),)),) = response.get_item("topics")
        return cls(error_code, offset)


def _as_they_are(batch: RecordBatch) -> list[DefaultRecord]:
    return list(batch)


def _taken(batches: bytes, partition: int, start: int, take: Callable[[RecordBatch], list[R]]) -> list[R]:
    """The records from offset `start` on; the last batch may be cut off, and is left out then."""
    found: list[R] = []
    memory = MemoryRecords(batches)
    while (batch := memory.next_batch()) is not None:
        if not batch.validate_crc():
            raise LogUnavailable(f"a record batch of partition {partition} arrived damaged")
        found += take(batch)
    if found and found[0].offset < start:
        found = [record for record in found if record.offset >= start]
    if not found or found[0].offset != start or found[-1].offset != start + len(found) - 1:
        offsets = [record.offset for record in found]
        missing = next((number for number, offset in enumerate(offsets, start) if number != offset), start)
        raise LogBroken(
            f"partition {partition} lacks records from offset {missing} on, though not the ones after them: "
            "it is compacted, or damaged. `meterhouse topics describe` shows its cleanup policy."
        )
    return found
