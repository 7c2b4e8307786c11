"""What every event log does, said against the ports alone; each adapter passes it unchanged.

`open_log` opens the log of one test. Opening it again gives the same log, as a restart would.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import anyio
import pytest

from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.kafka.log import KafkaLog
from meterhouse.adapters.memory.log import MemoryLog
from meterhouse.adapters.sqlite_log.log import SqliteLog
from meterhouse.domain.position import Position
from meterhouse.ports.log import DeadLetters, Entry, LogReader, LogRecord, LogWriter
from tests.servers.kafka import PATIENT

pytestmark = pytest.mark.anyio

PATIENCE = 10.0  # seconds; only a failing test waits that long


class Log(LogWriter, LogReader, DeadLetters, Protocol):
    """The three ports of a log together."""


OpenLog = Callable[[], AbstractAsyncContextManager[Log]]


@pytest.fixture(params=["sqlite", "memory", "kafka"])
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> OpenLog:
    if request.param == "sqlite":
        return partial(SqliteLog.open, tmp_path / "log.sqlite")
    if request.param == "kafka":
        topic = request.getfixturevalue("kafka_topic")
        return partial(KafkaLog.open, topic.servers, topic.name, SystemClock(), PATIENT)
    in_memory = MemoryLog(partitions=3)

    @asynccontextmanager
    async def open_memory() -> AsyncIterator[Log]:
        yield in_memory

    return open_memory


def entry(number: int, key: str | None = None) -> Entry:
    # Whole milliseconds: beside what the event itself says, Kafka keeps no finer receive time.
    received_at = 1_777_640_400_000_000 + number * 1000
    return Entry((key or f"key {number}").encode(), b'{"number":%d}' % number, received_at)


def entries(*numbers: int) -> list[Entry]:
    return [entry(number) for number in numbers]


async def partition_of(log: LogReader, partition: int) -> list[LogRecord]:
    """Every record of the partition, read page by page."""
    bounds = await log.bounds(partition)
    found: list[LogRecord] = []
    while bounds.first + len(found) < bounds.end:
        page = await log.read(partition, bounds.first + len(found), 7)
        assert page, "the log ends before its bounds"
        found += page
    return found


async def everything(log: LogReader) -> dict[int, list[LogRecord]]:
    return {partition: await partition_of(log, partition) for partition in await log.partitions()}


def values(records: dict[int, list[LogRecord]]) -> list[bytes]:
    return sorted(record.value for held in records.values() for record in held)


def covered(records: dict[int, list[LogRecord]], positions: Sequence[Position]) -> list[bytes]:
    """The values of everything before the positions."""
    before = {position.partition: position.offset for position in positions}
    return [
        record.value
        for partition, held in records.items()
        for record in held
        if record.offset < before.get(partition, 0)
    ]


async def test_an_appended_event_is_the_record_just_before_its_position(open_log: OpenLog) -> None:
    async with open_log() as log:
        await log.append(entries(1, 2))
        (position,) = await log.append([entry(3)])
        (record,) = await log.read(position.partition, position.offset - 1, 10)
    assert record == LogRecord(position.offset - 1, entry(3).received_at, entry(3).value)


async def test_a_batch_is_appended_whole_and_its_positions_cover_all_of_it(open_log: OpenLog) -> None:
    batch = entries(*range(50))
    async with open_log() as log:
        positions = await log.append(batch)
        held = await everything(log)
    assert values(held) == sorted(one.value for one in batch)
    assert sorted(covered(held, positions)) == sorted(one.value for one in batch)
    assert len({position.partition for position in positions}) == len(positions)


async def test_appending_nothing_adds_nothing(open_log: OpenLog) -> None:
    async with open_log() as log:
        assert await log.append([]) == ()
        assert values(await everything(log)) == []


async def test_the_same_entries_appended_again_are_added_again(open_log: OpenLog) -> None:
    async with open_log() as log:
        await log.append(entries(1))
        await log.append(entries(1))
        assert values(await everything(log)) == [entry(1).value] * 2


async def test_entries_of_one_key_share_a_partition_and_keep_their_order(open_log: OpenLog) -> None:
    ours = [entry(number, key="the same") for number in range(20)]
    async with open_log() as log:
        for start in range(0, 20, 5):
            await log.append([*ours[start : start + 5], *entries(100 + start, 101 + start)])
        held = await everything(log)
    wanted = [one.value for one in ours]
    found = [[record.value for record in records if record.value in wanted] for records in held.values()]
    assert [order for order in found if order] == [wanted]


async def test_offsets_have_no_gaps(open_log: OpenLog) -> None:
    async with open_log() as log:
        for start in range(0, 60, 6):
            await log.append(entries(*range(start, start + 6)))
        for partition, records in (await everything(log)).items():
            bounds = await log.bounds(partition)
            assert [record.offset for record in records] == list(range(bounds.first, bounds.end))


async def test_events_appended_by_many_tasks_at_once_are_each_found_once(open_log: OpenLog) -> None:
    acknowledged: dict[bytes, tuple[Position, ...]] = {}

    async def append(task: int) -> None:
        for number in range(task * 20, task * 20 + 20):
            acknowledged[entry(number).value] = await log.append([entry(number)])

    async with open_log() as log:
        async with anyio.create_task_group() as tasks:
            for task in range(40):
                tasks.start_soon(append, task)
        held = await everything(log)
    assert values(held) == sorted(acknowledged)
    places = {record.value: (partition, record.offset) for partition, of in held.items() for record in of}
    for value, (position,) in acknowledged.items():
        assert places[value] == (position.partition, position.offset - 1)


async def test_batches_appended_at_once_are_not_mixed(open_log: OpenLog) -> None:
    async def append(batch: int) -> None:
        await log.append([entry(number, key="one") for number in range(batch * 10, batch * 10 + 10)])

    async with open_log() as log:
        async with anyio.create_task_group() as tasks:
            for batch in range(20):
                tasks.start_soon(append, batch)
        (order,) = [[record.value for record in of] for of in (await everything(log)).values() if of]
    wanted = [[entry(number).value for number in range(start, start + 10)] for start in range(0, 200, 10)]
    assert sorted(order[start : start + 10] for start in range(0, 200, 10)) == sorted(wanted)


async def test_reading_stops_at_the_limit_and_goes_on_from_the_next_offset(open_log: OpenLog) -> None:
    async with open_log() as log:
        (position,) = (await log.append([entry(number, key="one") for number in range(10)]))[:1]
        first = (await log.bounds(position.partition)).first
        head = await log.read(position.partition, first, 4)
        tail = await log.read(position.partition, first + 4, 100)
        assert await log.read(position.partition, position.offset, 100) == []
    assert [record.value for record in head] == [entry(number).value for number in range(4)]
    assert [record.value for record in tail] == [entry(number).value for number in range(4, 10)]


async def test_reading_again_gives_the_same(open_log: OpenLog) -> None:
    async with open_log() as log:
        await log.append(entries(*range(30)))
        assert await everything(log) == await everything(log)


async def test_a_new_log_is_empty(open_log: OpenLog) -> None:
    async with open_log() as log:
        for partition in await log.partitions():
            bounds = await log.bounds(partition)
            assert bounds.first == bounds.end
            assert await log.read(partition, bounds.first, 10) == []


async def test_bounds_end_at_the_position_of_the_last_append(open_log: OpenLog) -> None:
    async with open_log() as log:
        await log.append([entry(1, key="one")])
        (position,) = await log.append([entry(2, key="one"), entry(3, key="one")])
        bounds = await log.bounds(position.partition)
    assert (bounds.first, bounds.end) == (position.offset - 3, position.offset)


async def test_waiting_for_a_record_that_is_there_ends_at_once(open_log: OpenLog) -> None:
    async with open_log() as log:
        (position,) = await log.append([entry(1)])
        assert await log.wait(position.partition, position.offset - 1, 0.0)


async def test_waiting_ends_when_the_record_comes(open_log: OpenLog) -> None:
    woken: list[bool] = []

    async def wait(offset: int) -> None:
        woken.append(await log.wait(position.partition, offset, PATIENCE))

    async with open_log() as log:
        (position,) = await log.append([entry(1, key="one")])
        with anyio.fail_after(PATIENCE / 2):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait, position.offset)
                tasks.start_soon(wait, position.offset)
                tasks.start_soon(wait, position.offset + 1)
                await anyio.lowlevel.checkpoint()
                await log.append([entry(2, key="one")])
                await log.append([entry(3, key="one")])
    assert woken == [True, True, True]


async def test_waiting_for_what_does_not_come_ends_in_time(open_log: OpenLog) -> None:
    async with open_log() as log:
        (position,) = await log.append([entry(1)])
        with anyio.fail_after(PATIENCE):
            assert not await log.wait(position.partition, position.offset, 0.05)


async def test_an_opened_again_log_holds_what_was_appended_and_goes_on_behind_it(open_log: OpenLog) -> None:
    async with open_log() as log:
        (before,) = await log.append([entry(1, key="one")])
        held = await everything(log)
    async with open_log() as log:
        assert await everything(log) == held
        (after,) = await log.append([entry(2, key="one")])
    assert after == Position(before.partition, before.offset + 1)


async def test_a_dead_letter_is_kept_and_keeping_it_again_changes_nothing(open_log: OpenLog) -> None:
    record = LogRecord(0, 5, b"\xff\x00 not JSON")
    async with open_log() as log:
        assert not await log.holds(0, 0)
        await log.put(0, record, "is not JSON")
        await log.put(0, record, "is not JSON")
        assert await log.holds(0, 0)
        assert not await log.holds(0, 1)
        assert values(await everything(log)) == []
    async with open_log() as log:
        assert await log.holds(0, 0)
